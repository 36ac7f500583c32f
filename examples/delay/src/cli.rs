//! The command line, and errors that say what to type instead.

use std::fmt;
use std::path::PathBuf;

use clap::Parser;
use larder::Cache;

/// A slow view, and what caching makes of it.
#[derive(Clone, Debug, Parser)]
#[command(version, about)]
#[non_exhaustive]
pub struct Args {
    /// Where to listen.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8000")]
    pub listen: String,
    /// The cache to use, as a URL: memory:, dummy:, file:///dir, …
    #[arg(long, value_name = "URL", default_value = "memory:")]
    pub cache: String,
    /// A file with caches by alias, of which the one called default is used
    #[arg(long, value_name = "FILE", conflicts_with = "cache")]
    pub config: Option<PathBuf>,
    /// The URL of the httpbin to ask, http or (with the feature https) https [default: a stand-in on loopback]
    #[arg(long, value_name = "URL")]
    pub httpbin: Option<String>,
    /// How long httpbin is asked to wait, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = delay)]
    pub delay: f64,
}

fn delay(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=10.0).contains(&seconds) => Ok(seconds),
        _ => Err("it must be a number of seconds from 0 to 10".to_owned()),
    }
}

impl Args {
    /// Opens the cache under the name of its scheme, or the default one of a file; nothing is connected yet.
    pub(crate) fn open_cache(&self) -> Result<Cache, Failure> {
        if let Some(path) = &self.config {
            let default = larder::from_file(path).and_then(|caches| caches.get("default"));
            return default.map_err(|error| Failure::usage(error.to_string()));
        }
        larder::schemes()
            .builder(&self.cache)
            .and_then(|cache| cache.name(self.scheme()).build())
            .map_err(|error| Failure::usage(self.explain(&error)))
    }

    fn scheme(&self) -> &str {
        self.cache.split_once(':').map_or(&self.cache, |(scheme, _)| scheme)
    }

    /// The error, or the whole command when the cache only has to be compiled in.
    fn explain(&self, error: &larder::Error) -> String {
        let scheme = self.scheme();
        match larder::schemes().feature_of(scheme) {
            None => format!("--cache {}: {error}", quoted(&self.cache)),
            Some(feature) => format!(
                "{scheme}: caches are not compiled in; run: cargo run --release -p delay --features {feature} -- \
                 --cache {}",
                quoted(&self.cache)
            ),
        }
    }
}

/// As a shell takes it: quoted only where it has to be.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,@%+=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Why the program did not run: one line, and the exit code that belongs to it.
#[derive(Clone, Debug)]
pub struct Failure {
    message: String,
    exit_code: u8,
}

impl Failure {
    /// The command line is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit_code: 2 }
    }

    /// The command line is right and the machine says no.
    pub(crate) fn io(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit_code: 1 }
    }

    /// 2 for a command line that can't work, 1 for the rest.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        self.exit_code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_quoted_when_the_shell_would_read_it_otherwise() {
        assert_eq!(quoted("redis://localhost:6379/1"), "redis://localhost:6379/1");
        assert_eq!(quoted("memory:?a=1&b=2"), "'memory:?a=1&b=2'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }

    #[test]
    fn a_cache_may_stand_in_a_file_and_then_in_no_url() {
        let open = |path: &str| Args::parse_from(["delay", "--config", path]).open_cache();
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        std::fs::write(path, "[default]\nurl = 'memory:'\nprefix = 'delay'").unwrap();
        assert_eq!(open(path).unwrap().space().prefix(), "delay");
        std::fs::write(path, "[default]\nulr = 'memory:'").unwrap();
        let failure = open(path).unwrap_err();
        assert_eq!(failure.exit_code(), 2);
        assert!(failure.to_string().contains("did you mean \"url\"?"), "{failure}");
        Args::try_parse_from(["delay", "--config", path, "--cache", "memory:"]).unwrap_err();
    }

    #[test]
    fn a_delay_is_a_number_of_seconds_from_0_to_10() {
        assert_eq!(
            [delay("0"), delay("2"), delay("0.5"), delay("10")].map(Result::unwrap),
            [0., 2., 0.5, 10.]
        );
        for wrong in ["-1", "11", "NaN", "inf", "two", ""] {
            assert!(delay(wrong).is_err(), "{wrong}");
        }
    }
}
