//! Questions to a service, and its answers over a temporary queue.
#![allow(clippy::print_stdout)]

use std::sync::Arc;
use std::time::Duration;

use stompbox_client::{AcknowledgeMode, ClientError, Connection, Listener, Message, Session};

#[tokio::main]
async fn main() -> Result<(), ClientError> {
    let url = std::env::args().nth(1);
    run(url.as_deref().unwrap_or("127.0.0.1:61613")).await
}

pub(crate) async fn run(url: &str) -> Result<(), ClientError> {
    let connection = Connection::connect(url).await?;
    let session = connection.session(AcknowledgeMode::Auto);
    let service = serve(&session).await?;

    let prices = session.requestor("/queue/example.prices").await?;
    let patience = Duration::from_secs(5);
    let (tea, coffee) = tokio::try_join!(
        prices.request("tea", patience),
        prices.request("coffee", patience),
    )?;
    println!("tea is {}, coffee {}", tea.text()?, coffee.text()?);

    service.stop().await;
    connection.close().await
}

/// The other side, usually another program.
async fn serve(session: &Session) -> Result<Listener, ClientError> {
    let answers = session.producer("/queue/example.unanswerable");
    let questions = session.consumer("/queue/example.prices").await?;
    Ok(questions.listen(move |question: Arc<Message>| {
        let answers = answers.clone();
        async move {
            let price = match question.text()? {
                "tea" => "3.20",
                "coffee" => "4.10",
                _ => "not for sale",
            };
            if let Some(reply_to) = question.reply_to() {
                answers.send_to(reply_to, question.answer(price)).await?;
            }
            Ok::<(), ClientError>(())
        }
    }))
}
