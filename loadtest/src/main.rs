//! `cargo run --release -p loadtest`: the load test of the delay example, before and after caching, as one command.
//!
//! It starts `delay` in a process of its own, lets users load the uncached view and then, against a fresh one, the
//! cached view, and shows both side by side: a table in the terminal and a page of plots.

mod attack;
mod cli;
mod plot;
mod progress;
mod record;
mod report;
mod server;
mod stats;
mod table;

use std::fs::OpenOptions;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;

use crate::cli::{Args, Load};
use crate::server::Server;
use crate::stats::Stats;

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let load = args.load();
    eprintln!("{load}");
    // Better to hear it now than in four minutes; what is there stays until there is something better.
    let report = OpenOptions::new().create(true).append(true).open(&args.report);
    report.with_context(|| format!("{} can't be written", args.report.display()))?;
    if args.url.is_none() {
        server::build().await?;
    }
    let before = phase(&args, &load, "before", &args.before).await?;
    let after = phase(&args, &load, "after", &args.after).await?;

    println!("{}", table::compare(&before, &after));
    let page = report::page(&load, &args, &before, &after);
    std::fs::write(&args.report, page)?;
    if let Some(file) = &args.json {
        let figures = serde_json::json!({ "before": before.figures(), "after": after.figures() });
        std::fs::write(file, figures.to_string()).with_context(|| file.display().to_string())?;
    }
    println!("Plots: {}", args.report.display());
    let failed = before.failures + after.failures;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One run against a server of its own, so that nothing is warm from the run before.
async fn phase(args: &Args, load: &Load, name: &'static str, path: &str) -> Result<Stats> {
    let server = match &args.url {
        Some(url) => Server::given(url),
        None => Server::start(args).await?,
    };
    let asked_before = server.origin_calls().await;
    let samples = attack::run(load, name, server.url(), path).await?;
    let origin_calls = match (asked_before, server.origin_calls().await) {
        (Some(before), Some(after)) => Some(after - before),
        _ => None,
    };
    server.stop().await?;
    Stats::new(path, &samples, origin_calls).with_context(|| format!("{name}: no request was answered"))
}
