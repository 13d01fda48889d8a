//! A broker of another make, started for a test and ended with it.

use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use stompbox_client::{Connection, ConnectionBuilder, Reconnect};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// RabbitMQ takes a quarter of a minute on a busy machine.
const START_PATIENCE: Duration = Duration::from_secs(90);

pub(crate) struct Server {
    port: u16,
    process: Child,
    folder: TempDir,
    login: Option<&'static str>,
}

impl Server {
    pub(crate) async fn activemq() -> Option<Server> {
        let installed = "/usr/share/activemq/bin/activemq.jar";
        Server::start("activemq", installed, None).await
    }

    pub(crate) async fn rabbitmq() -> Option<Server> {
        let installed = "/usr/lib/rabbitmq/bin/rabbitmq-server";
        Server::start("rabbitmq", installed, Some("guest")).await
    }

    async fn start(name: &str, installed: &str, login: Option<&'static str>) -> Option<Server> {
        if !Path::new(installed).exists() {
            let is_required = std::env::var_os("STOMPBOX_REQUIRE_CLIENTS");
            assert!(
                is_required.is_none_or(|value| value != "1"),
                "{name} is required and missing"
            );
            // Aloud also from a test that passes.
            let line = format!("SKIPPED: {name} is not installed\n");
            std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).unwrap();
            return None;
        }
        let folder = TempDir::with_prefix("stompbox-peer-").unwrap();
        let ports = free_ports();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/peers/{name}.sh"));
        let process = Command::new("bash")
            .arg(script)
            .arg(ports[0].to_string())
            .arg(folder.path())
            .args(ports[1..].iter().map(u16::to_string))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap();
        let mut server = Server {
            port: ports[0],
            process,
            folder,
            login,
        };
        server.await_start(name).await;
        Some(server)
    }

    async fn await_start(&mut self, name: &str) {
        let end = Instant::now() + START_PATIENCE;
        loop {
            let error = match self.builder().reconnect(Reconnect::never()).connect().await {
                Ok(connection) => return connection.close().await.unwrap(),
                Err(error) => error,
            };
            let has_ended = self.process.try_wait().unwrap();
            if has_ended.is_some() || Instant::now() > end {
                let log = std::fs::read_to_string(self.folder.path().join("log"));
                panic!(
                    "{name} did not start: {error} {has_ended:?}\n{}",
                    log.unwrap_or_default()
                );
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    pub(crate) fn builder(&self) -> ConnectionBuilder {
        let builder = Connection::builder(format!("127.0.0.1:{}", self.port));
        match self.login {
            Some(login) => builder.login(login, login).virtual_host("/"),
            None => builder,
        }
    }

    pub(crate) async fn connect(&self) -> Connection {
        self.builder().connect().await.unwrap()
    }
}

/// Free just now, and different.
fn free_ports() -> Vec<u16> {
    let listeners: Vec<TcpListener> = (0..3)
        .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    listeners.iter().map(port).collect()
}

impl Drop for Server {
    fn drop(&mut self) {
        // With what it has started: RabbitMQ is several processes.
        let group = format!("-{}", self.process.id());
        Command::new("kill")
            .args(["-KILL", "--", &group])
            .status()
            .ok();
        self.process.wait().ok();
    }
}
