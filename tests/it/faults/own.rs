//! Servers of a test's own, which it may kill, stop, start again at the same place, empty and fill up.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use larder_tests::own_port;
use sqlx::Connection as _;
use tempfile::TempDir;

/// A cold database on a busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Redis,
    Memcached,
    Postgres,
    Mariadb,
}

/// A server; killed when dropped.
#[derive(Debug)]
pub(crate) struct Own {
    kind: Kind,
    port: u16,
    options: Vec<String>,
    child: Option<Child>,
    folder: TempDir,
}

impl Kind {
    /// Its cache on a port, with options.
    pub(crate) fn url(self, port: u16, options: &str) -> String {
        let place = match self {
            Self::Redis => format!("redis://127.0.0.1:{port}/0"),
            Self::Memcached => format!("memcached://127.0.0.1:{port}"),
            Self::Postgres => format!("postgres://larder:larder@127.0.0.1:{port}/postgres"),
            Self::Mariadb => format!("mysql://larder:larder@127.0.0.1:{port}/larder"),
        };
        format!("{place}?{options}")
    }

    fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Redis => &["redis-server", "valkey-server"],
            Self::Memcached => &["memcached"],
            Self::Postgres => &["postgres"],
            Self::Mariadb => &["mariadbd", "mysqld"],
        }
    }

    fn users(self) -> &'static [&'static str] {
        match self {
            Self::Redis => &[],
            Self::Memcached => &["memcache", "nobody"],
            Self::Postgres => &["postgres", "nobody"],
            Self::Mariadb => &["mysql", "nobody"],
        }
    }
}

impl Own {
    pub(crate) fn start(kind: Kind) -> Self {
        Self::with(kind, &[])
    }

    /// With more options on its command line.
    pub(crate) fn with(kind: Kind, options: &[&str]) -> Self {
        let mut own = Self::prepared(kind, options);
        own.again();
        own
    }

    /// One that is yet to be started, by [`again`](Self::again).
    pub(crate) fn prepared(kind: Kind, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        // Servers under other users have to get there.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("our own directory");
        let options = options.iter().map(|&option| option.to_owned()).collect();
        let own = Self { kind, port: own_port(), options, child: None, folder };
        own.prepare();
        own
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self, options: &str) -> String {
        self.kind.url(self.port, options)
    }

    /// Starts it, at the same port and with what it kept on disk.
    pub(crate) fn again(&mut self) {
        let late = Instant::now() + PATIENCE;
        self.child = Some(self.command().spawn().expect("the server starts"));
        while !self.answers() {
            assert!(Instant::now() < late, "{:?} does not come up: {}", self.kind, self.log());
            let ended = self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(Some(_))));
            if ended {
                // The port, or what the one before left behind, is not free yet.
                std::thread::sleep(Duration::from_millis(100));
                self.child = Some(self.command().spawn().expect("the server starts"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it without a chance to say goodbye.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            signal(&child, "KILL");
            _ = child.wait();
        }
    }

    /// It says nothing from now on, and its connections stay.
    pub(crate) fn stop(&self) {
        signal(self.child.as_ref().expect("a server that runs"), "STOP");
    }

    /// It goes on.
    pub(crate) fn go_on(&self) {
        signal(self.child.as_ref().expect("a server that runs"), "CONT");
    }

    /// Takes everything out of it, as an operator does.
    pub(crate) async fn empty(&self) {
        match self.kind {
            Kind::Redis => drop(ask(self.port, b"FLUSHALL\r\n")),
            Kind::Memcached => drop(ask(self.port, b"flush_all\r\n")),
            Kind::Postgres => {
                let mut connection =
                    sqlx::PgConnection::connect(&self.url("")).await.expect("the server takes connections");
                sqlx::query("DROP TABLE IF EXISTS larder_cache")
                    .execute(&mut connection)
                    .await
                    .expect("dropped");
            }
            Kind::Mariadb => {
                let mut connection = sqlx::MySqlConnection::connect(&self.url(""))
                    .await
                    .expect("the server takes connections");
                sqlx::query("DROP TABLE IF EXISTS larder_cache")
                    .execute(&mut connection)
                    .await
                    .expect("dropped");
            }
        }
    }

    /// Redis: no room for anything more, or room again.
    pub(crate) fn full(&self, full: bool) {
        let limit = if full { "1" } else { "0" };
        let said = ask(self.port, format!("CONFIG SET maxmemory {limit}\r\n").as_bytes());
        assert!(said.starts_with(b"+OK"), "{}", String::from_utf8_lossy(&said));
    }

    fn prepare(&self) {
        let data = self.folder.path().join("data");
        match self.kind {
            Kind::Redis | Kind::Memcached => {}
            Kind::Postgres => {
                let mut initdb = self.under_its_user(&["initdb"]);
                initdb.arg("-D").arg(&data).args(["-U", "larder", "-A", "trust", "-E", "UTF8", "--locale=C"]);
                run(initdb.args(["--no-sync", "--no-instructions"]), self);
            }
            Kind::Mariadb => {
                let first = "CREATE DATABASE IF NOT EXISTS larder CHARACTER SET utf8mb4;
CREATE USER IF NOT EXISTS 'larder'@'127.0.0.1' IDENTIFIED BY 'larder';
GRANT ALL PRIVILEGES ON *.* TO 'larder'@'127.0.0.1';
";
                fs::write(self.folder.path().join("first.sql"), first).expect("our own directory");
                let mut install = self.under_its_user(&["mariadb-install-db", "mysql_install_db"]);
                install.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
                run(install.arg(format!("--datadir={}", data.display())), self);
            }
        }
    }

    fn command(&self) -> Command {
        let mut command = self.under_its_user(self.kind.programs());
        let (port, data) = (self.port.to_string(), self.folder.path().join("data"));
        match self.kind {
            Kind::Redis => {
                command.args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no"]);
            }
            Kind::Memcached => {
                command.args(["-l", "127.0.0.1", "-p", &port, "-U", "0", "-t", "1"]);
            }
            Kind::Postgres => {
                command.arg("-D").arg(data).args(["-p", &port]);
                let settings = [
                    "listen_addresses=127.0.0.1",
                    "unix_socket_directories=",
                    "fsync=off",
                    "full_page_writes=off",
                ];
                command.args(settings.iter().flat_map(|setting| ["-c", setting]));
            }
            Kind::Mariadb => {
                command.args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-name-resolve"]);
                command.args([
                    "--innodb-flush-log-at-trx-commit=2",
                    "--skip-log-bin",
                    "--performance-schema=OFF",
                ]);
                command.args(["--socket=s", "--pid-file=pid", &format!("--port={port}")]);
                command.arg(format!("--datadir={}", data.display()));
                command.arg(format!("--init-file={}", self.folder.path().join("first.sql").display()));
            }
        }
        command.args(&self.options);
        command
    }

    /// A program of it, in a group of its own, under a user as whom it does not refuse to run.
    fn under_its_user(&self, names: &[&str]) -> Command {
        let mut command = Command::new(found(names));
        let log = File::options().create(true).append(true).open(self.folder.path().join("log"));
        let log = log.expect("our own directory");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file")).stderr(log).process_group(0);
        // Two that are installed at once would meet in a directory that all share.
        command.current_dir(self.folder.path()).env("TMPDIR", self.folder.path());
        if fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
            && let Some((uid, gid)) = user(self.kind.users())
        {
            chown(self.folder.path(), Some(uid), Some(gid)).expect("root may give it away");
            command.uid(uid).gid(gid);
        }
        command
    }

    fn answers(&self) -> bool {
        match self.kind {
            Kind::Redis => ask(self.port, b"PING\r\n").starts_with(b"+PONG"),
            Kind::Memcached => ask(self.port, b"version\r\n").starts_with(b"VERSION"),
            Kind::Postgres => ask(self.port, &startup()).starts_with(b"R"),
            // The greeting is protocol 10, after four bytes of length and number.
            Kind::Mariadb => ask(self.port, b"").get(4) == Some(&10),
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.kill();
    }
}

/// PostgreSQL's startup packet, protocol 3.0.
fn startup() -> Vec<u8> {
    const PARAMETERS: &[u8] = b"user\0larder\0database\0postgres\0\0";
    let length = u32::try_from(PARAMETERS.len() + 8).unwrap_or_default();
    [&length.to_be_bytes()[..], &196_608_u32.to_be_bytes(), PARAMETERS].concat()
}

/// The first piece of the answer; empty when there is none.
fn ask(port: u16, question: &[u8]) -> Vec<u8> {
    let conversation = || {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(question)?;
        let mut answer = vec![0; 512];
        let length = stream.read(&mut answer)?;
        answer.truncate(length);
        std::io::Result::Ok(answer)
    };
    conversation().unwrap_or_default()
}

/// To it and to its children: a database is several processes.
fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    if name == "STOP" {
        // It first, so that it has no more of them meanwhile. The signal is on its way when `kill` has returned.
        send(name, std::slice::from_ref(&id));
        while state(&id).is_some_and(|state| !state.starts_with('T')) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    send(name, &[children(&id), vec![id]].concat());
}

fn send(name: &str, ids: &[String]) {
    let sent = Command::new("kill").arg(format!("-{name}")).args(ids).stderr(Stdio::null()).status();
    assert!(sent.is_ok(), "there is a kill");
}

/// What `/proc` says of a process behind its name in brackets, which may be anything: the state, and the parent.
fn state(id: &str) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    Some(stat.rsplit(')').next()?.trim_start().to_owned())
}

fn children(parent: &str) -> Vec<String> {
    let processes = Path::new("/proc").read_dir().into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().into_string().ok());
    ids.filter(|id| state(id).is_some_and(|state| state.split_whitespace().nth(1) == Some(parent))).collect()
}

fn run(command: &mut Command, own: &Own) {
    let status = command.status().expect("it can be started");
    assert!(status.success(), "{command:?}: {}", own.log());
}

fn found(names: &[&str]) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let versions = Path::new("/usr/lib/postgresql").read_dir().into_iter().flatten().flatten();
    let mut versions: Vec<PathBuf> = versions.map(|entry| entry.path().join("bin")).collect();
    versions.sort_by_key(|folder| {
        let version = folder.parent().and_then(Path::file_name).and_then(OsStr::to_str);
        std::cmp::Reverse(version.and_then(|version| version.parse::<u32>().ok()))
    });
    let folders: Vec<_> = std::env::split_paths(&path).chain(["/usr/sbin".into()]).chain(versions).collect();
    let places = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    let found = places.into_iter().find(|place| place.is_file());
    found.unwrap_or_else(|| panic!("{} is not installed; cargo xtask test --install brings it", names[0]))
}

fn user(names: &[&str]) -> Option<(u32, u32)> {
    let passwd = fs::read_to_string("/etc/passwd").ok()?;
    names.iter().find_map(|name| {
        let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}
