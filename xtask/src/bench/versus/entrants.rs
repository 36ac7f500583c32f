//! Who takes part, and how each is started.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::{django, http};
use crate::servers::{
    process::{Process, ask, free_port},
    programs::Program,
};

/// What the table groups and the plot colours by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bare,
    Ours,
    Peer,
    Proxy,
    Django,
}

/// One server.
pub(super) struct Entrant {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    start: Start,
}

#[derive(Clone, Copy)]
enum Start {
    /// A mode of `larder-versus`.
    Mode(&'static str),
    /// The same, with a cache that is `URL{}` where `{}` is Redis's port.
    OnRedis(&'static str, &'static str),
    Proxy(fn(&Ground, u16, u16) -> Result<Process>),
    Django(django::Backend),
}

const fn entrant(name: &'static str, kind: Kind, start: Start) -> Entrant {
    Entrant { name, kind, start }
}

/// The one that all are compared with.
pub(super) const BARE: &str = "bare axum handler";

/// The same page with the fields that a hit has: what Larder's own are compared with besides.
pub(super) const SAME: &str = "bare axum handler, the fields of a hit";

/// Everybody, in the order of the table.
pub(super) static ALL: [Entrant; 20] = [
    entrant(BARE, Kind::Bare, Start::Mode("axum")),
    entrant(SAME, Kind::Bare, Start::Mode("axum-same")),
    entrant("bare hyper", Kind::Bare, Start::Mode("hyper")),
    entrant("Larder, cache_page", Kind::Ours, Start::Mode("page")),
    entrant("Larder, the pair", Kind::Ours, Start::Mode("pair")),
    entrant("Larder, the pair as a service", Kind::Ours, Start::Mode("pair-service")),
    entrant("Larder, cache_page on Redis", Kind::Ours, Start::OnRedis("page", "redis://127.0.0.1:{}/1")),
    entrant(
        "Larder, cache_page on tiers over Redis",
        Kind::Ours,
        Start::OnRedis("page", "tiered:?l2=redis://127.0.0.1:{}/2"),
    ),
    entrant("axum-response-cache 0.5", Kind::Peer, Start::Mode("axum-response-cache")),
    entrant("hitbox 0.2, binary codec", Kind::Peer, Start::Mode("hitbox-bincode")),
    entrant("hitbox 0.2", Kind::Peer, Start::Mode("hitbox")),
    entrant("tower-http-cache 0.6", Kind::Peer, Start::Mode("tower-http-cache")),
    entrant("http-cache-tower-server 0.2", Kind::Peer, Start::Mode("http-cache")),
    entrant("rustango 0.62 cache_page", Kind::Peer, Start::Mode("rustango")),
    entrant("nginx proxy_cache, tmpfs, open_file_cache", Kind::Proxy, Start::Proxy(nginx)),
    entrant("HAProxy cache", Kind::Proxy, Start::Proxy(haproxy)),
    entrant("Varnish, malloc", Kind::Proxy, Start::Proxy(varnish)),
    entrant("Django, no cache", Kind::Django, Start::Django(django::Backend::None)),
    entrant("Django cache_page, LocMem", Kind::Django, Start::Django(django::Backend::LocMem)),
    entrant("Django cache_page, Redis", Kind::Django, Start::Django(django::Backend::Redis)),
];

/// What servers need to be started.
pub(super) struct Ground {
    /// `larder-versus`.
    pub(super) program: PathBuf,
    /// For everybody's files.
    pub(super) folder: PathBuf,
    /// On tmpfs.
    pub(super) fast: PathBuf,
    /// The core that servers run on, and that of everything else.
    pub(super) core: usize,
    pub(super) other: usize,
    /// Where Redis is, if it is.
    pub(super) redis: Option<u16>,
    /// The origin of proxies.
    pub(super) origin: u16,
    /// A Python with Django, if there is one.
    pub(super) python: Result<PathBuf, String>,
}

/// A server that answers.
pub(super) struct Running {
    pub(super) process: Process,
    pub(super) port: u16,
    /// Who knows how often the handler ran, if anybody does.
    pub(super) counts: Option<u16>,
}

impl Entrant {
    /// Starts it.
    ///
    /// # Errors
    /// When it is not installed or does not come up; the others go on without it.
    pub(super) fn start(&self, ground: &Ground) -> Result<Running> {
        let port = free_port()?;
        let counted = |process| Running { process, port, counts: Some(port) };
        match self.start {
            Start::Mode(mode) => {
                let mut running = counted(ground.versus(mode, port, None, ground.core)?);
                // Bare ones run their handler each time, and don't count.
                running.counts = running.counts.filter(|_| self.kind != Kind::Bare);
                Ok(running)
            }
            Start::OnRedis(mode, url) => {
                let redis = ground.redis.context("redis-server is not installed")?;
                let url = url.replace("{}", &redis.to_string());
                Ok(counted(ground.versus(mode, port, Some(&url), ground.core)?))
            }
            Start::Proxy(start) => {
                let process = start(ground, port, ground.origin)?;
                let process = process.until(|| answers(port))?;
                Ok(Running { process, port, counts: Some(ground.origin) })
            }
            Start::Django(backend) => {
                let process = django::start(ground, backend, port)?.until(|| answers(port))?;
                let counts = (backend != django::Backend::None).then_some(port);
                Ok(Running { process, port, counts })
            }
        }
    }
}

impl Entrant {
    /// Whether it is a mode of `larder-versus`, which is soon started anew.
    pub(super) fn restarts(&self) -> bool {
        matches!(self.start, Start::Mode(_) | Start::OnRedis(..))
    }

    /// The mode of `larder-versus` whose requests can be counted in process.
    pub(super) fn counted(&self) -> Option<&'static str> {
        match self.start {
            Start::Mode(mode) if mode != "hyper" => Some(mode),
            _ => None,
        }
    }
}

fn answers(port: u16) -> bool {
    http::get(port, "/page").is_ok_and(|answer| answer.status == 200)
}

impl Ground {
    /// A mode of `larder-versus` on a port, on this core.
    ///
    /// # Errors
    /// When it does not come up.
    pub(super) fn versus(&self, mode: &str, port: u16, cache: Option<&str>, core: usize) -> Result<Process> {
        let mut command = pinned(&self.program, core);
        command.args([mode, &format!("127.0.0.1:{port}")]).args(cache);
        Process::start(&mut command, self.log(&format!("{mode}-{port}")))?.until(|| answers(port))
    }

    /// A Redis on the core that is not measured.
    ///
    /// # Errors
    /// When it is not installed or does not come up.
    pub(super) fn redis(&self, port: u16) -> Result<Process> {
        let program = Program(&["redis-server", "valkey-server"]).find()?;
        let mut command = pinned(&program, self.other);
        command.current_dir(&self.folder).args(["--bind", "127.0.0.1", "--port", &port.to_string()]).args([
            "--save",
            "",
            "--appendonly",
            "no",
            "--daemonize",
            "no",
        ]);
        Process::start(&mut command, self.log("redis"))?
            .until(|| ask(port, b"PING\r\n").starts_with(b"+PONG"))
    }

    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }
}

/// A program that keeps to one core.
pub(super) fn pinned(program: &Path, core: usize) -> Command {
    let mut command = Command::new("taskset");
    // A backtrace would push the reason out of the end of the log that is shown.
    command.args(["-c", &core.to_string()]).arg(program).env("RUST_BACKTRACE", "0");
    command
}

fn nginx(ground: &Ground, port: u16, origin: u16) -> Result<Process> {
    let program = Program(&["nginx"]).find()?;
    let (folder, fast) = (ground.folder.display(), ground.fast.display());
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|what| format!("  {what}_temp_path {folder}/nginx-{what};\n"))
        .collect();
    let file = ground.folder.join("nginx.conf");
    fs::write(
        &file,
        format!(
            "{user}\nworker_processes 1;\ndaemon off;\npid {folder}/nginx.pid;\nerror_log {folder}/nginx-error.log;\n\
             events {{ worker_connections 1024; }}\n\
             http {{\n  access_log off;\n{temporary}  proxy_cache_path {fast}/nginx levels=1:2 keys_zone=pages:10m use_temp_path=off;\n  \
             open_file_cache max=1000 inactive=60s;\n  open_file_cache_valid 60s;\n  keepalive_requests 1000000000;\n  \
             server {{\n    listen 127.0.0.1:{port};\n    location / {{\n      proxy_pass http://127.0.0.1:{origin};\n      \
             proxy_http_version 1.1;\n      proxy_cache pages;\n      proxy_cache_valid 200 15m;\n    }}\n  }}\n}}\n"
        ),
    )?;
    let mut command = pinned(&program, ground.core);
    command.arg("-c").arg(&file);
    Process::start(&mut command, ground.log("nginx"))
}

fn haproxy(ground: &Ground, port: u16, origin: u16) -> Result<Process> {
    let program = Program(&["haproxy"]).find()?;
    let file = ground.folder.join("haproxy.conf");
    fs::write(
        &file,
        format!(
            "global\n  maxconn 1000\n  nbthread 1\n\
             defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n\
             cache pages\n  total-max-size 64\n  max-object-size 1000000\n  max-age 900\n\
             frontend here\n  bind 127.0.0.1:{port}\n  default_backend there\n\
             backend there\n  http-request cache-use pages\n  http-response cache-store pages\n  server origin 127.0.0.1:{origin}\n"
        ),
    )?;
    let mut command = pinned(&program, ground.core);
    command.arg("-db").arg("-f").arg(&file);
    Process::start(&mut command, ground.log("haproxy"))
}

fn varnish(ground: &Ground, port: u16, origin: u16) -> Result<Process> {
    let program = Program(&["varnishd"]).find()?;
    // Its own user has to be able to enter it.
    let folder = ground.folder.join("varnish");
    fs::create_dir(&folder)?;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777))?;
    let mut command = pinned(&program, ground.core);
    command
        .arg("-F")
        .args(["-a", &format!("127.0.0.1:{port}"), "-b", &format!("127.0.0.1:{origin}"), "-s", "malloc,64m"])
        .args(["-j", "none"])
        .arg("-n")
        .arg(&folder);
    Process::start(&mut command, ground.log("varnish"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_the_first_is_the_one_that_all_are_compared_with() {
        assert_eq!(ALL[0].name, BARE);
        for (at, entrant) in ALL.iter().enumerate() {
            assert!(ALL[..at].iter().all(|other| other.name != entrant.name), "{}", entrant.name);
        }
    }
}
