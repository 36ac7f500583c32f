//! `cargo xtask bench`: what a request costs, beside what it cost before and beside other caches.
//!
//! Every command prints its table and writes it, with machine and date, between the marks `<!-- bench:NAME -->` of
//! `benches/RESULTS.md`.

mod baseline;
mod counts;
mod machine;
mod plot;
mod scale;
mod seeds;
mod stores;
mod table;
mod versus;

use std::{collections::BTreeMap, fs};

use anyhow::Result;
use clap::{Args, Subcommand};

use self::{
    baseline::{Baseline, figure},
    counts::{Cost, Program, Row},
    machine::Machine,
    plot::{Bar, Bars},
    table::Table,
};
use crate::install;

/// Counts instructions and allocations of each kind of request, beside the committed baseline.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Bench {
    #[command(subcommand)]
    command: Option<Command>,

    /// Fails when a row has become dearer than the baseline allows.
    #[arg(long)]
    check: bool,

    /// Writes the baseline anew, and the tables.
    #[arg(long, conflicts_with = "check")]
    save: bool,

    /// Only these rows.
    #[arg(long, value_delimiter = ',', value_name = "ROWS", conflicts_with = "save")]
    only: Vec<String>,

    /// Install valgrind with apt-get if it is missing; root on Debian needs no flag.
    #[arg(long)]
    install: bool,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    /// Two threads beside one, a million pages beside a thousand.
    Scale,
    /// 500 users of a slow page, before and after caching, all at once, and beside a page with nothing to cache.
    Seeds(seeds::Seeds),
    /// A hit from a store outside the process, beside a handler that asks the same store by the same driver.
    Stores(stores::Stores),
    /// The same page from other caches: bare servers, Rust peers, nginx, HAProxy, Varnish, Django.
    Versus(versus::Versus),
}

impl Bench {
    /// Runs it; false when something has become dearer.
    ///
    /// # Errors
    /// When something can't be built, started or measured.
    pub(crate) fn run(&self) -> Result<bool> {
        match &self.command {
            None => self.counts(),
            Some(Command::Scale) => scale::run().map(|()| true),
            Some(Command::Seeds(seeds)) => seeds.run().map(|()| true),
            Some(Command::Stores(stores)) => stores.run(),
            Some(Command::Versus(versus)) => versus.run().map(|()| true),
        }
    }

    fn counts(&self) -> Result<bool> {
        valgrind(self.install)?;
        let program = Program::build()?;
        let mut rows = program.rows()?;
        if let Some(unknown) = self.only.iter().find(|name| rows.iter().all(|row| row.name != **name)) {
            let known: Vec<_> = rows.iter().map(|row| row.name.as_str()).collect();
            anyhow::bail!("there is no row {unknown}; there are {}", known.join(", "));
        }
        let all = rows.clone();
        if !self.only.is_empty() {
            let wanted = |name: &String| self.only.contains(name);
            let bases: Vec<_> =
                rows.iter().filter(|row| wanted(&row.name)).map(|row| row.base.clone()).collect();
            rows.retain(|row| wanted(&row.name) || bases.contains(&row.name) || row.name == HARNESS);
        }
        let costs = program.costs(&rows)?;
        let (machine, tools) = (Machine::here(), machine::tools());
        let table = table(&rows, &costs);
        println!("{}", table.text());
        if self.save {
            let baseline = Baseline { tools: tools.clone(), costs };
            baseline.save(&counts::baseline(), &machine)?;
            let head = format!("{}, {}, {tools}.", machine.date, machine.name);
            let text = format!("{head}\n\n{}\n\n![Instructions](plots/counts.svg)", table.markdown());
            table::write_block(&counts::folder().join("RESULTS.md"), "counts", &text)?;
            fs::write(counts::folder().join("plots/counts.svg"), bars(&rows, &baseline.costs, head).svg())?;
            println!("saved: benches/baseline.json, benches/RESULTS.md, benches/plots/counts.svg");
            return Ok(true);
        }
        let mut baseline = Baseline::load(&counts::baseline())?;
        if !self.only.is_empty() {
            // Rows that were not asked for are not gone.
            baseline.costs.retain(|name, _| {
                rows.iter().any(|row| row.name == *name) || all.iter().all(|row| row.name != *name)
            });
        }
        if baseline.tools != tools {
            println!("note: the baseline was counted with {}, this with {tools}", baseline.tools);
        }
        let complaints = baseline.complaints(&rows, &costs);
        complaints.iter().for_each(|complaint| println!("{complaint}"));
        if complaints.is_empty() {
            println!("no row is dearer than in the baseline");
        }
        Ok(complaints.is_empty() || !self.check)
    }
}

/// Sees that valgrind is there: installs it where it is missing and may be installed.
fn valgrind(install: bool) -> Result<()> {
    if std::process::Command::new("valgrind").arg("--version").output().is_ok() {
        return Ok(());
    }
    anyhow::ensure!(
        install || install::by_itself(),
        "valgrind, which counts instructions, is missing: apt-get install valgrind, or take --install"
    );
    install::packages(&["valgrind"])
}

/// The row of the request alone.
const HARNESS: &str = "harness";

/// The rows: over the harness as the anchors' tables have it, and over the row that does the same without a cache.
fn table(rows: &[Row], costs: &BTreeMap<String, Cost>) -> Table {
    let mut table = Table::new(&[
        "a request",
        "instructions",
        "over harness",
        "over bare",
        "allocations",
        "over harness",
        "over bare",
        "ns ratio to bare",
    ]);
    let cost = |name: &str| costs.get(name).copied().unwrap_or_default();
    let harness = cost(HARNESS);
    for row in rows {
        let (mine, bare) = (cost(&row.name), cost(&row.base));
        let compared = row.name != row.base;
        let over = |mine: f64, other: f64| if compared { signed(mine - other) } else { String::new() };
        table.row([
            format!("{}: {}", row.name, row.what),
            figure(mine.instructions),
            figure(mine.instructions - harness.instructions),
            over(mine.instructions, bare.instructions),
            figure(mine.allocations),
            figure(mine.allocations - harness.allocations),
            over(mine.allocations, bare.allocations),
            if compared { format!("{:.2}", mine.nanos / bare.nanos) } else { String::new() },
        ]);
    }
    table
}

/// The same as bars, without the request's own making.
fn bars(rows: &[Row], costs: &BTreeMap<String, Cost>, below: String) -> Bars {
    let instructions = |name: &str| costs.get(name).map_or(f64::NAN, |cost| cost.instructions);
    let harness = instructions(HARNESS);
    let bar = |row: &Row| {
        let value = instructions(&row.name) - harness;
        let bare = ["bare", "noop"].iter().any(|without| row.name.starts_with(without));
        Bar { name: row.name.clone(), value, note: figure(value), ours: !bare }
    };
    Bars {
        title: "Instructions of a request, in process".to_owned(),
        below,
        bars: rows.iter().filter(|row| row.name != HARNESS).map(bar).collect(),
        mark: Some(instructions("bare") - harness),
    }
}

fn signed(number: f64) -> String {
    let text = figure(number);
    if text.starts_with('-') || text == "0" { text } else { format!("+{text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_shown_over_the_harness_and_over_what_does_the_same_without_a_cache() {
        let row = |name: &str, base: &str| Row { name: name.into(), base: base.into(), what: "w".into() };
        let cost = |instructions, allocations, nanos| Cost { instructions, allocations, nanos };
        let costs = BTreeMap::from([
            ("harness".to_owned(), cost(1000.0, 9.0, 300.0)),
            ("bare".to_owned(), cost(9000.0, 19.0, 1000.0)),
            ("pair".to_owned(), cost(8500.0, 20.5, 900.0)),
        ]);
        let rows = [row("harness", "harness"), row("bare", "bare"), row("pair", "bare")];
        let table = table(&rows, &costs);
        assert_eq!(table.rows[1], ["bare: w", "9,000", "8,000", "", "19", "10", "", ""]);
        assert_eq!(table.rows[2], ["pair: w", "8,500", "7,500", "-500", "20.5", "11.5", "+1.5", "0.90"]);
        let bars = bars(&rows, &costs, String::new());
        let shown: Vec<_> = bars.bars.iter().map(|bar| (bar.name.as_str(), bar.value, bar.ours)).collect();
        assert_eq!(shown, [("bare", 8000.0, false), ("pair", 7500.0, true)]);
        assert_eq!(bars.mark, Some(8000.0));
    }
}
