//! Memcached servers of a test's own: it may kill and stop them, and nobody else writes to them.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A server on a socket in a directory of its own, so that no port can be taken by another in between. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    options: Vec<String>,
    directory: TempDir,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// Starts one with more options.
    pub(crate) fn with(options: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        Self { child: spawn(&socket_in(&directory), &options), options, directory }
    }

    /// One that listens on a port of this machine; `None` if it can't.
    pub(crate) fn on_port(port: u16) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new("memcached");
        command.args(["-u", "root", "-t", "1", "-U", "0", "-l", "127.0.0.1", "-p", &port.to_string()]);
        let child = command.stderr(Stdio::null()).spawn().unwrap();
        let mut server = Self { child, options: Vec::new(), directory };
        let late = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > late || server.child.try_wait().unwrap().is_some() {
                return None;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        // If it is gone, somebody else has answered.
        std::thread::sleep(Duration::from_millis(20));
        server.child.try_wait().unwrap().is_none().then_some(server)
    }

    /// As Larder wants it.
    pub(crate) fn address(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    pub(crate) fn socket(&self) -> PathBuf {
        socket_in(&self.directory)
    }

    /// What it says to a line of the protocol, in the words of the protocol.
    pub(crate) fn say(&self, line: &str) -> String {
        String::from_utf8_lossy(&self.ask(line.as_bytes())).into_owned()
    }

    fn ask(&self, line: &[u8]) -> Vec<u8> {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(&[line, b"\r\nmn\r\n"].concat()).unwrap();
        let (mut answer, mut part) = (Vec::new(), [0; 4096]);
        while !answer.ends_with(b"MN\r\n") {
            let read = stream.read(&mut part).unwrap();
            assert!(read > 0, "memcached hung up");
            answer.extend_from_slice(&part[..read]);
        }
        answer.truncate(answer.len() - 4);
        answer
    }

    /// Replaces the bytes under a name by what `change` makes of them.
    pub(crate) fn rewrite(&self, name: &str, change: &dyn Fn(&[u8]) -> Vec<u8>) {
        let answer = self.ask(format!("mg {name} v").as_bytes());
        let head = answer.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let changed = change(&answer[head..answer.len() - 2]);
        let set = format!("ms {name} {} T0\r\n", changed.len());
        assert_eq!(self.ask(&[set.as_bytes(), &changed].concat()), b"HD\r\n");
    }

    /// Whether something is called `name` there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.say(&format!("mg {name} s")).starts_with("HD")
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::fs::remove_file(self.socket()).unwrap();
    }

    /// Starts it again at the same place, empty.
    pub(crate) fn restart(&mut self) {
        self.child = spawn(&self.socket(), &self.options);
    }

    /// Sends it a signal: `STOP`, `CONT`.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &id]).status().unwrap().success());
        if signal == "STOP" {
            stands_still(&id);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn socket_in(directory: &TempDir) -> PathBuf {
    directory.path().join("memcached.sock")
}

fn spawn(socket: &PathBuf, options: &[String]) -> Child {
    let mut command = Command::new("memcached");
    // Memcached asks for a user only if it is root, and then it can stay root.
    command.args(["-u", "root", "-t", "1", "-m", "64", "-s"]).arg(socket).args(options);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().unwrap_or_else(|error| {
        panic!("this test needs the program memcached ({error}): apt-get install -y --no-install-recommends memcached")
    });
    let late = Instant::now() + Duration::from_secs(20);
    while UnixStream::connect(socket).is_err() {
        assert!(Instant::now() < late, "memcached does not come up");
        std::thread::sleep(Duration::from_millis(2));
    }
    child
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
