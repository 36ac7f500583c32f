//! A server as a process of its own, as who measures it sees it.

use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::stores;

pub(crate) struct Server {
    child: Child,
    address: String,
}

impl Server {
    /// Starts one side, behind the words of a command that runs others: `taskset -c 0`, say.
    pub(crate) fn start(
        under: &[&str],
        store: &str,
        side: &str,
        tags: usize,
        directory: &Path,
    ) -> io::Result<Self> {
        let program = std::env::current_exe()?;
        let mut command = match under {
            [runner, words @ ..] => {
                let mut command = Command::new(runner);
                command.args(words).arg(program);
                command
            }
            [] => Command::new(program),
        };
        command.args(["serve", store, side, &tags.to_string()]).env(stores::DIRECTORY, directory);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", command.get_program().display()))
        })?;
        let mut address = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut address)?;
        }
        if address.is_empty() {
            return Err(io::Error::other(format!("the server of {store}, {side}, did not start")));
        }
        Ok(Self { child, address: address.trim().to_owned() })
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// How long all of its threads have run.
    pub(crate) fn cpu_nanos(&self) -> io::Result<u64> {
        let mut nanos = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // One that ended meanwhile has none.
            let text = fs::read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
            nanos += text.split(' ').next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(nanos)
    }

    /// Lets it end by itself: its input ends, and with that it does.
    pub(crate) fn end(mut self) -> io::Result<()> {
        drop(self.child.stdin.take());
        self.child.wait().map(drop)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended can't be killed, and needn't be.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
