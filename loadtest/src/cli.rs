//! The command line. Its defaults are the experiment; `--quick` is the same in small, for CI.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// The load test of the delay example, before and after caching.
#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Args {
    /// Users at most [default: 500]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    users: Option<u32>,
    /// Users that begin each second [default: 10]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Requests after which a run ends [default: 7000]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    requests: Option<u64>,
    /// Seconds a user thinks between two requests, evenly spread [default: 1-5]
    #[arg(long, value_name = "MIN-MAX", value_parser = think)]
    think: Option<(f64, f64)>,
    /// In small: 50 users, 25 a second, 500 requests, thinking 0.5-1 s.
    #[arg(long)]
    quick: bool,
    /// Load this server instead of starting the example, such as http://127.0.0.1:8000
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// The path loaded first.
    #[arg(long, value_name = "PATH", default_value = "/playground/uncached/")]
    pub(crate) before: String,
    /// The path loaded second.
    #[arg(long, value_name = "PATH", default_value = "/playground/hello/")]
    pub(crate) after: String,
    /// What the example is told about its cache: --cache of `delay`.
    #[arg(long, value_name = "URL", default_value = "memory:")]
    pub(crate) cache: String,
    /// What the example is told about the API's delay: --delay of `delay`.
    #[arg(long, value_name = "SECONDS", default_value = "2")]
    pub(crate) delay: String,
    /// Where the page with the plots goes.
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/report.html"))]
    pub(crate) report: PathBuf,
    /// Also write the figures of both runs there, as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// How users behave, in both runs alike.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Load {
    pub(crate) users: u32,
    pub(crate) rate: u32,
    pub(crate) requests: u64,
    /// In seconds.
    pub(crate) think: (f64, f64),
}

impl Args {
    pub(crate) fn load(&self) -> Load {
        let usual = if self.quick {
            Load { users: 50, rate: 25, requests: 500, think: (0.5, 1.0) }
        } else {
            Load { users: 500, rate: 10, requests: 7000, think: (1.0, 5.0) }
        };
        Load {
            users: self.users.unwrap_or(usual.users),
            rate: self.rate.unwrap_or(usual.rate),
            requests: self.requests.unwrap_or(usual.requests),
            think: self.think.unwrap_or(usual.think),
        }
    }
}

impl Load {
    /// When the last user has begun.
    pub(crate) fn ramp(&self) -> Duration {
        Duration::from_secs(u64::from(self.users.div_ceil(self.rate)))
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { users, rate, requests, think: (least, most) } = self;
        write!(
            f,
            "{users} users, {rate} begin each second and think {least}–{most} s between requests; \
             a run ends after {requests} requests"
        )
    }
}

fn think(text: &str) -> Result<(f64, f64), String> {
    let (least, most) = text.split_once('-').unwrap_or((text, text));
    match (least.parse(), most.parse()) {
        (Ok(least), Ok(most)) if (0.0..=most).contains(&least) && most <= 3600.0 => Ok((least, most)),
        _ => Err("it must be two numbers of seconds, the smaller one first, such as 1-5".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_think_time_is_one_number_or_two_in_order() {
        assert_eq!(think("1-5"), Ok((1.0, 5.0)));
        assert_eq!(think("0.5"), Ok((0.5, 0.5)));
        for wrong in ["5-1", "-1", "a-b", "1-", "", "nan-nan", "0-inf"] {
            assert!(think(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_defaults_are_the_experiment_and_a_flag_overrides_quick() {
        let load = |args: &[&str]| Args::parse_from([&["loadtest"], args].concat()).load();
        assert_eq!(load(&[]), Load { users: 500, rate: 10, requests: 7000, think: (1.0, 5.0) });
        assert_eq!(
            load(&["--quick", "--users", "7"]),
            Load { users: 7, rate: 25, requests: 500, think: (0.5, 1.0) }
        );
    }
}
