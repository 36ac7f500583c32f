//! The table of what became of each server.

use std::time::Duration;

use anyhow::Result;

use super::Had;
use crate::names::Name;

pub(super) struct Line {
    name: &'static str,
    how: &'static str,
    /// The address, or why there is none and what mends it.
    detail: String,
    took: Duration,
}

impl Line {
    pub(super) fn new(name: &Name, installed: bool, outcome: &Result<Had>, took: Duration) -> Self {
        let (how, detail) = match outcome {
            Ok(Had::Given(address)) => ("given", format!("{address} (from {})", name.env)),
            Ok(Had::Started(started)) if installed => ("installed, started", started.address.clone()),
            Ok(Had::Started(started)) => ("found, started", started.address.clone()),
            Err(error) => (
                "MISSING",
                format!("{error:#}; its tests will fail. Any of these mends it:\n{}", name.remedy()),
            ),
        };
        Self { name: name.name, how, detail, took }
    }
}

pub(super) fn print(lines: &[Line], took: Duration) {
    for Line { name, how, detail, took } in lines {
        eprintln!("{name:<14} {how:<18} {:>5.1} s  {detail}", took.as_secs_f64());
    }
    if !lines.is_empty() {
        eprintln!("servers: {:.1} s in all\n", took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names;

    #[test]
    fn a_missing_server_says_why_and_what_to_do() {
        let line = Line::new(
            &names::REDIS,
            false,
            &Err(anyhow::anyhow!("redis-server is not installed")),
            Duration::ZERO,
        );
        assert_eq!(line.how, "MISSING");
        assert!(line.detail.contains("not installed") && line.detail.contains("cargo xtask test --install"));
    }

    #[test]
    fn a_given_server_names_the_variable_that_gave_it() {
        let given = Ok(Had::Given("h:1".to_owned()));
        let line = Line::new(&names::MEMCACHED, false, &given, Duration::ZERO);
        assert_eq!((line.how, line.detail.as_str()), ("given", "h:1 (from LARDER_TEST_MEMCACHED)"));
    }
}
