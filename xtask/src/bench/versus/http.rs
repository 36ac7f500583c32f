//! One request over a connection of its own, for looking at what a server answers before it is measured.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// Asks a port of this machine.
///
/// # Errors
/// When nobody answers, or with something that is no HTTP.
pub(super) fn get(port: u16, path: &str) -> Result<Answer> {
    let patience = Some(Duration::from_secs(10));
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(patience)?;
    stream.set_write_timeout(patience)?;
    // The host as wrk says it: it is part of most keys.
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n")?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Result<Answer> {
    let end = find(bytes, b"\r\n\r\n").context("the answer has no end of its head")?;
    let head = std::str::from_utf8(&bytes[..end]).context("the answer's head is no text")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let status = status.with_context(|| format!("no HTTP: {head:.40}"))?;
    let chunked = lines.any(|line| {
        let line = line.to_ascii_lowercase();
        line.starts_with("transfer-encoding:") && line.contains("chunked")
    });
    let body = &bytes[end + 4..];
    Ok(Answer { status, body: if chunked { unchunked(body)? } else { body.to_vec() } })
}

fn unchunked(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = find(rest, b"\r\n").context("a chunk without a length")?;
        let digits = std::str::from_utf8(&rest[..end])?.split(';').next().unwrap_or_default();
        let length =
            usize::from_str_radix(digits.trim(), 16).with_context(|| format!("no length: {digits:?}"))?;
        if length == 0 {
            return Ok(body);
        }
        let Some(chunk) = rest.get(end + 2..end + 2 + length) else { bail!("a chunk is cut short") };
        body.extend_from_slice(chunk);
        ensure!(rest.len() >= end + 4 + length, "a chunk is cut short");
        rest = &rest[end + 4 + length..];
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_with_and_without_chunks() {
        let plain = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").unwrap();
        assert_eq!(plain, Answer { status: 200, body: b"hello".to_vec() });
        let chunked =
            b"HTTP/1.1 404 Not\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n";
        assert_eq!(parse(chunked).unwrap(), Answer { status: 404, body: b"hello".to_vec() });
    }

    #[test]
    fn what_is_cut_short_or_no_http_is_an_error() {
        for wrong in [
            &b""[..],
            b"HTTP/1.1 200 OK\r\n",
            b"+PONG\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nhello\r\n",
        ] {
            assert!(parse(wrong).is_err(), "{}", wrong.escape_ascii());
        }
    }
}
