//! A Redis server of a test's own, that may be stopped and killed.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::ports::own_port;

/// Lets so many ms pass for what only the server expires.
pub(crate) const AGE: &str = "for _, key in ipairs(redis.call('KEYS', '*')) do
    local left = redis.call('PTTL', key)
    if left >= 0 and redis.pcall('GETRANGE', key, 0, 7) ~= 'larder1 ' then
        if left <= tonumber(ARGV[1]) then redis.call('DEL', key)
        else redis.call('PEXPIRE', key, string.format('%.0f', left - ARGV[1])) end
    end
end";

/// Killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    directory: TempDir,
    port: u16,
    process: Option<Child>,
    more: Vec<String>,
}

impl Server {
    /// At a Unix socket, and at a port of its own.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    pub(crate) fn with(more: &[&str]) -> Self {
        let more = more.iter().map(|&arg| arg.to_owned()).collect();
        let mut server =
            Self { directory: tempfile::tempdir().unwrap(), port: own_port(), process: None, more };
        server.again();
        server
    }

    /// A sentinel with such a configuration.
    pub(crate) fn sentinel(configuration: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("sentinel.conf"), configuration).unwrap();
        let more = vec!["--sentinel".to_owned()];
        let mut server = Self { directory, port: own_port(), process: None, more };
        server.again();
        server
    }

    /// Starts it, at the same places.
    pub(crate) fn again(&mut self) {
        let mut command = Command::new("redis-server");
        if self.directory.path().join("sentinel.conf").exists() {
            command.arg("sentinel.conf");
        }
        command
            .current_dir(self.directory.path())
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--unixsocket", &self.socket().display().to_string()])
            .args(["--save", "", "--appendonly", "no"])
            .args(&self.more)
            .stdout(Stdio::null());
        let process = command.spawn().unwrap_or_else(|error| {
            panic!("no redis-server ({error}): apt-get install -y --no-install-recommends redis-server")
        });
        self.process = Some(process);
        let late = Instant::now() + Duration::from_secs(30);
        while UnixStream::connect(self.socket()).is_err() {
            assert!(Instant::now() < late, "redis-server does not come up");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("redis.sock")
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its process and its directory, which somebody else ends.
    pub(crate) fn let_go(mut self) -> (String, PathBuf) {
        let process = self.process.take().unwrap().id().to_string();
        let directory = std::mem::replace(&mut self.directory, tempfile::tempdir().unwrap());
        (process, directory.keep())
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// `STOP` makes it silent, `CONT` lets it speak again.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.process.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &id]).status().unwrap().success());
        if signal == "STOP" {
            stands_still(&id);
        }
    }

    /// Whether it has come up as a whole, and not ended when it found its other ports taken.
    #[cfg(feature = "cluster")]
    pub(crate) fn answers(&self) -> bool {
        use std::io::Read as _;

        let Ok(mut stream) = UnixStream::connect(self.socket()) else { return false };
        stream.write_all(b"PING\r\n").is_ok() && stream.read_exact(&mut [0]).is_ok()
    }

    /// Asks as `redis-cli` does; the answer as it comes, lists one line an item.
    pub(crate) fn cli(&self, words: &[&str]) -> String {
        self.asked(words).unwrap_or_else(|error| panic!("the server says {error}"))
    }

    /// The same; what the server refuses is an error.
    pub(crate) fn asked(&self, words: &[&str]) -> Result<String, String> {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        let mut question = format!("*{}\r\n", words.len());
        for word in words {
            question += &format!("${}\r\n{word}\r\n", word.len());
        }
        stream.write_all(question.as_bytes()).unwrap();
        answer(&mut BufReader::new(stream))
    }

    /// Replaces the bytes under a name by what `change` makes of them.
    pub(crate) fn rewrite(&self, name: &str, change: &dyn Fn(&[u8]) -> Vec<u8>) {
        let client = redis::Client::open(format!("redis+unix://{}", self.socket().display())).unwrap();
        let mut connection = client.get_connection().unwrap();
        let bytes: Vec<u8> = redis::cmd("GET").arg(name).query(&mut connection).unwrap();
        let set = redis::cmd("SET").arg(name).arg(change(&bytes)).arg("KEEPTTL").exec(&mut connection);
        set.unwrap();
    }

    /// How often each command was run since the last `CONFIG RESETSTAT`, without those of scripts and our own.
    pub(crate) fn commands(&self) -> Vec<String> {
        let stats = self.cli(&["INFO", "commandstats"]);
        let calls = stats.lines().filter_map(|line| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let calls = rest.split(',').next()?;
            (!["config|resetstat", "info"].contains(&name)).then(|| format!("{name} {calls}"))
        });
        let mut calls: Vec<String> = calls.collect();
        calls.sort();
        calls
    }

    /// Lets the server's clock go on for what it expires by itself, when the hand of the cache's clock was moved: entries carry their own expiry.
    pub(crate) fn age(&self, by: Duration) {
        assert_eq!(self.cli(&["EVAL", AGE, "0", &by.as_millis().to_string()]), "");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn answer(from: &mut impl BufRead) -> Result<String, String> {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    let line = line.trim_end();
    Ok(match line.split_at(1) {
        ("$" | "*", "-1") => String::new(),
        ("$", length) => {
            let mut bytes = vec![0; length.parse::<usize>().unwrap() + 2];
            from.read_exact(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes[..bytes.len() - 2]).into_owned()
        }
        ("*", count) => {
            let items = (0..count.parse().unwrap()).map(|_: usize| answer(from));
            items.collect::<Result<Vec<_>, _>>()?.join("\n")
        }
        ("-", error) => return Err(error.to_owned()),
        (_, rest) => rest.to_owned(),
    })
}

/// Until each thread of a stopped process stands still: the signal is on its way when `kill` has returned.
fn stands_still(id: &str) {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{id}/task")) else { return };
    for task in tasks {
        let stat = task.unwrap().path().join("stat");
        let stopped = || {
            let text = std::fs::read_to_string(&stat).unwrap_or_default();
            text.rsplit(')').next().is_none_or(|rest| rest.trim_start().starts_with('T'))
        };
        while stat.exists() && !stopped() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
}
