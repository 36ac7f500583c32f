//! `cargo xtask bench stores`: the program `stores` of `benches/`, with its servers.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use clap::Args;

use super::{
    counts::{built, folder},
    machine::Machine,
    table::write_block,
    valgrind,
};
use crate::{
    run,
    servers::{self, Which},
    workspace::cargo,
};

/// A hit from a store outside the process, beside a handler that asks the same store by the same driver.
#[derive(Debug, Clone, Args)]
pub(super) struct Stores {
    /// Install missing servers and valgrind with apt-get; root on Debian needs no flag.
    #[arg(long)]
    install: bool,

    /// Arguments for the program; nothing is written then.
    #[arg(last = true)]
    rest: Vec<String>,
}

impl Stores {
    /// Runs it; false when it failed.
    ///
    /// # Errors
    /// When it can't be built or run.
    pub(super) fn run(&self) -> Result<bool> {
        // What has been measured by then would be lost.
        if self.rest.first().is_none_or(|word| word == "counts") {
            valgrind(self.install)?;
        }
        let mut command = cargo();
        command.args([
            "build",
            "--profile",
            "dist",
            "-p",
            "larder-benches",
            "--features",
            "stores",
            "--bin",
            "stores",
        ]);
        let program = built(command, "stores")?;
        let servers = servers::bring(&Which::these(&["redis", "memcached", "postgres"], self.install))?;
        let mut command = Command::new(program);
        command.args(&self.rest).envs(servers.env.clone());
        if !self.rest.is_empty() {
            return run::succeeds(&mut command);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("running stores")?;
        let output = child.wait_with_output()?;
        let text = String::from_utf8(output.stdout)?;
        println!("{text}");
        if output.status.success() {
            let machine = Machine::here();
            let text = format!("{}, {}.\n\n{}", machine.date, machine.name, as_block(&text));
            write_block(&folder().join("RESULTS.md"), "stores", &text)?;
            println!("written: benches/RESULTS.md");
        }
        Ok(output.status.success())
    }
}

/// Tables for a page stay as they are; what was laid out for a terminal keeps its columns.
fn as_block(text: &str) -> String {
    let text = text.trim_matches('\n');
    if text.lines().any(|line| line.starts_with("|--")) {
        text.to_owned()
    } else {
        format!("```text\n{text}\n```")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_for_a_page_stays_one_and_a_terminals_keeps_its_columns() {
        assert_eq!(as_block("| a |\n|---|\n| 1 |\n"), "| a |\n|---|\n| 1 |");
        assert_eq!(as_block("\n  a  b\n  1  2\n"), "```text\n  a  b\n  1  2\n```");
    }
}
