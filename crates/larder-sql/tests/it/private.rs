//! Database servers of a test's own, that may be stopped and killed.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use larder_sql::{SqlCache, SqlCacheBuilder};
use larder_tests::own_port;
use tempfile::TempDir;

use crate::PATIENT;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Postgres,
    MariaDb,
}

/// Killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) kind: Kind,
    /// Keeps the data and, where there are any, the certificates.
    pub(crate) directory: TempDir,
    port: u16,
    more: Vec<String>,
    process: Option<Child>,
    /// Whether its files may have 17 MB at most, from its next start on.
    pub(crate) limited: bool,
}

impl Server {
    pub(crate) fn start(kind: Kind) -> Self {
        Self::with(kind, |_| Vec::new())
    }

    /// With more options, which may be about files that are made for it.
    pub(crate) fn with(kind: Kind, more: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let more = more(directory.path());
        run(Command::new("cp").arg("-a").arg(template(kind)).arg(directory.path().join("data")));
        give(kind, directory.path());
        let mut server = Self { kind, directory, port: own_port(), more, process: None, limited: false };
        server.again();
        server
    }

    /// Starts it, at the same place with the same data.
    pub(crate) fn again(&mut self) {
        let (data, port) = (self.directory.path().join("data"), self.port);
        let mut command = match self.kind {
            Kind::Postgres => {
                let mut command = program("postgres");
                command.arg("-D").arg(data).args(["-p", &port.to_string()]);
                for setting in [
                    "listen_addresses=127.0.0.1",
                    "unix_socket_directories=",
                    "fsync=off",
                    "max_connections=40",
                ] {
                    command.args(["-c", setting]);
                }
                command
            }
            Kind::MariaDb => {
                let mut command = program("mariadbd");
                let data = data.display();
                command.args([
                    "--no-defaults",
                    "--bind-address=127.0.0.1",
                    "--skip-name-resolve",
                    "--skip-log-bin",
                ]);
                command.args(["--socket=s", "--pid-file=pid", "--innodb-flush-log-at-trx-commit=2"]);
                command.args([
                    format!("--datadir={data}"),
                    format!("--port={port}"),
                    format!("--init-file={data}/../first.sql"),
                ]);
                command
            }
        };
        if self.limited {
            // In blocks of half a kilobyte. A log file of PostgreSQL's has 16 MiB.
            let mut shell = Command::new("sh");
            shell.args(["-c", "ulimit -S -f 33200; exec \"$0\" \"$@\""]);
            shell.arg(command.get_program()).args(command.get_args());
            command = shell;
        }
        let log = fs::File::create(self.directory.path().join("log")).unwrap();
        command.current_dir(self.directory.path()).args(&self.more);
        command.stdout(Stdio::null()).stderr(log);
        become_user(self.kind, &mut command);
        self.process = Some(command.spawn().unwrap());
        self.wait_until_it_answers();
    }

    fn wait_until_it_answers(&mut self) {
        let late = Instant::now() + PATIENT;
        let answers = || {
            if TcpStream::connect(("127.0.0.1", self.port)).is_err() {
                return false;
            }
            let asked = || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                let ping = self.builder().build().unwrap();
                runtime.block_on(async { ping.create_table().await.is_ok() })
            };
            // Not in the runtime of a test that may be under way on this thread.
            std::thread::scope(|scope| scope.spawn(asked).join().unwrap())
        };
        while !answers() {
            let log = || fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < late, "it does not come up: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        let port = self.port;
        match self.kind {
            Kind::Postgres => format!("postgres://larder:hunter2@127.0.0.1:{port}/postgres"),
            Kind::MariaDb => format!("mysql://larder:hunter2@127.0.0.1:{port}/larder"),
        }
    }

    pub(crate) fn builder(&self) -> SqlCacheBuilder {
        match self.kind {
            Kind::Postgres => SqlCache::postgres(&self.url()).unwrap(),
            Kind::MariaDb => SqlCache::mysql(&self.url()).unwrap(),
        }
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // A stopped one dies as well.
            process.kill().unwrap();
            process.wait().unwrap();
        }
        if self.kind == Kind::Postgres {
            // Its children notice, but not at once, and until then it does not start anew.
            let late = Instant::now() + PATIENT;
            while !children(&self.directory.path().join("data")).is_empty() {
                assert!(Instant::now() < late, "its children live on");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }

    /// `STOP` makes it silent, `CONT` lets it speak again; its children, too.
    pub(crate) fn signal(&self, signal: &str) {
        send(signal, &[self.process.as_ref().unwrap().id()]);
        if signal == "STOP" {
            // From here on it has no more children.
            self.stands_still();
        }
        if self.kind == Kind::Postgres {
            send(signal, &children(&self.directory.path().join("data")));
        }
    }

    fn stands_still(&self) {
        let id = self.process.as_ref().unwrap().id();
        let Ok(tasks) = fs::read_dir(format!("/proc/{id}/task")) else { return };
        for task in tasks {
            let stat = task.unwrap().path().join("stat");
            let stopped = || {
                let text = fs::read_to_string(&stat).unwrap_or_default();
                text.rsplit(')').next().is_none_or(|rest| rest.trim_start().starts_with('T'))
            };
            while stat.exists() && !stopped() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

fn send(signal: &str, ids: &[u32]) {
    for id in ids {
        // A child may have ended meanwhile.
        _ = Command::new("kill")
            .args([&format!("-{signal}"), &id.to_string()])
            .stderr(Stdio::null())
            .status();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The processes that have this directory for theirs, as all of PostgreSQL's have.
fn children(data: &Path) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id: &u32| fs::read_link(format!("/proc/{id}/cwd")).is_ok_and(|cwd| cwd == data)).collect()
}

/// A fresh data directory, made once for all processes of tests: that takes seconds.
fn template(kind: Kind) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let server = if kind == Kind::Postgres { "postgres" } else { "mariadbd" };
    let version = program(server).arg("--version").output().unwrap().stdout;
    let version: String =
        String::from_utf8_lossy(&version).chars().filter(char::is_ascii_alphanumeric).collect();
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(version);
    if !place.exists() {
        let made = made(kind);
        // Beside it first, so that nobody finds a half of it; and whoever was faster has it.
        let beside = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        run(Command::new("cp").arg("-a").arg(made.path().join("data")).arg(beside.path()));
        _ = fs::rename(beside.path().join("data"), &place);
    }
    place
}

fn made(kind: Kind) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    give(kind, directory.path());
    let data = directory.path().join("data");
    let mut command = match kind {
        Kind::Postgres => {
            let mut command = program("initdb");
            command.arg("-D").arg(&data);
            command.args([
                "-U",
                "larder",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C",
                "--no-sync",
                "--no-instructions",
            ]);
            command
        }
        Kind::MariaDb => {
            let mut command = program("mariadb-install-db");
            command.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
            command.arg(format!("--datadir={}", data.display()));
            command
        }
    };
    // Two that are installed at once would meet in a directory that all share.
    command.current_dir(directory.path()).env("TMPDIR", directory.path());
    become_user(kind, &mut command);
    run(&mut command);
    directory
}

/// Lets the server's user have a directory and what is in it but its data.
fn give(kind: Kind, directory: &Path) {
    let first = "CREATE DATABASE IF NOT EXISTS larder;\n\
        CREATE USER IF NOT EXISTS 'larder'@'127.0.0.1' IDENTIFIED BY 'hunter2';\n\
        GRANT ALL PRIVILEGES ON *.* TO 'larder'@'127.0.0.1';\n";
    fs::write(directory.join("first.sql"), first).unwrap();
    let Some((uid, gid)) = user(kind) else { return };
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    for path in files.chain([directory.to_owned()]) {
        chown(&path, Some(uid), Some(gid)).unwrap();
        if path.extension().is_some_and(|end| end == "pem") {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
}

fn become_user(kind: Kind, command: &mut Command) {
    if let Some((uid, gid)) = user(kind) {
        command.uid(uid).gid(gid);
    }
}

/// Neither of them runs as root.
fn user(kind: Kind) -> Option<(u32, u32)> {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let root = status.lines().any(|line| line.starts_with("Uid:\t0\t"));
    let name = match kind {
        Kind::Postgres => "postgres:",
        Kind::MariaDb => "mysql:",
    };
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd.lines().find(|line| line.starts_with(name)).filter(|_| root)?;
    let field = |i: usize| line.split(':').nth(i).unwrap().parse().unwrap();
    Some((field(2), field(3)))
}

fn run(command: &mut Command) {
    let done = command.stdin(Stdio::null()).output();
    let done = done.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// On the path, or where Debian hides it.
fn program(name: &str) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    folders.extend(versions.map(|version| version.path().join("bin")));
    let found = folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    Command::new(found.unwrap_or_else(|| {
        panic!("no {name}: apt-get install -y --no-install-recommends postgresql mariadb-server")
    }))
}
