//! What was asked for most, by an access log in the common or combined format.

use std::collections::HashMap;
use std::io::{self, BufRead, Read as _};

/// No request line is longer: servers refuse it.
const LONGEST_LINE: u64 = 64 << 10;
/// Whoever asks for a million different things wants a log to be large.
const MOST_PATHS: usize = 1_000_000;

/// What a log says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Path and query, and how often it was asked for.
    pub(super) paths: HashMap<String, u64>,
    /// Lines that say nothing of a page: other methods, other answers, and what is no such line.
    pub(super) other_lines: u64,
}

impl Tally {
    /// The most asked for first; those asked for as often in the order of the alphabet.
    pub(super) fn ranked(self) -> Vec<String> {
        let mut ranked: Vec<(String, u64)> = self.paths.into_iter().collect();
        ranked.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        ranked.into_iter().map(|(path, _)| path).collect()
    }
}

/// Counts what was asked for by GET and answered with 200 or 304.
pub(super) fn tally(mut log: impl BufRead) -> io::Result<Tally> {
    let mut tally = Tally::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        if log.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(tally);
        }
        match std::str::from_utf8(&line).ok().and_then(asked) {
            Some(path) if tally.paths.len() < MOST_PATHS || tally.paths.contains_key(path) => {
                *tally.paths.entry(path.to_owned()).or_default() += 1;
            }
            _ => tally.other_lines += 1,
        }
    }
}

/// The path and query that a line says was asked for and answered:
/// `127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET /a?b HTTP/1.0" 200 2326 …`
fn asked(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("] \"")?;
    let (request, rest) = rest.split_once('"')?;
    let mut words = request.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if method != "GET" || !version.starts_with("HTTP/") || words.next().is_some() {
        return None;
    }
    let status = rest.split_whitespace().next()?;
    // What the log itself had to escape is nothing that a browser sends.
    let plain = target.starts_with('/') && !target.starts_with("//") && !target.contains('\\');
    (plain && matches!(status, "200" | "304")).then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &str) -> Tally {
        tally(lines.as_bytes()).unwrap()
    }

    #[test]
    fn what_was_asked_for_most_comes_first() {
        let log = "\
127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] \"GET /b HTTP/1.0\" 200 2326
::1 - - [10/Oct/2000:13:55:37 -0700] \"GET /a?x=%22 HTTP/2.0\" 304 0 \"http://a/\" \"Mozilla/5.0 (\\\"x\\\")\"
127.0.0.1 - - [10/Oct/2000:13:55:38 -0700] \"GET /a?x=%22 HTTP/1.1\" 200 - \"-\" \"-\" 0.003
shop.example:443 127.0.0.1 - - [10/Oct/2000:13:55:39 -0700] \"GET /c HTTP/1.1\" 200 1";
        let tally = of(log);
        assert_eq!(
            (tally.other_lines, tally.ranked()),
            (0, vec!["/a?x=%22".into(), "/b".into(), "/c".into()])
        );
    }

    #[test]
    fn only_pages_that_were_there_and_can_be_asked_for_again_count() {
        let line = |request: &str, status: &str| format!("1.2.3.4 - - [x] \"{request}\" {status} 1\n");
        let log = [
            line("POST / HTTP/1.1", "200"),
            line("HEAD / HTTP/1.1", "200"),
            line("GET / HTTP/1.1", "404"),
            line("GET / HTTP/1.1", "500"),
            line("GET / HTTP/1.1", "302"),
            line("GET http://evil/ HTTP/1.1", "200"),
            line("GET //evil/ HTTP/1.1", "200"),
            line("GET /\\x22 HTTP/1.1", "200"),
            line("GET /a b HTTP/1.1", "200"),
            line("GET /", "200"),
            line("\\x16\\x03\\x01", "400"),
            "\n".to_owned(),
            "no log at all\n".to_owned(),
        ];
        let tally = of(&log.concat());
        assert_eq!((tally.paths.len(), tally.other_lines), (0, log.len() as u64));
    }

    #[test]
    fn a_line_without_an_end_takes_no_memory_and_garbage_is_skipped() {
        let mut log = vec![b'x'; 1 << 20];
        log.extend(b"\n\xff\xfe\n1 - - [x] \"GET /a HTTP/1.1\" 200 1\n");
        assert_eq!(tally(&*log).unwrap().ranked(), ["/a"]);
    }
}
