//! CONNECT and CONNECTED (STOMP 1.2, Connecting; Heart-beating).

use std::time::Duration;

use stompbox_protocol::{Command, FrameRef, Version};

use super::output::{Output, write_frame};
use super::{Session, Stage, field};
use crate::core::port::{Opening, Refusal, Request};

/// Every version, as an ERROR tells it to a client that speaks none of them.
pub(super) const VERSIONS: &[u8] = b"1.0,1.1,1.2";

/// What was agreed; none where nothing was asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeartBeat {
    /// The broker sends something at least this often.
    pub send_every: Option<Duration>,
    /// The client sends something at least this often.
    pub expect_every: Option<Duration>,
}

impl HeartBeat {
    /// Reads `heart-beat:CX,CY` and grants it, no faster than `least`.
    fn grant(value: &[u8], least: Duration) -> Result<Self, Refusal> {
        let wishes = std::str::from_utf8(value).ok().and_then(|text| {
            let (sends, wants) = text.split_once(',')?;
            Some((
                sends.trim().parse::<u32>().ok()?,
                wants.trim().parse::<u32>().ok()?,
            ))
        });
        let Some((sends, wants)) = wishes else {
            return Err(Refusal::new(
                "heart-beat is malformed",
                format!(
                    "heart-beat must be two non-negative integers in ms, as in 10000,10000, not '{}'",
                    field::excerpt(value)
                ),
            ));
        };
        let agree = |ms: u32| (ms > 0).then(|| Duration::from_millis(ms.into()).max(least));
        Ok(Self {
            send_every: agree(wants),
            expect_every: agree(sends),
        })
    }

    fn header(self) -> String {
        let ms = |agreed: Option<Duration>| agreed.map_or(0, |every| every.as_millis());
        format!("{},{}", ms(self.send_every), ms(self.expect_every))
    }
}

impl Session {
    pub(super) fn connect(
        &mut self,
        frame: &FrameRef<'_>,
        output: &mut Output,
    ) -> Result<(), Refusal> {
        let accepted = frame.header("accept-version");
        let Some(version) = Version::negotiate(accepted.as_deref()) else {
            return Err(Refusal::new(
                super::output::UNSUPPORTED_VERSION,
                format!(
                    "none of the versions '{}' is spoken here: ask for 1.0, 1.1 or 1.2",
                    field::excerpt(&accepted.unwrap_or_default())
                ),
            ));
        };
        self.version = version;
        if let Some(wishes) = frame.header("heart-beat") {
            self.heart_beat = HeartBeat::grant(&wishes, self.settings.heart_beat_min)?;
        }
        let text = |name: &str| {
            frame
                .text(name)
                .filter(|value| !value.is_empty())
                .map(|value| Box::from(&*value))
        };
        self.stage = Stage::Opening(self.connected(frame));
        output.requests.push(Request::Open(Box::new(Opening {
            session: self.name.clone(),
            client_id: text("client-id"),
            login: text("login"),
            version,
            peer: self.peer.clone(),
        })));
        Ok(())
    }

    fn connected(&self, frame: &FrameRef<'_>) -> Vec<u8> {
        let heart_beat = self.heart_beat.header();
        let mut headers: Vec<(&[u8], &[u8])> = vec![
            (b"version", self.version.as_str().as_bytes()),
            (b"session", self.name.as_bytes()),
            (
                b"server",
                concat!("stompbox/", env!("CARGO_PKG_VERSION")).as_bytes(),
            ),
            (b"heart-beat", heart_beat.as_bytes()),
        ];
        let request_id = frame.header("request-id");
        let receipt = frame.header("receipt");
        if let Some(id) = receipt.as_ref().or(request_id.as_ref()) {
            headers.push((b"receipt-id", id));
        }
        if let Some(id) = &request_id {
            headers.push((b"response-id", id));
        }
        let mut bytes = Vec::new();
        write_frame(&mut bytes, self.version, Command::Connected, &headers, b"");
        bytes
    }

    pub(super) fn opened(&mut self, output: &mut Output) {
        if let Stage::Opening(connected) = std::mem::replace(&mut self.stage, Stage::Open) {
            output.bytes.extend_from_slice(&connected);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wishes: &str, expected: &str) {
        let granted = HeartBeat::grant(wishes.as_bytes(), Duration::from_millis(500));
        assert_eq!(
            granted.map(HeartBeat::header).ok().as_deref(),
            Some(expected),
            "{wishes}"
        );
    }

    #[test]
    fn heart_beats_answer_the_clients_wishes_swapped_and_raised() {
        check("0,0", "0,0");
        check("10000,20000", "20000,10000");
        check("1,0", "0,500");
        check("0,1", "500,0");
        check(" 600 , 700 ", "700,600");
    }

    #[test]
    fn malformed_heart_beats_are_refused() {
        for wishes in ["", "1", "a,b", "-1,0", "1,2,3", "0,-5", "1.5,0"] {
            let granted = HeartBeat::grant(wishes.as_bytes(), Duration::from_millis(500));
            assert!(granted.is_err(), "{wishes}");
        }
    }
}
