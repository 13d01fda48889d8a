//! What a connection costs while nothing happens on it: one task, and at most 16 KiB of the program's memory.
//!
//! A program of its own, since it measures the whole process.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use stompbox_client::{AcknowledgeMode, Connection, Consumer};

const CONNECTIONS: usize = 400;
const BYTES_MAX: usize = 16 << 10;

/// A page of Linux on the machines that this is for.
const PAGE_BYTES: usize = 4 << 10;

/// Does a broker's part: a session, a subscription, one message.
fn serve(socket: &mut TcpStream) {
    let answer = b"CONNECTED\nversion:1.2\nserver:stompbox/0\nheart-beat:10000,10000\n\n\0";
    frame(socket);
    socket.write_all(answer).unwrap();
    let subscribe = frame(socket);
    let line = |name: &str| subscribe.lines().find_map(|line| line.strip_prefix(name));
    let (receipt, id) = (line("receipt:").unwrap(), line("id:").unwrap());
    write!(
        socket,
        "RECEIPT\nreceipt-id:{receipt}\n\n\0MESSAGE\nsubscription:{id}\nmessage-id:1\nack:1\n\
         destination:/queue/a\n\n{}\0",
        "x".repeat(100)
    )
    .unwrap();
    assert!(frame(socket).starts_with("ACK"));
}

fn frame(socket: &mut TcpStream) -> String {
    let (mut bytes, mut byte) = (Vec::new(), [0]);
    loop {
        socket.read_exact(&mut byte).unwrap();
        if byte == [0] {
            break;
        }
        bytes.extend_from_slice(&byte);
    }
    String::from_utf8(bytes).unwrap()
}

async fn subscribed(address: &str) -> (Connection, Consumer) {
    let connection = Connection::connect(address).await.unwrap();
    let session = connection.session(AcknowledgeMode::Auto);
    let mut consumer = session.consumer("/queue/a").await.unwrap();
    // So that every buffer has been in use.
    drop(consumer.receive().await.unwrap());
    (connection, consumer)
}

/// What the process has in memory.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * PAGE_BYTES
}

#[tokio::test(flavor = "current_thread")]
async fn an_idle_connection_is_one_task_and_little_memory() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    // One after the other, as they are made; a socket costs this process no memory.
    thread::spawn(move || {
        let mut open = Vec::with_capacity(2 * CONNECTIONS);
        for mut socket in listener.incoming().flatten() {
            serve(&mut socket);
            open.push(socket);
        }
    });
    // What is made once for all.
    let first = subscribed(&address).await;
    let metrics = tokio::runtime::Handle::current().metrics();
    let (tasks, bytes) = (metrics.num_alive_tasks(), resident_bytes());
    let mut all = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        all.push(subscribed(&address).await);
    }
    // Until each has found out that nothing happens.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let tasks = metrics.num_alive_tasks() - tasks;
    let bytes = (resident_bytes() - bytes) / CONNECTIONS;
    // Aloud, for the one who wants to know the figure.
    let line = format!("proof: an idle, subscribed connection: {bytes} bytes\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    assert_eq!(tasks, CONNECTIONS);
    assert!(bytes <= BYTES_MAX, "{bytes} bytes each");
    drop((first, all));
}
