//! Connections in masses: those that never log in, those that do, and those for which there is no file handle.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use stompbox_tests::broker::Broker;
use stompbox_tests::flood::Flood;
use stompbox_tests::resident::Resident;
use stompbox_tests::scale::Scale;
use stompbox_tests::wire::PATIENCE;

use crate::fixture::{connect, eventually, launch, overview, start_watched, start_with};
use crate::trial::{MIB, Trial};

const KIB: u64 = 1024;

#[test]
fn one_byte_a_second_before_login_ends_at_the_connect_timeout() {
    let scale = Scale::asked_for();
    let (count, timeout, every) = scale.of(
        (50, Duration::from_secs(1), Duration::from_millis(100)),
        (1_000, Duration::from_secs(10), Duration::from_secs(1)),
    );
    let broker = start_with(&format!(
        "[stomp]\nconnect_timeout = \"{}ms\"\n",
        timeout.as_millis()
    ));
    let trial = Trial::begin("one byte a second before login", broker);
    trial.run(8 * MIB + count * 16 * KIB, |broker| {
        let began = Instant::now();
        let mut slow: Vec<Flood> = (0..count).map(|_| open(broker.stomp())).collect();
        let mut bytes = b"CONNECT\naccept-version:1.2\nhost:localhost".iter();
        while began.elapsed() < timeout {
            let byte = bytes.next().expect("longer than the time-out");
            for flood in &mut slow {
                // The first may be closed by then, if so many took their time.
                let _ = flood.stream.write_all(&[*byte]);
            }
            thread::sleep(every);
        }
        for flood in &mut slow {
            let answer = flood.read_to_end().expect("it is closed");
            let answer = String::from_utf8_lossy(&answer);
            assert!(answer.starts_with("ERROR\n"), "{answer}");
            assert!(answer.contains("stomp.connect_timeout"), "{answer}");
        }
        let took = began.elapsed();
        assert!(took < timeout * 2 + Duration::from_secs(2), "{took:?}");
    });
}

fn open(address: SocketAddr) -> Flood {
    Flood::open(address).unwrap_or_else(|error| panic!("no socket: {error}"))
}

#[test]
fn thousands_of_subscribed_connections_cost_a_bounded_memory_each_and_leave_no_trace() {
    let count = Scale::asked_for().of(200, 5_000);
    let trial = Trial::begin("5,000 connects", start_watched(""));
    // With its buffers; those of an idle one are given back after a second.
    trial.run(8 * MIB + count * 64 * KIB, |broker| {
        let mut idle: Vec<Flood> = (0..count).map(|_| Flood::connect(broker.stomp())).collect();
        for (number, flood) in idle.iter_mut().enumerate() {
            flood.send(format!(
                "SUBSCRIBE\nid:1\ndestination:/queue/idle.{}\nreceipt:1\n\n\0",
                number % 100
            ));
        }
        for flood in &mut idle {
            let receipt = flood.read_frame().expect("a receipt comes");
            assert!(receipt.starts_with(b"RECEIPT"), "{receipt:?}");
        }
        // The bystander's two are the others.
        assert_eq!(overview(broker, "connections"), count + 2);
        drop(idle);
        eventually("they are forgotten", || {
            (overview(broker, "connections") == 2).then_some(())
        });
        assert_eq!(overview(broker, "subscriptions"), 1);
    });
}

/// What a connect beyond the handles comes to.
#[derive(Debug, PartialEq)]
enum Met {
    Connected,
    /// ERROR that names the limit.
    Refused,
    /// Closed without a word.
    Closed,
}

/// Says CONNECT and looks at the answer; the socket stays open.
fn meet(stream: &mut TcpStream) -> Met {
    let mut answer = Vec::new();
    let mut block = [0; 4096];
    loop {
        match stream.read(&mut block) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&block[..count]),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
            Err(error) => panic!("neither an answer nor the end: {error}"),
        }
        if answer.contains(&0) {
            break;
        }
    }
    let answer = String::from_utf8_lossy(&answer);
    match answer.lines().next() {
        Some("CONNECTED") => Met::Connected,
        Some("ERROR") if answer.contains("limits.connections") => Met::Refused,
        None => Met::Closed,
        Some(_) => panic!("{answer}"),
    }
}

#[test]
fn connects_beyond_the_handle_limit_are_refused_and_the_rest_is_served() {
    let scale = Scale::asked_for();
    let (handles, count) = scale.of((300, 500), (2_048, 5_000));
    let broker = launch().handles(handles).start();
    let resident = Resident(broker.process_id().expect("it runs"));
    let trial = Trial::begin("5,000 connects at once beyond the handles", broker);
    let bound = 8 * MIB + u64::from(handles) * 64 * KIB;
    trial.run(bound, |broker| {
        let mut streams: Vec<TcpStream> = (0..count).map(|_| open(broker.stomp()).stream).collect();
        for stream in &mut streams {
            // Closed already, as likely as not.
            let _ = stream.write_all(b"CONNECT\naccept-version:1.2\nhost:x\n\n\0");
        }
        let met: Vec<Met> = streams.iter_mut().map(meet).collect();
        let number = |wanted: Met| met.iter().filter(|met| **met == wanted).count();
        // All but those kept for store, console and log, and the bystander's two.
        assert_eq!(number(Met::Connected), handles as usize - 128 - 2);
        assert!(number(Met::Refused) > 0, "nobody was told why");
        let open = resident.handle_count().expect("it runs");
        assert!(open < handles as usize, "{open} handles are open");
        drop(streams);
        eventually("there is room again", || {
            Flood::try_connect(broker.stomp(), "").ok()
        });
        let lines = broker.output().matches("too many connections").count();
        assert!(lines < 20, "{lines} lines of log");
    });
}

#[test]
fn a_storm_of_disconnects_is_answered_with_a_receipt_each() {
    let count = Scale::asked_for().of(100, 5_000);
    let trial = Trial::begin("a storm of DISCONNECTs", start_watched(""));
    trial.run(32 * MIB, |broker| {
        thread::scope(|scope| {
            for storm in 0..2 {
                scope.spawn(move || {
                    (0..count / 2).for_each(|round| disconnect(broker, storm, round))
                });
            }
        });
        let mut consumer = connect(broker);
        consumer.subscribe("s", "/queue/storm", "auto");
        for _ in 0..count {
            consumer.expect_message();
        }
        assert_eq!(overview(broker, "connections"), 3);
    });
}

/// Comes, sends, subscribes and goes, all in one breath.
fn disconnect(broker: &Broker, storm: u32, round: u32) {
    let mut flood = open(broker.stomp());
    flood.send(format!(
        "CONNECT\naccept-version:1.2\nhost:x\n\n\0\
         SEND\ndestination:/queue/storm\n\n{storm}.{round}\0\
         SUBSCRIBE\nid:s\nack:client\ndestination:/queue/storm.{storm}\n\n\0\
         DISCONNECT\nreceipt:bye\n\n\0"
    ));
    flood
        .stream
        .set_read_timeout(Some(PATIENCE))
        .expect("a socket takes a time-out");
    let answer = flood.read_to_end().expect("it is closed");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("RECEIPT\nreceipt-id:bye\n"), "{answer}");
}
