//! A Redis server of a test's own, that may be killed and started again.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// At a Unix socket. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    directory: TempDir,
    process: Option<Child>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let mut server = Self { directory: tempfile::tempdir().unwrap(), process: None };
        server.again();
        server
    }

    /// Starts it, at the same place.
    pub(crate) fn again(&mut self) {
        let process = Command::new("redis-server")
            .current_dir(self.directory.path())
            .args(["--port", "0", "--unixsocket", &self.socket().display().to_string()])
            .args(["--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn();
        self.process = Some(process.unwrap_or_else(|error| {
            panic!("no redis-server ({error}): apt-get install -y --no-install-recommends redis-server")
        }));
        let late = Instant::now() + Duration::from_secs(30);
        while UnixStream::connect(self.socket()).is_err() {
            assert!(Instant::now() < late, "redis-server does not come up");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("redis.sock")
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Asks as `redis-cli` does, for short answers on one line.
    pub(crate) fn cli(&self, words: &[&str]) -> String {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        let mut question = format!("*{}\r\n", words.len());
        for word in words {
            question += &format!("${}\r\n{word}\r\n", word.len());
        }
        stream.write_all(question.as_bytes()).unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        assert!(!line.starts_with('-'), "the server says {line}");
        line.trim_end().to_owned()
    }

    /// Lets the server's clock go on for what it expires by itself, when the hand of the cache's clock was moved.
    pub(crate) fn age(&self, by: Duration) {
        let script = "for _, key in ipairs(redis.call('KEYS', '*')) do
            local left = redis.call('PTTL', key)
            if left >= 0 and redis.call('GETRANGE', key, 0, 7) ~= 'larder1 ' then
                if left <= tonumber(ARGV[1]) then redis.call('DEL', key)
                else redis.call('PEXPIRE', key, string.format('%.0f', left - ARGV[1])) end
            end
        end";
        self.cli(&["EVAL", script, "0", &by.as_millis().to_string()]);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
