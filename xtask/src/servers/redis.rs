//! Redis: in memory only, under no password.

use std::{
    fs,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use super::{
    Server, Site, Started,
    process::{Process, ask, free_port},
    programs::Program,
    retried,
};
use crate::{
    names::{self, Name},
    run,
};

/// How long servers may take to find each other.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Redis;

impl Server for Redis {
    fn name(&self) -> Name {
        names::REDIS
    }

    fn programs(&self) -> &'static [Program] {
        &[Program(&["redis-server", "valkey-server"])]
    }

    fn start(&self, site: &Site) -> Result<Started> {
        retried(|| {
            let port = free_port()?;
            let process = server(site, port, &[])?;
            let address = format!("redis://127.0.0.1:{port}/0");
            Ok(Started { processes: vec![process], address, extra: Vec::new() })
        })
    }
}

/// One server, in a folder of its own.
///
/// # Errors
/// When it does not come up.
pub(super) fn server(site: &Site, port: u16, more: &[&str]) -> Result<Process> {
    let folder = site.folder.join(port.to_string());
    fs::create_dir_all(&folder)?;
    let mut command = Command::new(&site.programs[0]);
    command
        .current_dir(&folder)
        .args(more)
        .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
        .args(["--save", "", "--appendonly", "no", "--daemonize", "no"]);
    Process::start(&mut command, folder.join("log"))?.until(|| ask(port, b"PING\r\n").starts_with(b"+PONG"))
}

/// Whether what a server answers has this in it.
pub(super) fn says(port: u16, question: &str, what: &str) -> bool {
    let answer = ask(port, format!("{question}\r\n").as_bytes());
    String::from_utf8_lossy(&answer).contains(what)
}

/// Tells a server something.
///
/// # Errors
/// When it refuses, with what it said.
pub(super) fn tell(port: u16, what: &str) -> Result<()> {
    let answer = ask(port, format!("{what}\r\n").as_bytes());
    ensure!(answer.starts_with(b"+OK"), "{what:.40}: {}", answer.escape_ascii());
    Ok(())
}

/// Waits until something is so.
///
/// # Errors
/// When that takes too long.
pub(super) fn until(what: &str, done: impl Fn() -> bool) -> Result<()> {
    let since = Instant::now();
    while !done() {
        run::check_interrupted()?;
        ensure!(since.elapsed() < PATIENCE, "{what}: not in {PATIENCE:?}");
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
