//! An address that stays the same while the broker behind it is killed and started on other ports.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Passes connections on to wherever the broker is. Its thread lives as long as the program.
#[derive(Debug, Clone)]
pub struct Relay {
    address: SocketAddr,
    target: Arc<Mutex<Option<SocketAddr>>>,
}

impl Relay {
    /// An address behind which nobody is yet.
    ///
    /// # Errors
    /// When there is no free port.
    pub fn start() -> std::io::Result<Relay> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let target = Arc::new(Mutex::new(None));
        let current = Arc::clone(&target);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let target = *current.lock().unwrap_or_else(PoisonError::into_inner);
                // Without a broker the client sees its connection closed.
                if let Some(broker) = target.and_then(|target| TcpStream::connect(target).ok()) {
                    join(client, broker);
                }
            }
        });
        Ok(Relay { address, target })
    }

    /// Where clients connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the broker is from now on; `None` while there is none.
    pub fn lead_to(&self, target: Option<SocketAddr>) {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = target;
    }
}

/// Passes on in both directions until one ends.
fn join(client: TcpStream, broker: TcpStream) {
    let pair = || Some((client.try_clone().ok()?, broker.try_clone().ok()?));
    let Some((to_client, to_broker)) = pair() else {
        return;
    };
    thread::spawn(move || pass_on(client, to_broker));
    thread::spawn(move || pass_on(broker, to_client));
}

fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    // Nagle's delay would show in every round trip.
    let _ = to.set_nodelay(true);
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    // Either may be gone already.
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
