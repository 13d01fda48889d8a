//! What `send` and `receive` share: a connection to a broker, and what is said when it does not work out.

use std::io;

use stompbox_client::{ClientError, Connection, Reconnect};

use super::exit;
use super::output::{chain, complain};

/// The port of a broker that is named without one.
const PORT: u16 = 61613;

/// Why `send` or `receive` failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The broker, or the way to it.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A file, standard input or standard output.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// What is sent there would be gone at once.
    #[error(
        "{0} is a temporary destination of this very command, and would go with it: send to a queue, or to the \
         /remote-temp-... name that the reply-to of a message gives"
    )]
    GoneAtOnce(String),
    /// Fewer messages came than were asked for.
    #[error("only {received} of {wanted} messages came")]
    TooFew {
        /// How many came.
        received: u64,
        /// How many were asked for.
        wanted: u64,
    },
}

/// Runs one of the two to its end and returns the exit code.
pub(super) fn run(address: &str, task: impl Future<Output = Result<(), Failure>>) -> u8 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(task),
        Err(source) => Err(Failure::Io {
            what: "cannot start".to_owned(),
            source,
        }),
    };
    match result {
        Ok(()) => exit::OK,
        Err(Failure::Io { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => exit::OK,
        Err(failure) => {
            complain(&explain(&failure, &full_address(address)));
            exit::FAILED
        }
    }
}

/// Connects as a user at a terminal would want it: what is lost is an error, not a reason to wait.
pub(super) async fn connect(address: &str) -> Result<Connection, ClientError> {
    Connection::builder(full_address(address))
        .reconnect(Reconnect::never())
        .connect()
        .await
}

/// `host` is `host:61613`.
pub(super) fn full_address(address: &str) -> String {
    let has_port = match address.rsplit_once(']') {
        Some((_, port)) => port.starts_with(':'),
        None => address.contains(':'),
    };
    if has_port {
        address.to_owned()
    } else {
        format!("{address}:{PORT}")
    }
}

/// The name of a destination as a frame carries it: what has no prefix is a queue.
pub(super) fn full_destination(destination: &str) -> String {
    let full = |name: &str| match name.starts_with('/') {
        true => name.to_owned(),
        false => format!("/queue/{name}"),
    };
    let names: Vec<String> = destination.split(',').map(full).collect();
    names.join(",")
}

pub(super) fn explain(failure: &Failure, address: &str) -> String {
    match failure {
        Failure::Client(ClientError::Unreachable { source, .. })
            if source.kind() == io::ErrorKind::ConnectionRefused =>
        {
            format!(
                "nothing is listening on {address}: start the broker with `stompbox serve`, or \
                 name another address"
            )
        }
        Failure::Client(ClientError::Refused {
            message, detail, ..
        }) => {
            format!("the broker refused: {message}\n{}", detail.trim_end())
        }
        Failure::Client(ClientError::Malformed { .. }) => {
            format!("what is listening on {address} does not speak STOMP")
        }
        Failure::Client(_)
        | Failure::Io { .. }
        | Failure::GoneAtOnce(_)
        | Failure::TooFew { .. } => chain(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_port_gets_the_usual_one() {
        let cases = [
            ("broker", "broker:61613"),
            ("broker:1", "broker:1"),
            ("[::1]", "[::1]:61613"),
            ("[::1]:1", "[::1]:1"),
        ];
        for (address, expected) in cases {
            assert_eq!(full_address(address), expected);
        }
    }

    #[test]
    fn a_destination_without_a_prefix_is_a_queue() {
        let cases = [
            ("orders", "/queue/orders"),
            ("/topic/a", "/topic/a"),
            ("a,/topic/b", "/queue/a,/topic/b"),
        ];
        for (destination, expected) in cases {
            assert_eq!(full_destination(destination), expected);
        }
    }
}
