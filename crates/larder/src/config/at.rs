//! Where something was said, for errors: a line of a file, or a variable.

use std::fmt::Display;

use larder_core::{Error, ErrorKind};

/// A wrong setting, and where it stands.
pub(super) fn wrong(at: impl Display, what: impl Display) -> Error {
    Error::config(format!("{at}: {what}"))
}

/// The same error with the place before it. What caused it is not kept: a driver's error may show what is not to be shown.
pub(super) fn placed(at: impl Display, error: &Error) -> Error {
    Error::new(error.kind(), format!("{at}: {error}"))
}

/// Whether an error is about a key: its name stands in it as a word.
pub(super) fn is_about(error: &Error, key: &str) -> bool {
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    error.kind() == ErrorKind::Config && error.to_string().split(|c| !in_word(c)).any(|word| word == key)
}
