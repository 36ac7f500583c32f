//! A server's process: started in a group of its own, watched until it answers, stopped with all its children.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, geteuid, kill_process_group};

use crate::run;

/// How long a server may take to answer; a cold disk on two busy cores is slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a server may take to end before it is killed.
const GOODBYE: Duration = Duration::from_secs(5);

/// A running server, which ends when this is dropped.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
    /// What it takes to end it well, where a signal is not the way.
    farewell: Option<Box<dyn Fn() + Send>>,
}

impl Process {
    /// Starts a server; what it prints goes into a log beside its data.
    ///
    /// # Errors
    /// When it can't be started.
    pub(crate) fn start(command: &mut Command, log: PathBuf) -> Result<Self> {
        let file = File::create(&log)?;
        // A group of its own: Ctrl-C must not reach it before the tests that talk to it have ended.
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("starting {}", command.get_program().display()))?;
        Ok(Self { child, log, farewell: None })
    }

    /// Ends it by this rather than by a signal.
    pub(crate) fn ended_by(mut self, farewell: impl Fn() + Send + 'static) -> Self {
        self.farewell = Some(Box::new(farewell));
        self
    }

    /// Waits until `ready` says so.
    ///
    /// # Errors
    /// When the process ends first, or takes too long, with the end of its log.
    pub(crate) fn until(mut self, ready: impl Fn() -> bool) -> Result<Self> {
        let since = Instant::now();
        while !ready() {
            run::check_interrupted()?;
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended at once ({status}){}", tail(&self.log));
            }
            ensure!(since.elapsed() < PATIENCE, "no answer in {PATIENCE:?}{}", tail(&self.log));
            thread::sleep(Duration::from_millis(10));
        }
        Ok(self)
    }

    /// The process's number, which is also that of its group.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, without waiting.
    pub(crate) fn ask_to_end(&mut self) {
        match self.farewell.take() {
            Some(farewell) => farewell(),
            None => self.signal(Signal::TERM),
        }
    }

    fn signal(&self, signal: Signal) {
        // It may be gone already.
        let _ = kill_process_group(Pid::from_child(&self.child), signal);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.ask_to_end();
        let since = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && since.elapsed() < GOODBYE {
            thread::sleep(Duration::from_millis(5));
        }
        // Also when it ended well: a child of its own may not have.
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}

/// The last lines of a log, as the end of an error message.
fn tail(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(5)..].iter().map(|line| format!("\n    {line}")).collect()
}

/// Runs a program to its end, for what has to be done before a server can start.
///
/// # Errors
/// When it fails, with the end of what it printed.
pub(crate) fn prepare(command: &mut Command, log: &Path) -> Result<()> {
    let file = File::create(log)?;
    let status =
        command.process_group(0).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).status()?;
    ensure!(status.success(), "{} failed ({status}){}", command.get_program().display(), tail(log));
    Ok(())
}

/// A port of 127.0.0.1 that nobody has at the moment.
///
/// # Errors
/// When there is none.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("a free port")?.local_addr()?.port())
}

/// Sends bytes to a port of 127.0.0.1 and reads the first piece of the answer; empty when there is none.
pub(crate) fn ask(port: u16, question: &[u8]) -> Vec<u8> {
    let conversation = || {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(question)?;
        let mut answer = vec![0; 512];
        let length = stream.read(&mut answer)?;
        answer.truncate(length);
        std::io::Result::Ok(answer)
    };
    conversation().unwrap_or_default()
}

/// The user under whom a server runs that refuses to be root.
#[derive(Debug, Clone, Copy)]
pub(crate) struct User {
    uid: u32,
    gid: u32,
}

impl User {
    /// None when we are not root, and the server runs as we do; else the first of these users that exists.
    ///
    /// # Errors
    /// When none exists.
    pub(crate) fn instead_of_root(names: &[&str]) -> Result<Option<Self>> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        let passwd = fs::read_to_string("/etc/passwd").context("/etc/passwd")?;
        let user = names.iter().find_map(|name| Self::in_passwd(&passwd, name));
        user.map(Some)
            .with_context(|| format!("root may not run it, and there is no user {}", names.join(" or ")))
    }

    fn in_passwd(passwd: &str, name: &str) -> Option<Self> {
        passwd.lines().find_map(|line| {
            let fields: Vec<_> = line.split(':').collect();
            match fields[..] {
                [user, _, uid, gid, ..] if user == name => {
                    Some(Self { uid: uid.parse().ok()?, gid: gid.parse().ok()? })
                }
                _ => None,
            }
        })
    }
}

/// A command under another user, to whom the folder is given.
///
/// # Errors
/// When the folder can't be given away.
pub(crate) fn command(program: &Path, folder: &Path, user: Option<User>) -> Result<Command> {
    let mut command = Command::new(program);
    // Not where we are: the other user may not be allowed to be there.
    command.current_dir(folder);
    if let Some(User { uid, gid }) = user {
        chown(folder, Some(uid), Some(gid))?;
        command.uid(uid).gid(gid);
    }
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_the_whole_name() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nmysql-x:x:5:6::/:/bin/false\nmysql:x:101:102:::\n";
        let user = User::in_passwd(passwd, "mysql").unwrap();
        assert_eq!((user.uid, user.gid), (101, 102));
        assert!(User::in_passwd(passwd, "postgres").is_none());
    }

    #[test]
    fn a_server_that_ends_at_once_is_an_error_with_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo the disk is full; exit 3"]);
        let process = Process::start(&mut command, folder.path().join("log")).unwrap();
        let error = process.until(|| false).err().unwrap().to_string();
        assert!(error.contains("exit status: 3") && error.contains("the disk is full"), "{error}");
    }

    #[test]
    fn a_dropped_process_takes_along_a_child_that_ignores_the_polite_signal() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let mut command = Command::new("sh");
        command.current_dir(folder.path()).args(["-c", "(trap '' TERM; exec sleep 30 >pipe) & wait"]);
        let process = Process::start(&mut command, folder.path().join("log")).unwrap();
        // Opens when the child has opened its end, and ends when the child has.
        let mut alive = File::open(&pipe).unwrap();
        let since = Instant::now();
        drop(process);
        alive.read_to_end(&mut Vec::new()).unwrap();
        assert!(since.elapsed() < Duration::from_secs(15), "a child outlived its server");
    }
}
