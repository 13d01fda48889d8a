//! One connection of the model.

use std::sync::{Arc, Mutex};

use stompbox_protocol::{Command, Decoder, Frame, Input, Limits, Role, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::state::{Answer, Fate, State};

/// Serves a client until it goes, or is cut off.
pub(super) async fn serve(socket: TcpStream, state: Arc<Mutex<State>>) {
    socket.set_nodelay(true).expect("a socket");
    let (mut read_half, mut write_half) = socket.into_split();
    let (out, mut frames) = unbounded_channel::<Vec<u8>>();
    let writer = tokio::spawn(async move {
        while let Some(frame) = frames.recv().await {
            if write_half.write_all(&frame).await.is_err() {
                return;
            }
        }
        write_half.shutdown().await.ok();
    });
    let client = state.lock().expect("no panic").number();
    let end = converse(&mut read_half, &state, client, out).await;
    state.lock().expect("no panic").disconnect(client);
    if end == End::Cut {
        // Both directions at once, and what was under way is lost.
        writer.abort();
    }
    writer.await.ok();
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Gone,
    Cut,
}

async fn converse(
    socket: &mut OwnedReadHalf,
    state: &Mutex<State>,
    client: u64,
    out: UnboundedSender<Vec<u8>>,
) -> End {
    let mut decoder = Decoder::new(Role::Server, Limits::default());
    loop {
        let frame = match decoder.next_input().expect("STOMP") {
            Some(Input::Frame(frame)) => frame,
            Some(Input::HeartBeat) => continue,
            None => match socket.read_buf(&mut decoder.read_space()).await {
                Ok(1..) => continue,
                Ok(0) | Err(_) => return End::Gone,
            },
        };
        let mut state = state.lock().expect("no panic");
        if frame.command() == Command::Connect {
            let id = frame.text("client-id").map(|id| id.into_owned());
            state.connect(client, id, out.clone());
            out.send(b"CONNECTED\nversion:1.2\nserver:stompbox/model\n\n\0".to_vec())
                .ok();
            decoder.set_version(Version::V1_2);
            decoder.authenticated();
            continue;
        }
        let fate = state.fate();
        if fate == Fate::CutBefore {
            return End::Cut;
        }
        let answer = state.frame(client, &frame);
        if fate == Fate::CutAfter {
            return End::Cut;
        }
        if !reply(&out, &frame, answer) {
            return End::Gone;
        }
        state.dispatch();
    }
}

/// Whether the session goes on.
fn reply(out: &UnboundedSender<Vec<u8>>, frame: &Frame, answer: Answer) -> bool {
    let receipt = frame.text("receipt");
    match answer {
        Answer::Nothing => true,
        Answer::Done(lines) => {
            if let Some(receipt) = receipt {
                let text = format!("RECEIPT\nreceipt-id:{receipt}\n{lines}\n\0");
                out.send(text.into_bytes()).ok();
            }
            frame.command() != Command::Disconnect
        }
        Answer::Refused(reason) => {
            let receipt = receipt.map_or_else(String::new, |id| format!("receipt-id:{id}\n"));
            let text = format!("ERROR\nmessage:{reason}\n{receipt}\n\0");
            out.send(text.into_bytes()).ok();
            false
        }
    }
}
