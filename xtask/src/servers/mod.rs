//! The real servers that tests talk to: found, installed, started on free ports of 127.0.0.1 and stopped again.
//!
//! One file a server. To add one: a file that implements [`Server`], a line in [`ALL`], and its address in
//! `tests/src/names.rs`.

mod browser;
mod mariadb;
mod memcached;
mod postgres;
pub(crate) mod process;
pub(crate) mod programs;
mod redis;
mod redis_cluster;
mod redis_sentinel;
mod report;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use tempfile::TempDir;

use self::{process::Process, programs::Program};
use crate::{
    install,
    names::{self, Name},
    run,
};

/// A kind of server: how to find it and how to start one.
trait Server: Sync {
    /// What the tests call it.
    fn name(&self) -> Name;

    /// What it takes to run one.
    fn programs(&self) -> &'static [Program];

    /// Starts it on free ports and waits until it answers; everything it writes goes into the site's folder.
    ///
    /// # Errors
    /// When it ends early or doesn't answer, with the last lines of its log.
    fn start(&self, site: &Site) -> Result<Started>;
}

/// Every server, as `names::ALL` lists them.
const ALL: [&dyn Server; 7] = [
    &redis::Redis,
    &redis_cluster::Cluster,
    &redis_sentinel::Sentinel,
    &memcached::Memcached,
    &postgres::Postgres,
    &mariadb::Mariadb,
    &browser::Browser,
];

/// What a server has to run with.
struct Site {
    /// An empty folder of its own.
    folder: PathBuf,
    /// One path for each of [`Server::programs`].
    programs: Vec<PathBuf>,
}

/// A server that answers, until this is dropped.
struct Started {
    processes: Vec<Process>,
    /// Where it is, for the variable that the tests read.
    address: String,
    /// Further variables.
    extra: Vec<(&'static str, String)>,
}

/// Which servers to have, and what may be done to get them.
#[derive(Debug, Clone, Args)]
pub(crate) struct Which {
    /// Only these, such as redis,postgres.
    #[arg(long, value_delimiter = ',', value_name = "NAMES", value_parser = known_name)]
    only: Option<Vec<String>>,

    /// Install missing servers with apt-get; root on Debian needs no flag.
    #[arg(long)]
    install: bool,

    /// Start none: the environment names them all, or the tests that run need none.
    #[arg(long, conflicts_with = "only")]
    no_servers: bool,
}

fn known_name(name: &str) -> Result<String, String> {
    let names = names::ALL.map(|server| server.name);
    if names.contains(&name) { Ok(name.to_owned()) } else { Err(format!("one of {}", names.join(", "))) }
}

impl Which {
    /// These, installed where that is done without asking.
    pub(crate) fn these(names: &[&str], install: bool) -> Self {
        let only = Some(names.iter().map(|&name| name.to_owned()).collect());
        Self { only, install, no_servers: false }
    }

    fn servers(&self) -> Vec<&'static dyn Server> {
        let wanted = |name: &str| self.only.as_ref().is_none_or(|only| only.iter().any(|one| one == name));
        ALL.into_iter().filter(|server| !self.no_servers && wanted(server.name().name)).collect()
    }
}

/// The servers that are up, until this is dropped.
pub(crate) struct Servers {
    // Before the folder, as fields are dropped in order: first the servers stop, then their files go.
    started: Vec<Started>,
    folder: Option<TempDir>,
    /// What the tests have to find in their environment.
    pub(crate) env: Vec<(&'static str, String)>,
}

/// Brings the servers up, all at once, and prints what came of each.
///
/// One that can't be had is no error here: the tests that need it fail and say how to get it.
///
/// # Errors
/// When there is no place for their files, or we were interrupted.
pub(crate) fn bring(which: &Which) -> Result<Servers> {
    let since = Instant::now();
    let servers = which.servers();
    let installed = install_missing(&servers, which.install);
    let folder = folder()?;
    let outcomes: Vec<_> = thread::scope(|scope| {
        let starts: Vec<_> =
            servers.iter().map(|server| scope.spawn(|| timed(|| have(*server, folder.path())))).collect();
        starts.into_iter().map(|start| start.join().unwrap_or_else(|_| panicked())).collect()
    });
    run::check_interrupted()?;

    let mut up = Servers { started: Vec::new(), folder: Some(folder), env: Vec::new() };
    let mut lines = Vec::new();
    for (server, (outcome, took)) in servers.iter().zip(outcomes) {
        let name = server.name();
        lines.push(report::Line::new(&name, installed.contains(&name.name), &outcome, took));
        if let Ok(Had::Started(mut started)) = outcome {
            up.env.push((name.env, started.address.clone()));
            up.env.append(&mut started.extra);
            up.started.push(started);
        }
    }
    report::print(&lines, since.elapsed());
    Ok(up)
}

/// What `cargo xtask servers` does: everything that can be had is up until Ctrl-C.
///
/// # Errors
/// As [`bring`].
pub(crate) fn until_interrupted(which: &Which) -> Result<()> {
    let up = bring(which)?;
    for (name, value) in &up.env {
        println!("export {name}={value}");
    }
    eprintln!("\nCtrl-C stops them.");
    while !run::interrupted() {
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// How a server was had.
enum Had {
    /// The environment says where it is.
    Given(String),
    Started(Started),
}

fn have(server: &dyn Server, root: &Path) -> Result<Had> {
    let name = server.name();
    if let Some(address) = given(&name) {
        return Ok(Had::Given(address));
    }
    let programs = server.programs().iter().map(Program::find).collect::<Result<_>>()?;
    let folder = root.join(name.name);
    fs::create_dir(&folder)?;
    server.start(&Site { folder, programs }).map(Had::Started)
}

fn given(name: &Name) -> Option<String> {
    std::env::var(name.env).ok().filter(|address| !address.is_empty())
}

/// Installs what is neither given nor found, where that is allowed; the names of the servers it was done for.
fn install_missing(servers: &[&dyn Server], asked: bool) -> Vec<&'static str> {
    let missing = |server: &&dyn Server| {
        given(&server.name()).is_none() && server.programs().iter().any(|program| program.find().is_err())
    };
    let names: Vec<_> = servers.iter().copied().filter(missing).map(Server::name).collect();
    if names.is_empty() || !(asked || install::by_itself()) {
        return Vec::new();
    }
    let packages: Vec<_> = names.iter().flat_map(|name| name.packages).copied().collect();
    match install::packages(&packages) {
        Ok(()) => names.iter().map(|name| name.name).collect(),
        Err(error) => {
            // Not the end: the other servers serve the other tests.
            eprintln!("error: {error:#}");
            Vec::new()
        }
    }
}

/// A folder for all servers' files, which servers under other users may enter.
fn folder() -> Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("larder-").tempdir().context("a temporary directory")?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    Ok(folder)
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let since = Instant::now();
    (work(), since.elapsed())
}

fn panicked() -> (Result<Had>, Duration) {
    (Err(anyhow::anyhow!("starting it panicked")), Duration::ZERO)
}

/// Tries a start that may lose the race for its port, as a port is free only until somebody else takes it.
fn retried<T>(mut start: impl FnMut() -> Result<T>) -> Result<T> {
    let mut last = None;
    for _ in 0..3 {
        run::check_interrupted()?;
        match start() {
            Ok(started) => return Ok(started),
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(error) => Err(error),
        None => bail!("not tried"),
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // All at once: a database takes a moment to end.
        for process in self.started.iter_mut().flat_map(|started| &mut started.processes) {
            process.ask_to_end();
        }
        self.started.clear();
        if let Some(Err(error)) = self.folder.take().map(TempDir::close) {
            eprintln!("warning: left-over files of the servers: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_are_those_that_the_tests_know() {
        assert_eq!(ALL.map(|server| server.name().env), names::ALL.map(|name| name.env));
    }

    #[test]
    fn only_takes_known_names_and_keeps_the_others_out() {
        assert!(known_name("redis").is_ok());
        assert!(known_name("reddis").unwrap_err().contains("redis, redis-cluster"));
        let only = Some(vec!["postgres".to_owned()]);
        let which = Which { only, install: false, no_servers: false };
        assert_eq!(which.servers().iter().map(|server| server.name().name).collect::<Vec<_>>(), ["postgres"]);
        assert!(Which { only: None, install: false, no_servers: true }.servers().is_empty());
    }

    #[test]
    fn a_lost_race_for_a_port_is_run_again_but_not_for_ever() {
        let mut tries = 0;
        let second = retried(|| {
            tries += 1;
            if tries == 2 { Ok(tries) } else { bail!("address in use") }
        });
        assert_eq!(second.unwrap(), 2);
        assert_eq!(retried::<()>(|| bail!("no disk")).unwrap_err().to_string(), "no disk");
    }
}
