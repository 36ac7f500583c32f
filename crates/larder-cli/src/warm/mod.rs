//! `larder warm`: asks a site for its pages, so that its cache has them before visitors come.

mod client;
mod log;
mod place;
mod sitemap;
mod summary;

use std::collections::HashSet;
use std::io::{BufRead, BufReader, IsTerminal as _, Read, Write};
use std::time::Duration;

use clap::Args;
use flate2::bufread::MultiGzDecoder;
use futures_util::stream::{self, StreamExt as _};
use indicatif::{ProgressBar, ProgressStyle};
use larder::Timeout;
use tokio::time::MissedTickBehavior;

use crate::failure::Failure;
use crate::output::Output;

use client::{Asked, Client, path_of};
use place::{Site, Source};
use summary::Summary;

/// Whose secret has pages made anew.
const SECRET: &str = "LARDER_REFRESH_SECRET";

/// What `larder warm` is told.
#[derive(Clone, Debug, Args)]
#[command(group = clap::ArgGroup::new("list").required(true).args(["sitemap", "log"]))]
pub(crate) struct Warm {
    /// Where the site's server is: http://127.0.0.1:8000
    site: String,
    /// The pages of a sitemap or a sitemap index, compressed or not
    #[arg(long, value_name = "URL|FILE")]
    sitemap: Option<String>,
    /// The pages of an access log in the common or combined format, the most asked for first; - reads the standard input
    #[arg(long, value_name = "FILE")]
    log: Option<String>,
    /// No more than the first N pages
    #[arg(long, value_name = "N")]
    top: Option<usize>,
    /// What visitors call the site, if that is not where its server is
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// A field to send: 'accept-language: de'; may be given several times
    #[arg(long = "header", short = 'H', value_name = "FIELD")]
    headers: Vec<String>,
    /// How many pages are asked for at the same time
    #[arg(long, value_name = "N", default_value = "4", value_parser = clap::value_parser!(u16).range(1..=1000))]
    concurrency: u16,
    /// How many pages are asked for in a second at most
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,
    /// How long a page may take
    #[arg(long, value_name = "TIME", default_value = "60s")]
    max_wait: Timeout,
    /// After how many failures in a row it ends
    #[arg(long, value_name = "N", default_value = "20", value_parser = clap::value_parser!(u32).range(1..))]
    max_failures: u32,
    /// Have pages that are there made anew, with the secret of LARDER_REFRESH_SECRET
    #[arg(long)]
    refresh: bool,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate >= 0.001);
    rate.ok_or_else(|| "a number of pages in a second, such as 20 or 0.5".to_owned())
}

/// Warms; whether every page could be had.
pub(crate) async fn run(warm: Warm, output: &mut Output<impl Write>) -> Result<bool, Failure> {
    let site = Site::new(&warm.site, warm.host.as_deref())?;
    let secret = match warm.refresh {
        false => None,
        true => Some(std::env::var(SECRET).map_err(|_| {
            Failure::said(format!(
                "--refresh needs the server's secret, that of its RefreshLayer, in {SECRET}"
            ))
        })?),
    };
    let patience = warm.max_wait.as_millis().map_or(Duration::MAX, Duration::from_millis);
    let client = Client::new(&warm.headers, secret.as_deref(), patience)?;
    let mut summary = Summary::new(site.to_string());
    let paths = list(&warm, &site, &client, &mut summary).await?;
    if paths.is_empty() {
        return Err(Failure::said(format!(
            "there is nothing to warm in it that is of {site}{}",
            summary.hint()
        )));
    }
    ask(&warm, &site, &client, paths, &mut summary).await;
    summary.print(warm.json, output)?;
    Ok(summary.is_whole())
}

/// What to ask for, each once.
async fn list(
    warm: &Warm,
    site: &Site,
    client: &Client,
    summary: &mut Summary,
) -> Result<Vec<String>, Failure> {
    let mut paths: Vec<String> = match (&warm.sitemap, &warm.log) {
        (Some(sitemap), _) => {
            let pages = sitemap::pages(&Source::of(sitemap), site, client, &mut summary.left_out).await?;
            pages.iter().map(path_of).collect()
        }
        (None, Some(log)) => {
            let tally = open(log).and_then(log::tally);
            tally.map_err(|error| Failure::said(format!("the log {log} can't be read: {error}")))?.ranked()
        }
        (None, None) => Vec::new(),
    };
    let mut seen = HashSet::new();
    paths.retain(|path| seen.insert(path.clone()));
    paths.truncate(warm.top.unwrap_or(usize::MAX));
    Ok(paths)
}

/// A log, compressed or not.
fn open(log: &str) -> std::io::Result<Box<dyn BufRead>> {
    let file: Box<dyn Read> =
        if log == "-" { Box::new(std::io::stdin()) } else { Box::new(std::fs::File::open(log)?) };
    let mut file = BufReader::new(file);
    Ok(match file.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
        true => Box::new(BufReader::new(MultiGzDecoder::new(file))),
        false => Box::new(file),
    })
}

async fn ask(warm: &Warm, site: &Site, client: &Client, paths: Vec<String>, summary: &mut Summary) {
    let bar = bar(paths.len() as u64);
    let beat = warm.rate.map(|rate| {
        let mut beat = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beat
    });
    let paced = stream::unfold((paths.into_iter(), beat), |(mut paths, mut beat)| async {
        let path = paths.next()?;
        if let Some(beat) = &mut beat {
            beat.tick().await;
        }
        Some((path, (paths, beat)))
    });
    let answers = paced.map(|path| async move {
        let asked = client.ask(site, &path).await;
        (path, asked)
    });
    let mut answers = std::pin::pin!(answers.buffer_unordered(warm.concurrency.into()));
    let mut in_a_row = 0;
    while let Some((path, asked)) = answers.next().await {
        in_a_row = if matches!(asked, Asked::Failed(_)) { in_a_row + 1 } else { 0 };
        summary.note(path, asked);
        bar.inc(1);
        bar.set_message(summary.short());
        if in_a_row >= warm.max_failures {
            summary.given_up = true;
            break;
        }
    }
    bar.finish_and_clear();
}

fn bar(pages: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} {eta}").ok();
    let bar = ProgressBar::new(pages);
    style.map_or(bar.clone(), |style| bar.with_style(style))
}
