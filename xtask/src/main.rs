//! What a person repeats, as one command each.
//!
//! - `cargo xtask test`: every test, against real servers that it finds (or installs), starts and stops.
//! - `cargo xtask servers`: those servers alone, until Ctrl-C, for work with `cargo test` or by hand.
//! - `cargo xtask tidy`: the rules about the code that no compiler checks.
//! - `cargo xtask bench`: what a request costs, beside what it cost before and beside other caches.
//! - `cargo xtask ci`: all of it, as `.ci/run` does.

mod bench;
mod ci;
mod install;
mod run;
mod servers;
mod summary;
mod test;
mod tidy;
mod workspace;

#[path = "../../tests/src/names.rs"]
#[expect(unreachable_pub, reason = "the file is the tests' own, where these are public")]
mod names;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "What a person repeats, as one command each.")]
struct Xtask {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs every test, against real servers that it finds, starts and stops.
    Test(test::Test),
    /// Starts the servers, prints their addresses as export lines and waits for Ctrl-C.
    Servers(servers::Which),
    /// Checks the rules that no compiler checks: which crate may use which, file lengths, left-over notes.
    Tidy,
    /// Counts what each kind of request costs, beside the committed baseline; `bench help` lists more.
    Bench(bench::Bench),
    /// What CI runs: formatting, clippy, docs, tidy, each feature alone, then every test.
    Ci(ci::Ci),
}

fn main() -> ExitCode {
    match dispatch(Xtask::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all was well.
fn dispatch(command: Command) -> Result<bool> {
    run::stop_on_signals()?;
    match command {
        Command::Test(test) => test.run(),
        Command::Servers(which) => servers::until_interrupted(&which).map(|()| true),
        Command::Tidy => tidy::report(),
        Command::Bench(bench) => bench.run(),
        Command::Ci(ci) => ci.run(),
    }
}
