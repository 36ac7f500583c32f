//! The command line.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};
use larder::{Purge, Timeout};

use crate::warm::Warm;

/// Looks into a cache and changes it, whatever its backend, and never outside its namespace (the prefix of its URL).
///
/// Exit codes: 0 if what was asked for was there or is done, 1 if it was not there, 2 if something is wrong.
#[derive(Clone, Debug, Parser)]
#[command(name = "larder", version, disable_version_flag = true)]
pub(crate) struct CommandLine {
    /// The cache, as a URL: redis://127.0.0.1:6379/1?prefix=shop [default: LARDER_URL, or the file of LARDER_CONFIG]
    // Not by clap's `env`: a help text would show the value, and that may hold a password.
    #[arg(long, short, value_name = "URL", global = true, conflicts_with_all = ["config", "alias"])]
    pub(crate) cache: Option<String>,
    /// A file with caches by alias
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// Which cache of the file or the environment
    #[arg(long, short, value_name = "NAME", global = true)]
    pub(crate) alias: Option<String>,
    /// The version of the keys [default: the cache's own]
    #[arg(long, value_name = "N", global = true)]
    pub(crate) version: Option<u64>,
    /// How long a step to the store may take, whatever the cache's own deadline is
    #[arg(long, value_name = "TIME", global = true, default_value = "5s", value_parser = deadline)]
    pub(crate) deadline: Timeout,
    /// Print the program's version
    #[arg(short = 'V', action = ArgAction::Version)]
    program_version: (),
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// Print a value: text as it is, anything else as JSON
    Get {
        key: String,
        /// The bytes as they are stored
        #[arg(long, conflicts_with = "json")]
        raw: bool,
        /// JSON, text too
        #[arg(long)]
        json: bool,
    },
    /// Store a value, as text
    Set {
        key: String,
        /// The value; - reads it from the standard input
        #[arg(allow_negative_numbers = true)]
        value: String,
        /// How long it lives: 600, 10m, none [default: the cache's own]
        #[arg(long, short, value_name = "TIME")]
        timeout: Option<Timeout>,
        /// Under which tag it is invalidated; may be given several times
        #[arg(long = "tag", value_name = "TAG")]
        tags: Vec<String>,
        /// The value is JSON: a number that can be counted on, an object, …
        #[arg(long)]
        json: bool,
        /// Store the bytes as they are
        #[arg(long, conflicts_with = "json")]
        raw: bool,
    },
    /// Remove values
    Del {
        #[arg(required = true)]
        keys: Vec<String>,
        /// Print {"removed": …}
        #[arg(long)]
        json: bool,
    },
    /// Print the keys there are, without prefix and version
    Keys {
        /// Those that match: * is anything, ? one character, [a-z] one of these
        #[arg(default_value = "*")]
        pattern: String,
        /// A JSON list
        #[arg(long)]
        json: bool,
    },
    /// Print how many seconds a value has left, or none if it never expires
    Ttl {
        key: String,
        /// Print {"key": …, "ttl": …}, with null for a value that never expires
        #[arg(long)]
        json: bool,
    },
    /// Forget all values and pages that carry one of these tags
    Invalidate {
        #[arg(required = true, value_name = "TAG")]
        tags: Vec<String>,
        /// Only mark them as stale: pages may be shown once more while they are made anew
        #[arg(long)]
        soft: bool,
    },
    /// Forget pages by where they are
    Purge {
        #[command(flatten)]
        which: Which,
        /// Only mark them as stale: they may be shown once more while they are made anew
        #[arg(long)]
        soft: bool,
    },
    /// Remove everything in the namespace, of all versions
    Clear {
        /// Do it
        #[arg(long)]
        yes: bool,
    },
    /// Ask a site for its pages, so that its cache has them before visitors come; needs no --cache
    Warm(Box<Warm>),
    /// See whether the store answers
    Ping {
        /// Print {"backend": …, "milliseconds": …}
        #[arg(long)]
        json: bool,
    },
}

/// Which pages are purged.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// Those of a URL with its query: https://example.org/courses?page=2, or /courses?page=2 on every host
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Those of a route as the router has it: /courses/{id}
    #[arg(long, value_name = "ROUTE")]
    route: Option<String>,
    /// Those of a host
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Those of a path and of all below it, on every host
    #[arg(long, value_name = "PATH")]
    prefix: Option<String>,
    /// All pages; values stay
    #[arg(long)]
    all: bool,
}

impl Which {
    pub(crate) fn purge(self) -> Purge {
        match self {
            Self { url: Some(url), .. } => Purge::url(url),
            Self { route: Some(route), .. } => Purge::route(route),
            Self { host: Some(host), .. } => Purge::host(host),
            Self { prefix: Some(prefix), .. } => Purge::prefix(prefix),
            // One of them is required.
            _ => Purge::all(),
        }
    }
}

fn deadline(text: &str) -> Result<Timeout, String> {
    match text.parse() {
        Ok(Timeout::ZERO) => {
            Err("a deadline of 0 lets no step finish; leave it out, or give it some milliseconds".to_owned())
        }
        read => read.map_err(|error: larder::Error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }
}
