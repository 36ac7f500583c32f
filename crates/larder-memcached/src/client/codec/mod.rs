//! The meta protocol, as much of it as is needed: commands to bytes, bytes to replies.
//!
//! ```text
//! mg <key> v c O7⏎                              VA <size> c<cas> O7⏎<data>⏎ | EN⏎
//! ms <key> <size> T<expiry> M<mode> O8⏎<data>⏎  HD O8⏎ | NS O8⏎ | EX O8⏎ | NF O8⏎
//! md <key> C<cas> O9⏎                           HD O9⏎ | NF O9⏎ | EX O9⏎
//! mn⏎                                           MN⏎
//! ```
//!
//! `O` is the opaque: the server sends it back, so an answer proves which question it belongs to.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use bytes::{Buf, Bytes, BytesMut};

/// No line of ours is longer, nor any answer's.
const LONGEST_LINE: usize = 2048;
/// The largest item that a server can be configured to take.
const LARGEST_VALUE: usize = 1 << 30;
/// What is smaller is copied out of the buffer, so that it does not keep the whole of it alive.
const WORTH_SLICING: usize = 16 << 10;

/// What an entry is called on a server: 1 to 250 bytes without white space and control characters.
pub(crate) type Name = Bytes;

/// One command. Each gets exactly one reply.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    Get(Name),
    Set { name: Name, data: Bytes, expiry: u32, mode: Mode },
    Delete { name: Name, cas: Option<u64> },
    Noop,
}

/// Under which condition `ms` stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Always,
    /// Only if there is none.
    Add,
    /// Only over the item that was read with this number.
    Cas(u64),
}

/// What a command was, for checking that the reply can be one to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Get,
    Set,
    Delete,
    Noop,
}

/// What a server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Value {
        data: Bytes,
        cas: u64,
    },
    /// `EN`: a read found nothing.
    Miss,
    /// `HD`: stored or removed.
    Done,
    /// `NS`: the condition did not hold.
    NotStored,
    /// `EX`: the number did not fit.
    Changed,
    /// `NF`: there is nothing to compare or to remove.
    NotFound,
    /// `MN`.
    Noop,
    TooLarge,
    /// `SERVER_ERROR`: this command failed, the connection is in order.
    Failed(Box<str>),
}

/// What came is not an answer to what was asked: nothing on this connection can be trusted any more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Garbage(pub(crate) &'static str);

impl Command {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Get(_) => Kind::Get,
            Self::Set { .. } => Kind::Set,
            Self::Delete { .. } => Kind::Delete,
            Self::Noop => Kind::Noop,
        }
    }

    /// The name that decides which server it goes to.
    pub(crate) fn name(&self) -> &[u8] {
        match self {
            Self::Get(name) | Self::Set { name, .. } | Self::Delete { name, .. } => name,
            Self::Noop => b"",
        }
    }

    /// What follows the line, to be ended by `\r\n`.
    pub(crate) fn data(&self) -> Option<&Bytes> {
        match self {
            Self::Set { data, .. } => Some(data),
            Self::Get(_) | Self::Delete { .. } | Self::Noop => None,
        }
    }

    /// Appends the line.
    pub(crate) fn write_line(&self, opaque: u64, out: &mut BytesMut) {
        // Writing to a buffer in memory can't fail.
        match self {
            Self::Get(name) => {
                out.extend_from_slice(b"mg ");
                out.extend_from_slice(name);
                _ = write!(out, " v c O{opaque}\r\n");
            }
            Self::Set { name, data, expiry, mode } => {
                out.extend_from_slice(b"ms ");
                out.extend_from_slice(name);
                _ = write!(out, " {} T{expiry}", data.len());
                match mode {
                    Mode::Always => {}
                    Mode::Add => out.extend_from_slice(b" ME"),
                    Mode::Cas(cas) => _ = write!(out, " C{cas}"),
                }
                _ = write!(out, " O{opaque}\r\n");
            }
            Self::Delete { name, cas } => {
                out.extend_from_slice(b"md ");
                out.extend_from_slice(name);
                if let Some(cas) = cas {
                    _ = write!(out, " C{cas}");
                }
                _ = write!(out, " O{opaque}\r\n");
            }
            Self::Noop => out.extend_from_slice(b"mn\r\n"),
        }
    }
}

/// Takes the reply to a command from the front of `buffer`; `Ok(Err(n))`: at least `n` more bytes are needed, and nothing was taken.
///
/// # Errors
/// [`Garbage`] if this is no reply, or not one to that command.
pub(crate) fn take(buffer: &mut BytesMut, kind: Kind, opaque: u64) -> Result<Result<Reply, usize>, Garbage> {
    let head = &buffer[..buffer.len().min(LONGEST_LINE)];
    let Some(end) = head.iter().position(|byte| *byte == b'\n') else {
        return if head.len() < LONGEST_LINE {
            Ok(Err(1))
        } else {
            Err(Garbage("it sent a line without end"))
        };
    };
    let line = head[..end].strip_suffix(b"\r").ok_or(Garbage("it ended a line in its own way"))?;
    let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let first = words.next().unwrap_or_default();
    let reply = match (first, kind) {
        (b"VA", Kind::Get) => {
            let size = words.next().and_then(number).and_then(|size| usize::try_from(size).ok());
            let size = size.filter(|size| *size <= LARGEST_VALUE).ok_or(Garbage("it sent a wrong size"))?;
            let flags = Flags::of(words);
            flags.belongs_to(opaque)?;
            let cas = flags.cas.ok_or(Garbage("it left out what it was asked for"))?;
            let whole = end + 1 + size + 2;
            if buffer.len() < whole {
                return Ok(Err(whole - buffer.len()));
            }
            if buffer[whole - 2..whole] != *b"\r\n" {
                return Err(Garbage("it sent a value of another size than it said"));
            }
            buffer.advance(end + 1);
            let data = if size < WORTH_SLICING {
                let data = Bytes::copy_from_slice(&buffer[..size]);
                buffer.advance(size);
                data
            } else {
                buffer.split_to(size).freeze()
            };
            buffer.advance(2);
            return Ok(Ok(Reply::Value { data, cas }));
        }
        (b"EN", Kind::Get) => {
            // Not every version sends the opaque with a miss. A miss in the wrong place is no wrong answer, and the next hit shows it.
            let flags = Flags::of(words);
            if flags.opaque.is_some() {
                flags.belongs_to(opaque)?;
            }
            Reply::Miss
        }
        (b"HD" | b"NS" | b"EX" | b"NF", Kind::Set | Kind::Delete) => {
            Flags::of(words).belongs_to(opaque)?;
            match first {
                b"HD" => Reply::Done,
                b"NS" => Reply::NotStored,
                b"EX" => Reply::Changed,
                _ => Reply::NotFound,
            }
        }
        (b"MN", Kind::Noop) => Reply::Noop,
        (b"SERVER_ERROR", _) => refusal(&line[first.len()..]),
        // After these it is not certain what the server takes the following bytes for.
        (b"CLIENT_ERROR" | b"ERROR", _) => return Err(Garbage("it did not understand a command")),
        _ => return Err(Garbage("it sent something else than an answer")),
    };
    buffer.advance(end + 1);
    Ok(Ok(reply))
}

#[derive(Default)]
struct Flags {
    cas: Option<u64>,
    opaque: Option<u64>,
}

impl Flags {
    fn of<'a>(words: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut flags = Self::default();
        for word in words {
            match word {
                [b'c', digits @ ..] => flags.cas = number(digits),
                [b'O', digits @ ..] => flags.opaque = number(digits),
                _ => {}
            }
        }
        flags
    }

    fn belongs_to(&self, opaque: u64) -> Result<(), Garbage> {
        if self.opaque == Some(opaque) {
            Ok(())
        } else {
            Err(Garbage("it answered another question than was asked"))
        }
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.first().is_none_or(|byte| !byte.is_ascii_digit()) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn refusal(text: &[u8]) -> Reply {
    let text = String::from_utf8_lossy(text).trim().escape_debug().take(200).collect::<String>();
    if text.contains("too large") { Reply::TooLarge } else { Reply::Failed(text.into()) }
}
