//! `cargo xtask test`: the servers, then every test, then one line that says how it went.

use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use clap::Args;

use crate::{
    run, servers,
    summary::Count,
    workspace::{cargo, packages},
};

/// Runs every test, against real servers that it finds, starts and stops.
#[derive(Debug, Clone, Args)]
pub(crate) struct Test {
    #[command(flatten)]
    which: servers::Which,

    /// Only the tests of these crates.
    #[arg(short, long = "package", value_name = "CRATE")]
    packages: Vec<String>,

    /// Only tests whose name contains one of these.
    filters: Vec<String>,

    /// Arguments for nextest (or, without it, for cargo test); the examples in the documentation are left out then.
    #[arg(last = true)]
    rest: Vec<String>,
}

impl Test {
    /// Everything, with what the flags of `cargo xtask ci` say about servers.
    pub(crate) fn everything(which: servers::Which) -> Self {
        Self { which, packages: Vec::new(), filters: Vec::new(), rest: Vec::new() }
    }

    /// Runs the tests; the last line printed is the count. False when one failed, or none matched.
    ///
    /// # Errors
    /// When a named crate is none of ours, or we were interrupted.
    pub(crate) fn run(&self) -> Result<bool> {
        let count = self.count()?;
        println!("{count}");
        Ok(count.is_good())
    }

    /// Runs the tests and counts them.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub(crate) fn count(&self) -> Result<Count> {
        let with_libraries = self.with_libraries()?;
        // Dropped at the end of this function, also on an error, so the count is the last thing to be printed.
        let servers = servers::bring(&self.which)?;
        let tests = if has_nextest() { self.nextest(&servers)? } else { self.libtest(&servers)? };
        let examples = match with_libraries {
            _ if !self.rest.is_empty() => {
                eprintln!(
                    "the examples in the documentation are left out, as the arguments after -- are not for them"
                );
                Count::default()
            }
            None => Count::default(),
            Some(packages) => self.doctests(&servers, &packages)?,
        };
        let count = tests + examples;
        if count == Count::default() {
            eprintln!("error: no test matches {}", [&self.filters[..], &self.rest].concat().join(" "));
        }
        Ok(count)
    }

    /// The `-p` arguments for what can have examples in its documentation; None when nothing chosen can.
    fn with_libraries(&self) -> Result<Option<Vec<String>>> {
        if self.packages.is_empty() {
            return Ok(Some(vec!["--workspace".to_owned()]));
        }
        let known = packages()?;
        let mut arguments = Vec::new();
        for name in &self.packages {
            let package = known.iter().find(|package| package.name == *name);
            ensure!(package.is_some(), "there is no crate {name} in this workspace");
            if package.is_some_and(|package| package.has_library) {
                arguments.push(format!("--package={name}"));
            }
        }
        Ok((!arguments.is_empty()).then_some(arguments))
    }

    fn packages(&self) -> Vec<String> {
        if self.packages.is_empty() {
            return vec!["--workspace".to_owned()];
        }
        self.packages.iter().map(|name| format!("--package={name}")).collect()
    }

    fn nextest(&self, servers: &servers::Servers) -> Result<Count> {
        let mut command = cargo();
        command
            .args(["nextest", "run", "--all-features", "--no-fail-fast", "--no-tests=pass"])
            .args(["--color", run::colour(), "--status-level=fail", "--final-status-level=slow"])
            .args(self.packages())
            .args(&self.filters)
            .args(&self.rest);
        // Its progress bar would need the terminal that we read along with.
        let (status, output) =
            run::tee(command.env("NEXTEST_HIDE_PROGRESS_BAR", "1").envs(servers.env.clone()))?;
        Ok(Count::of_nextest(&output).with_outcome(status.success()))
    }

    /// For machines without nextest: slower, the same tests.
    fn libtest(&self, servers: &servers::Servers) -> Result<Count> {
        let mut command = cargo();
        command
            .args(["test", "--all-features", "--no-fail-fast", "--lib", "--bins", "--tests", "--examples"])
            .args(self.packages())
            .args(&self.rest);
        if !self.filters.is_empty() {
            command.arg("--").args(&self.filters);
        }
        let (status, output) = run::tee(command.envs(servers.env.clone()))?;
        Ok(Count::of_libtest(&output).with_outcome(status.success()))
    }

    fn doctests(&self, servers: &servers::Servers, packages: &[String]) -> Result<Count> {
        let mut command = cargo();
        command
            .args(["test", "--doc", "--all-features", "--no-fail-fast", "--quiet"])
            .args(packages)
            .arg("--")
            .args(&self.filters);
        let (status, output) = run::tee(command.envs(servers.env.clone()))?;
        Ok(Count::of_libtest(&output).with_outcome(status.success()))
    }
}

fn has_nextest() -> bool {
    let mut command = Command::new("cargo-nextest");
    let found = command.args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    found.is_ok_and(|status| status.success())
}
