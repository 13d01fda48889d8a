//! Heart-beats both ways (dialect, section 1). Times are small, and bounds are checked only where they are promised:
//! a silence is never ended early, a beat is never late.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use stompbox_tests::broker::Broker;
use stompbox_tests::wire::{Version, Wire};

use super::fixture::{VERSIONS, connect, expect_quiet, expect_refusal, header, start, start_with};

const FAST: &str = "[stomp]\nheart_beat_min = \"50ms\"\n";

/// A socket on which the bytes themselves are looked at.
struct Line {
    stream: TcpStream,
}

impl Line {
    /// Connects with these wishes and reads CONNECTED.
    fn connect(broker: &Broker, heart_beat: &str) -> Line {
        let stream = TcpStream::connect(broker.stomp()).expect("the broker listens");
        let mut line = Line { stream };
        line.send(
            format!("CONNECT\naccept-version:1.2\nhost:x\nheart-beat:{heart_beat}\n\n\0")
                .as_bytes(),
        );
        line.stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .expect("a socket takes a time-out");
        let mut connected = Vec::new();
        while !connected.ends_with(b"\0\n") {
            let mut byte = [0];
            line.stream.read_exact(&mut byte).expect("CONNECTED comes");
            connected.push(byte[0]);
        }
        line
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the broker reads");
    }

    /// What comes within a time; `None` when the broker has closed.
    fn read_for(&mut self, period: Duration) -> Option<Vec<u8>> {
        let mut block = [0; 1024];
        self.stream
            .set_read_timeout(Some(period.max(Duration::from_millis(1))))
            .expect("a socket takes a time-out");
        match self.stream.read(&mut block) {
            Ok(0) => None,
            Ok(count) => Some(block[..count].to_vec()),
            Err(error) if is_timeout(&error) => Some(Vec::new()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("reading: {error}"),
        }
    }

    /// How long the broker leaves the connection open.
    fn open_for(&mut self) -> Duration {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(10) {
            if self.read_for(Duration::from_secs(1)).is_none() {
                return began.elapsed();
            }
        }
        panic!("still open after {:?}", began.elapsed());
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

/// D1.43
#[test]
fn connected_answers_the_wishes_swapped_and_raised_to_the_minimum() {
    let default = start();
    let fast = start_with(FAST);
    let check = |broker: &Broker, wishes: &str, expected: &str| {
        for version in VERSIONS {
            let mut wire = Wire::open(broker.stomp());
            let connected = wire
                .try_login(version, &[("heart-beat", wishes)])
                .expect("the wishes are well formed");
            assert_eq!(header(&connected, "heart-beat"), expected, "{wishes}");
        }
    };
    check(&default, "0,0", "0,0");
    check(&default, "10000,20000", "20000,10000");
    check(&default, "1,0", "0,500");
    check(&default, "0,1", "500,0");
    check(&default, "499,501", "501,500");
    check(&fast, "1,60", "60,50");
}

/// D1.44
#[test]
fn without_wishes_nothing_is_sent_and_nobody_dropped() {
    let broker = start_with(FAST);
    let mut silent = Line::connect(&broker, "0,0");
    let mut wire = connect(&broker);
    // Twenty times what would be agreed at the least.
    let heard = silent.read_for(Duration::from_secs(1));
    assert_eq!(heard.as_deref(), Some(&b""[..]));
    expect_quiet(&mut wire);
}

/// D1.45
#[test]
fn a_client_silent_for_twice_the_agreed_time_is_closed_and_not_before() {
    let broker = start_with(FAST);
    for (wishes, agreed_ms) in [("100,0", 100), ("300,0", 300)] {
        let open_for = Line::connect(&broker, wishes).open_for();
        let twice = Duration::from_millis(2 * agreed_ms);
        // CONNECTED was under way when our clock started.
        assert!(
            open_for + Duration::from_millis(50) >= twice,
            "{wishes}: closed after {open_for:?}"
        );
        assert!(open_for < 10 * twice, "{wishes}: closed after {open_for:?}");
    }
}

/// D1.13, D1.46
#[test]
fn any_byte_counts_as_life() {
    let broker = start_with(FAST);
    let check = |what: &str, bytes: &[u8]| {
        let mut line = Line::connect(&broker, "300,0");
        for byte in bytes {
            line.send(&[*byte]);
            let heard = line.read_for(Duration::from_millis(150));
            assert!(heard.is_some(), "{what}: closed although it sends");
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| check("LF", &[b'\n'; 10]));
        scope.spawn(|| check("CRLF", &b"\r\n".repeat(5)));
        scope.spawn(|| check("a slow head", b"SEND\ndestin"));
        scope.spawn(|| {
            let mut line = Line::connect(&broker, "300,0");
            line.send(b"SEND\ndestination:/queue/slow\ncontent-length:1000000\n\n");
            for _ in 0..10 {
                line.send(b"x");
                assert!(line.read_for(Duration::from_millis(150)).is_some());
            }
        });
    });
}

/// D1.45
#[test]
fn a_half_sent_frame_does_not_keep_a_silent_client_alive() {
    let broker = start_with(FAST);
    let mut line = Line::connect(&broker, "100,0");
    line.send(b"SEND\ndestination:/queue/slow\ncontent-length:1000\n\nx");
    line.open_for();
}

/// D1.47
#[test]
fn malformed_wishes_are_refused() {
    let broker = start();
    for wishes in ["", "1", "a,b", "-1,0", "0,-1", "1,2,3", "1.5,0", "1;2"] {
        let mut wire = Wire::open(broker.stomp());
        let connect = format!("CONNECT\naccept-version:1.2\nhost:x\nheart-beat:{wishes}\n\n^@");
        expect_refusal(&mut wire, &connect, "heart-beat");
    }
}

/// The longest silence of the broker over a while in which the client says something every `talk`.
fn longest_silence(broker: &Broker, wishes: &str, talk: Option<Duration>) -> Duration {
    let mut line = Line::connect(broker, wishes);
    let (began, mut heard, mut longest) = (Instant::now(), Instant::now(), Duration::ZERO);
    let mut said = Instant::now();
    while began.elapsed() < Duration::from_millis(2_500) {
        if let Some(every) = talk
            && said.elapsed() >= every
        {
            line.send(b"\n");
            said = Instant::now();
        }
        match line.read_for(Duration::from_millis(10)) {
            Some(bytes) if !bytes.is_empty() => {
                longest = longest.max(heard.elapsed());
                heard = Instant::now();
            }
            Some(_) => {}
            None => panic!("{wishes}: closed"),
        }
    }
    longest.max(heard.elapsed())
}

/// D1.48
#[test]
fn the_broker_is_never_silent_for_longer_than_agreed() {
    let broker = start_with(FAST);
    let ms = Duration::from_millis;
    // The agreed interval, what the client says meanwhile, and how often.
    let cases = [
        ("0,400", None),
        ("150,800", Some(ms(50))),
        ("200,1000", Some(ms(60))),
        ("400,400", Some(ms(150))),
        ("1000,400", Some(ms(500))),
    ];
    thread::scope(|scope| {
        for (wishes, talk) in cases {
            let broker = &broker;
            scope.spawn(move || {
                let agreed = wishes.split(',').nth(1).and_then(|ms| ms.parse().ok());
                let agreed = ms(agreed.unwrap_or_default());
                let longest = longest_silence(broker, wishes, talk);
                assert!(longest <= agreed, "{wishes}: silent for {longest:?}");
            });
        }
    });
}

/// D1.48
#[test]
fn heart_beats_do_not_land_inside_frames() {
    let broker = start_with(FAST);
    let mut wire = Wire::connect_with(broker.stomp(), Version::V12, &[("heart-beat", "0,50")]);
    wire.subscribe("s", "/topic/beat", "auto");
    let began = Instant::now();
    let body = "x".repeat(100_000);
    while began.elapsed() < Duration::from_secs(1) {
        wire.send_receipted("/topic/beat", &[], &body);
        assert!(wire.expect_message().body == body.as_bytes());
    }
}
