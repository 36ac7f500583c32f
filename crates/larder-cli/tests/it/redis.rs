//! A Redis server of our own.
#![cfg(feature = "redis")]

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::larder;
use super::program::larder_in;
use super::stores::serves;

struct Server {
    child: Child,
    folder: tempfile::TempDir,
}

impl Server {
    fn start(words: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]);
        command.arg(folder.path().join("r.sock")).arg("--dir").arg(folder.path()).args(words);
        let child = command.stdout(Stdio::null()).spawn().unwrap_or_else(|error| {
            panic!("no redis-server ({error}): apt-get install -y --no-install-recommends redis-server")
        });
        let server = Self { child, folder };
        let late = Instant::now() + Duration::from_secs(60);
        while !server.socket().exists() {
            assert!(Instant::now() < late, "redis-server does not come up");
            thread::sleep(Duration::from_millis(10));
        }
        server
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("r.sock")
    }

    fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_redis_cache_is_served() {
    serves(&Server::start(&[]).url());
}

#[cfg(feature = "tiered")]
#[test]
fn a_tiered_cache_is_served() {
    let server = Server::start(&[]);
    serves(&format!("tiered:?l2={}", server.url()));
}

#[test]
fn a_wrong_password_is_refused_and_the_right_one_may_come_from_the_environment() {
    let server = Server::start(&["--requirepass", "correct"]);
    let url = server.url();
    let wrong = url.replace("//", "//:hunter2@");
    let ran = larder(&["--cache", &wrong, "ping"]);
    ran.refused(&[]);
    assert!(!ran.err.contains("hunter2"), "{}", ran.err);
    let right = [("LARDER_URL", url.as_str()), ("LARDER_PASSWORD", "correct")];
    assert_eq!(larder_in(&right, &["ping"], b"").code, 0);
    larder_in(&right, &["set", "a", "b"], b"").printed("");
}
