//! Questions to whoever has a key, and their answers.

use std::io::Write as _;

use bytes::Bytes;
use larder_core::Error;
use redis::{Cmd, FromRedisValue, RedisError, RedisWrite as _, ServerErrorKind, Value};

use crate::error::mapped;
use crate::incarnation::Run;
use crate::scripts::Script;

/// A part of a command.
#[derive(Clone, Debug)]
pub(crate) enum Word {
    Plain(Bytes),
    /// With the incarnation of the server that is asked between the two.
    Marked(Bytes, Bytes),
}

impl Word {
    pub(crate) fn number(number: impl Into<i128>) -> Self {
        Self::Plain(number.into().to_string().into())
    }

    pub(crate) fn text(text: &'static str) -> Self {
        Self::Plain(Bytes::from_static(text.as_bytes()))
    }

    fn write(&self, command: &mut Cmd, run: Run) {
        match self {
            Self::Plain(bytes) => {
                command.arg(&bytes[..]);
            }
            Self::Marked(front, back) => {
                command.reserve_space_for_args([front.len() + Run::DIGITS + back.len()]);
                let mut word = command.writer_for_next_arg();
                // Into memory, which takes all.
                _ = word.write_all(front);
                _ = write!(word, "{run}");
                _ = word.write_all(back);
            }
        }
    }
}

/// One command about one key.
#[derive(Debug)]
pub(crate) struct Ask {
    what: What,
    name: String,
    /// Further keys, where all are on one server.
    more: Vec<String>,
    words: Vec<Word>,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Get,
    Command(&'static str),
    Script(&'static Script),
}

impl Ask {
    /// What stands under a name. What is not a string is nothing.
    pub(crate) fn get(name: String) -> Self {
        Self { what: What::Get, name, more: Vec::new(), words: Vec::new() }
    }

    pub(crate) fn command(verb: &'static str, name: String, words: Vec<Word>) -> Self {
        Self { what: What::Command(verb), name, more: Vec::new(), words }
    }

    pub(crate) fn script(script: &'static Script, name: String, words: Vec<Word>) -> Self {
        Self { what: What::Script(script), name, more: Vec::new(), words }
    }

    /// A further key of a script, on the same server.
    pub(crate) fn with_key(mut self, name: Option<String>) -> Self {
        self.more.extend(name);
        self
    }

    #[cfg(feature = "cluster")]
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The name, if that is all that is asked for.
    pub(crate) fn as_get(&self) -> Option<&str> {
        matches!(self.what, What::Get).then_some(&self.name)
    }

    pub(crate) fn is_script(&self) -> bool {
        matches!(self.what, What::Script(_))
    }

    /// The command for a server of this incarnation. A server that was restarted does not know scripts by their names.
    pub(crate) fn to_command(&self, run: Run, by_text: bool) -> Cmd {
        let mut command = Cmd::new();
        match self.what {
            What::Get => command.arg("GET").arg(&self.name),
            What::Command(verb) => command.arg(verb).arg(&self.name),
            What::Script(script) => {
                if by_text {
                    command.arg("EVAL").arg(script.text());
                } else {
                    command.arg("EVALSHA").arg(script.hash());
                }
                command.arg(1 + self.more.len()).arg(&self.name).arg(&self.more)
            }
        };
        for word in &self.words {
            word.write(&mut command, run);
        }
        command
    }
}

/// The names that are to be asked for in one command.
pub(crate) fn mget<'a>(names: impl Iterator<Item = &'a str>) -> Cmd {
    let mut command = redis::cmd("MGET");
    for name in names {
        command.arg(name);
    }
    command
}

/// What a server said, and which incarnation it was.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) value: Result<Value, RedisError>,
    pub(crate) run: Run,
}

impl Answer {
    pub(crate) fn to<T: FromRedisValue>(self) -> Result<T, Error> {
        let value = self.value.map_err(mapped)?;
        redis::from_redis_value(value).map_err(|error| mapped(error.into()))
    }

    /// What stands there.
    pub(crate) fn found(self) -> Result<Found, Error> {
        let run = self.run;
        let bytes = match self.value {
            // A list or the like.
            Err(error) if error.code() == Some("WRONGTYPE") => None,
            value => Answer { value, run }.to()?,
        };
        Ok(Found { bytes, run })
    }

    pub(crate) fn is(&self, kind: ServerErrorKind) -> bool {
        matches!(&self.value, Err(error) if error.kind() == kind.into())
    }
}

/// What stands under a name, and which incarnation says so.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) bytes: Option<Bytes>,
    pub(crate) run: Run,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marked_word_bears_the_incarnation_of_the_server_that_is_asked() {
        let words = vec![Word::Marked(Bytes::from_static(b"<"), Bytes::from_static(b">")), Word::number(7)];
        let ask = Ask::command("SET", "k".into(), words);
        let sent = ask.to_command(Run::test(0xab), false).get_packed_command();
        let sent = String::from_utf8_lossy(&sent);
        assert!(sent.contains("\r\n$18\r\n<00000000000000ab>\r\n$1\r\n7\r\n"), "{sent}");
    }
}
