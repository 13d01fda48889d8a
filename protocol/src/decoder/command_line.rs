//! The first line of a frame: which command it is, or what else the peer may be speaking.

use nom::Err as NomErr;

use crate::error::Reason;
use crate::foreign::{Foreign, quote};
use crate::limits::Ceilings;
use crate::line::{self, LineEnd};
use crate::{Command, Role, Version};

/// The line that should be a command, once it is there.
pub(super) fn next<'a>(
    held: &'a [u8],
    scanned: usize,
    ceilings: Ceilings<'_>,
) -> Result<Option<&'a [u8]>, Reason> {
    let parsed = line::line(scanned)(held);
    let line = held.get(..line::bytes_seen(held, &parsed)).unwrap_or(held);
    if let Err(over_limit) = ceilings.command_line(line.len()) {
        // Request lines are longer than any command: what the peer speaks says more than a limit.
        let shown = line
            .get(..ceilings.limits.command_bytes_max)
            .unwrap_or(line);
        return Err(match Foreign::recognise(shown) {
            Some(foreign) => unknown_command(shown, Some(foreign)),
            None => over_limit,
        });
    }
    match parsed {
        Ok((_, line)) => Ok(Some(line)),
        Err(NomErr::Incomplete(_)) => Ok(None),
        Err(NomErr::Error(_) | NomErr::Failure(_)) => Err(match Command::parse(line) {
            Some(_) => Reason::NulInHead,
            None => unknown_command(line, Foreign::recognise(line)),
        }),
    }
}

fn unknown_command(line: &[u8], foreign: Option<Foreign>) -> Reason {
    Reason::UnknownCommand {
        quoted: quote(line),
        foreign,
    }
}

/// The command of a line, and what ends the lines of its frame.
pub(super) fn parse(
    line: &[u8],
    version: Option<Version>,
    role: Role,
) -> Result<(Command, LineEnd), Reason> {
    let stripped = LineEnd::LfOrCrLf.strip(line);
    let command = Command::parse(stripped);
    let line_end = line_end(command, version);
    match command {
        Some(command) if line_end.strip(line) == stripped => {
            if command.decoded_by() == role {
                Ok((command, line_end))
            } else {
                Err(Reason::WrongSide { command })
            }
        }
        Some(_) | None => Err(unknown_command(line, Foreign::recognise(line))),
    }
}

/// STOMP 1.1 knows LF only; what opens a session is read before its version counts.
pub(super) fn line_end(command: Option<Command>, version: Option<Version>) -> LineEnd {
    match version {
        Some(Version::V1_1) if !command.is_some_and(Command::is_handshake) => LineEnd::Lf,
        Some(Version::V1_0 | Version::V1_1 | Version::V1_2) | None => LineEnd::LfOrCrLf,
    }
}
