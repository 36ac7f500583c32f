//! Caches by alias, from a file and from the environment.
#![cfg(feature = "config")]
#![expect(clippy::unwrap_used, reason = "a test may")]

mod environment;
mod file;
mod logs;
mod secrets;
mod site;
mod tiers;

use larder::ErrorKind;
use larder::config::{Config, Loader};

/// Reads a text with no environment but these variables.
fn read(text: &str, variables: &[(&str, &str)]) -> Result<Config, larder::Error> {
    Loader::new().variables(variables.iter().copied()).text(text)
}

/// The error of a text, which has to name all these.
fn refused(text: &str, named: &[&str]) -> String {
    let error = read(text, &[]).expect_err(text);
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    let error = error.to_string();
    for word in named {
        assert!(error.contains(word), "{word:?} is not in: {error}");
    }
    error
}
