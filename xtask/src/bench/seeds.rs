//! `cargo xtask bench seeds`: 500 users of a page that takes two seconds, before and after caching, all at once, and
//! beside a page that has nothing to cache.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::Value;

use super::{
    counts::{built, folder},
    machine::Machine,
    table::{Table, write_block},
};
use crate::{
    run,
    workspace::{cargo, root},
};

/// 500 users before and after caching, all at once, and beside a page that has nothing to cache.
#[derive(Debug, Clone, Args)]
pub(super) struct Seeds {
    /// In small: 50 users and 500 requests; nothing is written.
    #[arg(long)]
    quick: bool,
}

/// A run of the load test, which makes two rows.
struct Experiment {
    /// What the rows are called.
    names: [&'static str; 2],
    paths: [&'static str; 2],
    flags: &'static [&'static str],
    quick: &'static [&'static str],
}

/// The page without a cache, with one, and one that is ready at once.
const UNCACHED: &str = "/playground/uncached/";
const CACHED: &str = "/playground/hello/";
const READY: &str = "/";

const EXPERIMENTS: [Experiment; 3] = [
    Experiment {
        names: ["not cached", "cache_page"],
        paths: [UNCACHED, CACHED],
        flags: &[],
        quick: &["--quick"],
    },
    Experiment {
        names: ["a handler that is ready at once", "cache_page beside it"],
        paths: [READY, CACHED],
        flags: &[],
        quick: &["--quick"],
    },
    Experiment {
        names: ["500 at once, not cached", "500 at once, cache_page"],
        paths: [UNCACHED, CACHED],
        flags: &["--users", "500", "--rate", "500", "--requests", "500"],
        quick: &["--users", "50", "--rate", "50", "--requests", "50"],
    },
];

impl Seeds {
    /// Runs all three, prints and writes.
    ///
    /// # Errors
    /// When the load test can't be built, or a request failed.
    pub(super) fn run(&self) -> Result<()> {
        let mut command = cargo();
        command.args(["build", "--release", "-p", "loadtest"]);
        let program = built(command, "loadtest")?;
        let place = tempfile::tempdir()?;
        let mut rows = Vec::new();
        for Experiment { names, paths, flags, quick } in EXPERIMENTS {
            let figures = place.path().join("figures.json");
            let mut command = std::process::Command::new(&program);
            command
                .current_dir(root())
                .args(["--before", paths[0], "--after", paths[1]])
                .args(if self.quick { quick } else { flags })
                .arg("--report")
                .arg(place.path().join("report.html"))
                .arg("--json")
                .arg(&figures);
            ensure!(run::succeeds(&mut command)?, "the load test failed");
            rows.extend(names.into_iter().zip(both(&figures)?));
        }
        let table = table(&rows);
        println!("{}", table.text());
        if self.quick {
            return Ok(());
        }
        let machine = Machine::here();
        let text = format!("{}, {}.\n\n{}", machine.date, machine.name, table.markdown());
        write_block(&folder().join("RESULTS.md"), "seeds", &text)?;
        let short = format!("{}\n{}, {}.\n", short(&rows).markdown(), machine.date, machine.name);
        write_block(&root().join("README.md"), "seeds", &short)?;
        println!("written: benches/RESULTS.md, README.md");
        Ok(())
    }
}

fn both(file: &Path) -> Result<[Value; 2]> {
    let mut figures: Value = serde_json::from_str(&fs::read_to_string(file)?)?;
    let mut of = |name: &str| {
        let figures = figures[name].take();
        (!figures.is_null())
            .then_some(figures)
            .with_context(|| format!("the load test says nothing about {name}"))
    };
    Ok([of("before")?, of("after")?])
}

fn millis(figures: &Value, name: &str) -> String {
    match figures[name].as_f64() {
        None => "–".to_owned(),
        Some(time @ ..100.0) => format!("{time:.1}"),
        Some(time) => format!("{time:.0}"),
    }
}

fn count(figures: &Value, name: &str) -> String {
    figures[name].as_u64().map_or("–".to_owned(), |count| super::baseline::figure(count as f64))
}

fn table(rows: &[(&str, Value)]) -> Table {
    let mut table = Table::new(&[
        "500 users",
        "requests",
        "failed",
        "p50 ms",
        "p90",
        "p99",
        "average",
        "slowest",
        "calls to the API",
    ]);
    for (name, figures) in rows {
        let times = ["p50", "p90", "p99", "average", "slowest"].map(|name| millis(figures, name));
        let cells = [(*name).to_owned(), count(figures, "requests"), count(figures, "failures")];
        table.row(cells.into_iter().chain(times).chain([count(figures, "origin_calls")]));
    }
    table
}

/// What the README shows.
fn short(rows: &[(&str, Value)]) -> Table {
    let mut table = Table::new(&["500 users, a page that takes 2 s", "p50 ms", "p99 ms", "calls to the API"]);
    for (name, figures) in rows {
        table.row([
            (*name).to_owned(),
            millis(figures, "p50"),
            millis(figures, "p99"),
            count(figures, "origin_calls"),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_figures_of_both_runs_become_rows() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("figures.json");
        let run = |p99: f64| json!({"requests": 7041, "failures": 0, "p50": 2.04, "p90": 3, "p99": p99, "average": 2.5, "slowest": 2003.2, "origin_calls": 1});
        fs::write(&file, json!({"before": run(2100.4), "after": run(8.25)}).to_string()).unwrap();
        let [before, after] = both(&file).unwrap();
        let rows = [("not cached", before), ("cached", after)];
        assert_eq!(table(&rows).rows[1], ["cached", "7,041", "0", "2.0", "3.0", "8.2", "2.5", "2003", "1"]);
        assert_eq!(short(&rows).rows[0], ["not cached", "2.0", "2100", "1"]);
        fs::write(&file, "{}").unwrap();
        assert!(both(&file).unwrap_err().to_string().contains("before"));
    }
}
