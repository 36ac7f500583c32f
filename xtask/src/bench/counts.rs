//! What the rows of `benches/` cost: instructions by callgrind, allocations by a counting allocator.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::{
    run,
    workspace::{cargo, root},
};

/// The requests of the longer and of the shorter run under callgrind.
const REQUESTS: [u64; 2] = [5500, 500];

/// A row of `larder-benches rows`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) name: String,
    /// The row that does the same without a cache.
    pub(super) base: String,
    pub(super) what: String,
}

/// What a request of a row costs.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Cost {
    pub(super) instructions: f64,
    pub(super) allocations: f64,
    /// Wall clock, never part of a baseline.
    pub(super) nanos: f64,
}

/// The program that is measured.
pub(super) struct Program(PathBuf);

impl Program {
    /// Builds it, as a release is built.
    ///
    /// # Errors
    /// When cargo fails.
    pub(super) fn build() -> Result<Self> {
        let mut command = cargo();
        command.args(["build", "--profile", "dist", "-p", "larder-benches", "--bin", "larder-benches"]);
        built(command, "larder-benches").map(Self)
    }

    /// The rows, in the order of the tables.
    ///
    /// # Errors
    /// When the program fails or prints what it never did.
    pub(super) fn rows(&self) -> Result<Vec<Row>> {
        rows(&self.says(&["rows"])?)
    }

    /// Counts these rows.
    ///
    /// # Errors
    /// When valgrind is missing or fails.
    pub(super) fn costs(&self, rows: &[Row]) -> Result<BTreeMap<String, Cost>> {
        let mut costs = allocations(&self.says(&["allocations"])?)?;
        for row in rows {
            run::check_interrupted()?;
            eprintln!("counting {}", row.name);
            let cost = costs.get_mut(&row.name).with_context(|| format!("no allocations of {}", row.name))?;
            cost.instructions = instructions(&self.0, &row.name, REQUESTS)?;
        }
        Ok(costs)
    }

    fn says(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new(&self.0).args(arguments).output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "larder-benches {}: {}", arguments.join(" "), errors.trim());
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// The instructions of one request, by `PROGRAM send WHAT REQUESTS` under callgrind: the difference of two runs has neither start nor warm-up
/// in it.
///
/// # Errors
/// When valgrind is missing or fails.
pub(super) fn instructions(program: &Path, what: &str, [long, short]: [u64; 2]) -> Result<f64> {
    let more = counted(program, what, long)?.saturating_sub(counted(program, what, short)?);
    Ok(more as f64 / (long - short) as f64)
}

fn counted(program: &Path, what: &str, requests: u64) -> Result<u64> {
    let folder = tempfile::tempdir()?;
    let counts = folder.path().join("counts");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--callgrind-out-file={}", counts.display()))
        .arg(program)
        .args(["send", what, &requests.to_string()])
        .output()
        .context("running valgrind; install it, or let --install do it")?;
    ensure!(output.status.success(), "valgrind: {}", String::from_utf8_lossy(&output.stderr).trim());
    total(&fs::read_to_string(counts)?)
}

/// Runs a cargo build and finds the program of this name that came out.
///
/// # Errors
/// When it fails.
pub(super) fn built(mut command: Command, name: &str) -> Result<PathBuf> {
    command.arg("--message-format=json-render-diagnostics").stderr(std::process::Stdio::inherit());
    let output = command.output()?;
    ensure!(output.status.success(), "building {name} failed");
    executable(&String::from_utf8(output.stdout)?, name)
        .with_context(|| format!("cargo built no program {name}"))
}

/// The last program of this name among cargo's messages.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let named = messages.filter(|message| message["target"]["name"] == name);
    named.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next_back()
}

fn rows(text: &str) -> Result<Vec<Row>> {
    let row = |line: &str| match line.split('\t').collect::<Vec<_>>()[..] {
        [name, base, what] => Ok(Row { name: name.into(), base: base.into(), what: what.into() }),
        _ => bail!("no row: {line:?}"),
    };
    text.lines().map(row).collect()
}

fn allocations(text: &str) -> Result<BTreeMap<String, Cost>> {
    let cost = |line: &str| {
        let [name, allocations, nanos] = line.split('\t').collect::<Vec<_>>()[..] else {
            bail!("no count: {line:?}");
        };
        let cost = Cost { allocations: allocations.parse()?, nanos: nanos.parse()?, ..Cost::default() };
        Ok((name.to_owned(), cost))
    };
    text.lines().map(cost).collect()
}

/// The sum that callgrind writes at the end of its file.
fn total(counts: &str) -> Result<u64> {
    let line = counts.lines().rev().find_map(|line| line.strip_prefix("totals:"));
    let first = line.and_then(|totals| totals.split_whitespace().next());
    first.context("callgrind's file has no totals")?.parse().context("callgrind's totals")
}

/// Where the baseline stands.
pub(super) fn baseline() -> PathBuf {
    folder().join("baseline.json")
}

/// The benchmarks' folder.
pub(super) fn folder() -> PathBuf {
    Path::new(&root()).join("benches")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callgrinds_sum_is_the_first_figure_of_its_last_line() {
        let file = "version: 1\nevents: Ir\nsummary: 3\nfn=(1) main\n16 400\ntotals: 98765 12\n";
        assert_eq!(total(file).unwrap(), 98765);
        assert!(total("events: Ir\n").unwrap_err().to_string().contains("no totals"));
        assert!(total("totals: many\n").is_err());
    }

    #[test]
    fn a_line_of_each_kind_is_read_and_any_other_is_an_error() {
        let row = Row { name: "page".into(), base: "bare".into(), what: "a hit, kept".into() };
        assert_eq!(rows("page\tbare\ta hit, kept\n").unwrap(), [row]);
        assert!(rows("page bare\n").unwrap_err().to_string().contains("page bare"));
        let costs = allocations("page\t23.000\t1500.5\n").unwrap();
        assert_eq!(costs["page"], Cost { instructions: 0.0, allocations: 23.0, nanos: 1500.5 });
        assert!(allocations("page\t23\n").is_err());
    }

    #[test]
    fn the_program_is_found_among_cargos_messages() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"larder-benches"},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"larder-benches"},"executable":"/t/dist/larder-benches"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(executable(messages, "larder-benches").unwrap(), Path::new("/t/dist/larder-benches"));
        assert!(executable(messages, "other").is_none());
    }
}
