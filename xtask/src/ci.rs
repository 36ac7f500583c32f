//! `cargo xtask ci`: what has to hold before a change goes in. `.ci/run` is this and nothing else.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::{
    run, servers,
    summary::Count,
    test, tidy,
    workspace::{cargo, packages},
};

/// What CI runs.
#[derive(Debug, Clone, Args)]
pub(crate) struct Ci {
    #[command(flatten)]
    which: servers::Which,
}

impl Ci {
    /// Runs every step, also after one failed, so that one run tells everything. The tests come last, and so does their
    /// closing line.
    ///
    /// # Errors
    /// When a step can't be run at all.
    pub(crate) fn run(self) -> Result<bool> {
        let mut steps = Steps::default();
        steps.cargo("formatting (mend: cargo fmt --all)", &["fmt", "--all", "--check"])?;
        steps.step("tidy", tidy::report)?;
        const CLIPPY: &[&str] = &[
            "clippy",
            "--workspace",
            "--keep-going",
            "--all-targets",
            "--all-features",
            "--",
            "-D",
            "warnings",
        ];
        steps.cargo("clippy", CLIPPY)?;
        steps.run("docs", strict(&["doc", "--workspace", "--no-deps", "--all-features"]))?;
        for feature in facade_features()? {
            let mut check = strict(&["check", "-p", "larder", "--no-default-features"]);
            if !feature.is_empty() {
                check.args(["--features", &feature]);
            }
            steps.run(
                &format!("larder with {}", if feature.is_empty() { "no feature" } else { &feature }),
                check,
            )?;
        }
        let mut count = Count::default();
        steps.step("tests", || {
            count = test::Test::everything(self.which).count()?;
            Ok(count.is_good())
        })?;
        steps.print();
        println!("{count}");
        Ok(steps.all_good())
    }
}

/// Every feature of the facade, each of which has to build alone, and the empty one.
fn facade_features() -> Result<Vec<String>> {
    let packages = packages()?;
    let facade = packages.iter().find(|package| package.name == "larder").context("a crate named larder")?;
    let features = facade.features.iter().filter(|name| *name != "default").cloned();
    Ok([String::new()].into_iter().chain(features).collect())
}

/// A cargo command for which a warning is an error.
fn strict(arguments: &[&str]) -> Command {
    let mut command = cargo();
    command.args(arguments).env("RUSTDOCFLAGS", "-D warnings");
    command
}

struct Steps {
    since: Instant,
    done: Vec<(String, bool, Duration)>,
}

impl Default for Steps {
    fn default() -> Self {
        Self { since: Instant::now(), done: Vec::new() }
    }
}

impl Steps {
    fn cargo(&mut self, name: &str, arguments: &[&str]) -> Result<()> {
        self.run(name, strict(arguments))
    }

    fn run(&mut self, name: &str, mut command: Command) -> Result<()> {
        self.step(name, || run::succeeds(&mut command))
    }

    fn step(&mut self, name: &str, work: impl FnOnce() -> Result<bool>) -> Result<()> {
        eprintln!("── {name}");
        let since = Instant::now();
        let good = work().with_context(|| name.to_owned())?;
        self.done.push((name.to_owned(), good, since.elapsed()));
        Ok(())
    }

    fn all_good(&self) -> bool {
        self.done.iter().all(|(_, good, _)| *good)
    }

    fn print(&self) {
        eprintln!();
        for (name, good, took) in &self.done {
            eprintln!("{} {:>6.1} s  {name}", if *good { "ok    " } else { "FAILED" }, took.as_secs_f64());
        }
        eprintln!("       {:>6.1} s  in all\n", self.since.elapsed().as_secs_f64());
    }
}
