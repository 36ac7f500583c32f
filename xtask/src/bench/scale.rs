//! `cargo xtask bench scale`: the program `scale` of `benches/`.

use std::process::Command;

use anyhow::{Result, bail, ensure};

use super::{
    counts::{built, folder},
    machine::Machine,
    table::{Table, write_block},
};
use crate::workspace::cargo;

/// Builds and runs it, prints its table and writes it.
///
/// # Errors
/// When it can't be built or run.
pub(super) fn run() -> Result<()> {
    let mut command = cargo();
    command.args(["build", "--profile", "dist", "-p", "larder-benches", "--bin", "scale"]);
    let output = Command::new(built(command, "scale")?).output()?;
    ensure!(output.status.success(), "scale: {}", String::from_utf8_lossy(&output.stderr).trim());
    let table = table(&String::from_utf8(output.stdout)?)?;
    println!("{}", table.text());
    let (machine, load) = (Machine::here(), Machine::load());
    let text = format!("{}, {}; load average {load:.1}.\n\n{}", machine.date, machine.name, table.markdown());
    write_block(&folder().join("RESULTS.md"), "scale", &text)
}

fn table(lines: &str) -> Result<Table> {
    let mut table = Table::new(&["", "bare handler", "Larder"]);
    for line in lines.lines() {
        let [what, bare, ours] = line.split('\t').collect::<Vec<_>>()[..] else {
            bail!("no ratio: {line:?}")
        };
        table.row([what.to_owned(), bare.to_owned(), ours.to_owned()]);
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_row_and_what_is_none_is_an_error() {
        let rows = table("threads\t1.50\t1.40\nmany pages\t\t1.20\n").unwrap().rows;
        assert_eq!(rows, [["threads", "1.50", "1.40"], ["many pages", "", "1.20"]]);
        let error = table("threads 1.5").err().unwrap().to_string();
        assert!(error.contains("threads 1.5"), "{error}");
    }
}
