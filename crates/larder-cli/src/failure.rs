//! What goes wrong, and what to do about it.

use std::error::Error as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use larder::{CacheUrl, Error, ErrorKind};

/// Why the program ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// For the person who asked.
    Said(String),
    /// Nobody reads what is printed any more.
    Unread,
}

impl Failure {
    pub(crate) fn said(message: impl Into<String>) -> Self {
        Self::Said(message.into())
    }

    /// An error of a cache, with what helps. `place` is where the cache is, without its secrets.
    pub(crate) fn of(error: &Error, place: &str) -> Self {
        let hint = match error.kind() {
            // A file has no server.
            ErrorKind::Unavailable if !place.starts_with("sqlite:") => {
                format!("; see whether the server of {place} runs, and whether it is this one")
            }
            ErrorKind::Deadline => {
                format!("; if {place} is only slow, take --deadline 1m")
            }
            _ => String::new(),
        };
        let cause = cause(error).map(|io| io.to_string()).filter(|io| !error.to_string().contains(io));
        let cause = cause.map(|io| format!(" ({io})")).unwrap_or_default();
        Self::Said(format!("{error}{cause}{hint}"))
    }
}

/// What the system said, at the bottom of what drivers made of it. Their own words may show what is not to be shown.
fn cause(error: &Error) -> Option<&io::Error> {
    let mut deepest = None;
    let mut next = error.source();
    while let Some(error) = next {
        deepest = error.downcast_ref().or(deepest);
        next = error.source();
    }
    deepest
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Unread,
            _ => Self::Said(format!("the output can't be written: {error}")),
        }
    }
}

/// Prints what clap says: help and version as they are, an error without the passwords of URLs that stand in it.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let mut text = error.render().to_string();
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    for word in words.filter(|word| word.contains('@')) {
        // An option and its value may be one word.
        let url =
            word.split_once('=').filter(|(option, _)| option.starts_with('-')).map_or(&*word, |(_, url)| url);
        text = text.replace(url, &CacheUrl::masked(url));
    }
    let _ = io::stderr().write_all(text.as_bytes());
    ExitCode::from(2)
}
