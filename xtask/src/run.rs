//! Commands that show what they print, can be read afterwards, and end when we are told to end.

use std::{
    io::{BufRead, BufReader, IsTerminal, Read, Write},
    os::unix::process::CommandExt,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// The command that a signal has to reach, as the leader of its process group.
static FOREGROUND: Mutex<Option<Pid>> = Mutex::new(None);

/// Makes Ctrl-C, SIGTERM and SIGHUP end the running command, after which the servers are stopped as ever.
///
/// A second signal kills the command outright.
pub(crate) fn stop_on_signals() -> Result<()> {
    ctrlc::set_handler(|| {
        let again = INTERRUPTED.swap(true, Ordering::SeqCst);
        let foreground = *FOREGROUND.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(group) = foreground {
            // It may have ended by itself meanwhile.
            let _ = kill_process_group(group, if again { Signal::KILL } else { Signal::TERM });
        }
    })
    .context("setting up the signal handler")
}

/// Whether we were told to end.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// An error once we were told to end.
pub(crate) fn check_interrupted() -> Result<()> {
    if interrupted() { bail!("interrupted") } else { Ok(()) }
}

/// Runs a command to its end while showing its output; true when it succeeded.
pub(crate) fn succeeds(command: &mut Command) -> Result<bool> {
    wait(start(command)?).map(|status| status.success())
}

/// Runs a command to its end while showing its output, and also returns that output, both streams in one.
pub(crate) fn tee(command: &mut Command) -> Result<(ExitStatus, String)> {
    let mut child = start(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (output, errors) = thread::scope(|scope| {
        let output = scope.spawn(|| copy(stdout, std::io::stdout()));
        (copy(stderr, std::io::stderr()), output.join().unwrap_or_default())
    });
    Ok((wait(child)?, output + &errors))
}

/// Whether output ends in a terminal, so that a command whose output we pass on may use colours.
pub(crate) fn colour() -> &'static str {
    if std::io::stderr().is_terminal() { "always" } else { "never" }
}

fn start(command: &mut Command) -> Result<Child> {
    check_interrupted()?;
    // A group of its own, so that one signal reaches all of it and Ctrl-C reaches it through us only. No stdin: a
    // background group that reads the terminal is stopped.
    let child = command.process_group(0).stdin(Stdio::null()).spawn();
    let child = child.with_context(|| format!("running {}", command.get_program().display()))?;
    *FOREGROUND.lock().unwrap_or_else(PoisonError::into_inner) = Some(Pid::from_child(&child));
    Ok(child)
}

fn wait(mut child: Child) -> Result<ExitStatus> {
    let status = child.wait();
    *FOREGROUND.lock().unwrap_or_else(PoisonError::into_inner) = None;
    check_interrupted()?;
    Ok(status?)
}

/// Passes a stream on line by line; what is no UTF-8 is shown as well as can be.
fn copy(from: Option<impl Read>, mut to: impl Write) -> String {
    let mut all = String::new();
    let Some(from) = from else { return all };
    for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line) + "\n";
        // A closed terminal is no reason to lose the count.
        let _ = to.write_all(line.as_bytes());
        all += &line;
    }
    all
}
