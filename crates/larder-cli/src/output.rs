//! What is printed.

use std::io::{self, Write};

use crate::failure::Failure;

/// The standard output.
pub(crate) struct Output<W> {
    out: W,
    terminal: bool,
}

impl<W: Write> Output<W> {
    pub(crate) fn new(out: W, terminal: bool) -> Self {
        Self { out, terminal }
    }

    /// A line of the program's own.
    pub(crate) fn line(&mut self, line: &str) -> Result<(), Failure> {
        Ok(writeln!(self.out, "{line}")?)
    }

    /// A value. To a pipe or a file it goes as it is, to the last byte; on a terminal it gets a line of its own, and what would steer the terminal is
    /// escaped.
    pub(crate) fn value(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if !self.terminal {
            return Ok(self.out.write_all(bytes)?);
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => self.line(&harmless(text)),
            Err(_) => Err(Failure::said(format!(
                "the value is {} bytes that are no text; send them into a file or a pipe",
                bytes.len()
            ))),
        }
    }

    /// A key on a line of its own, escaped on a terminal as a value is.
    pub(crate) fn key(&mut self, key: &str) -> Result<(), Failure> {
        if self.terminal { self.line(&harmless(key)) } else { self.line(key) }
    }

    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => out.push(c),
            c if c.is_control() => out.extend(c.escape_debug()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(bytes: &[u8], terminal: bool) -> Result<Vec<u8>, Failure> {
        let mut out = Vec::new();
        Output::new(&mut out, terminal).value(bytes)?;
        Ok(out)
    }

    #[test]
    fn a_pipe_gets_every_byte_and_none_more() {
        for bytes in [&b"text"[..], b"\xff\0\x1b[2J", b"", b"a\n"] {
            assert_eq!(shown(bytes, false).unwrap(), bytes);
        }
    }

    #[test]
    fn a_terminal_gets_a_line_that_does_not_steer_it() {
        assert_eq!(shown("ä\tb\nc".as_bytes(), true).unwrap(), "ä\tb\nc\n".as_bytes());
        assert_eq!(shown(b"\x1b[2J\r", true).unwrap(), b"\\u{1b}[2J\\r\n");
        let mut out = Vec::new();
        Output::new(&mut out, true).key("a\x1b[2J").unwrap();
        assert_eq!(out, b"a\\u{1b}[2J\n");
        let Err(Failure::Said(error)) = shown(b"\xff\xff", true) else { panic!("no text") };
        assert!(error.contains("2 bytes") && error.contains("pipe"), "{error}");
    }
}
