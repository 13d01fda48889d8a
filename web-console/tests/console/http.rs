//! Requests to the console: in memory where time is paused, over a socket where the socket matters.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::Response;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use serde_json::Value;
use stompbox_console::{AdminApi, AllowedHosts};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// No answer in a test takes so long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// The console's routes without a socket.
pub(crate) struct Routes {
    service: TowerToHyperService<axum::Router>,
    pub(crate) shutdown: CancellationToken,
}

/// A whole answer.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Routes {
    pub(crate) fn over(admin: impl AdminApi) -> Self {
        Self::shared(Arc::new(admin))
    }

    pub(crate) fn shared(admin: Arc<dyn AdminApi>) -> Self {
        let shutdown = CancellationToken::new();
        let hosts = AllowedHosts::default().with_name("console.example");
        let router = stompbox_console::router(admin, hosts, shutdown.clone());
        Self {
            service: TowerToHyperService::new(router),
            shutdown,
        }
    }

    pub(crate) async fn call(&self, request: Request<Body>) -> Result<Response> {
        Ok(self.service.call(request).await?)
    }

    pub(crate) async fn reply(&self, request: Request<Body>) -> Result<Reply> {
        let (head, body) = self.call(request).await?.into_parts();
        let body = String::from_utf8(to_bytes(body, usize::MAX).await?.to_vec())?;
        Ok(Reply {
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Reply> {
        self.reply(request("GET", path)?).await
    }
}

impl Reply {
    pub(crate) fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).with_context(|| self.body.clone())
    }

    pub(crate) fn header(&self, name: header::HeaderName) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

pub(crate) fn request(method: &str, path: &str) -> Result<Request<Body>> {
    let request = Request::builder().method(method).uri(path);
    Ok(request
        .header(header::HOST, "127.0.0.1:8161")
        .body(Body::empty())?)
}

/// The console on a socket of its own.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: CancellationToken,
    pub(crate) task: JoinHandle<std::io::Result<()>>,
}

impl Served {
    pub(crate) async fn over(admin: impl AdminApi) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shutdown = CancellationToken::new();
        let serving = stompbox_console::serve(listener, Arc::new(admin), shutdown.clone());
        Ok(Self {
            address,
            shutdown,
            task: tokio::spawn(serving),
        })
    }

    /// Sends `text` and gives the socket.
    pub(crate) async fn send(&self, text: &str) -> Result<TcpStream> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.write_all(text.as_bytes()).await?;
        Ok(stream)
    }

    /// Sends `text` and reads until the console closes.
    pub(crate) async fn exchange(&self, text: &str) -> Result<String> {
        let mut stream = self.send(text).await?;
        let mut answer = String::new();
        tokio::time::timeout(DEADLINE, stream.read_to_string(&mut answer)).await??;
        Ok(answer)
    }
}

/// Reads until `wanted` has come.
pub(crate) async fn read_until(stream: &mut TcpStream, wanted: &str) -> Result<String> {
    let mut text = Vec::new();
    while !String::from_utf8_lossy(&text).contains(wanted) {
        let read = tokio::time::timeout(DEADLINE, stream.read_buf(&mut text)).await??;
        anyhow::ensure!(
            read > 0,
            "closed after {:?}",
            String::from_utf8_lossy(&text)
        );
    }
    Ok(String::from_utf8(text)?)
}
