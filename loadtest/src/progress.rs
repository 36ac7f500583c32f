//! How a run is going: a bar where somebody watches, a line now and then where a log does.

use std::io::{IsTerminal as _, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;

use crate::cli::Load;
use crate::record::Recorder;
use crate::stats::{millis, percentile};

const TICK: Duration = Duration::from_millis(500);

/// A log gets one line for so many ticks.
const TICKS_PER_LINE: u32 = 20;

pub(crate) struct Progress {
    task: JoinHandle<()>,
    bar: ProgressBar,
}

impl Progress {
    pub(crate) fn start(name: &'static str, load: &Load, recorder: Recorder) -> Self {
        let bar = ProgressBar::new(load.requests).with_prefix(name);
        if let Ok(style) = ProgressStyle::with_template("{prefix:>6} {bar:30} {pos:>5}/{len}  {msg}") {
            bar.set_style(style);
        }
        let task = tokio::spawn(show(bar.clone(), name, load.clone(), recorder));
        Self { task, bar }
    }

    pub(crate) async fn end(self) {
        self.task.abort();
        // Aborted, so the error is expected.
        let _ = self.task.await;
        self.bar.finish();
    }
}

async fn show(bar: ProgressBar, name: &'static str, load: Load, recorder: Recorder) {
    let begun = Instant::now();
    let mut seen = 0;
    for tick in 0_u32.. {
        tokio::time::sleep(TICK).await;
        let fresh = recorder.since(seen);
        seen += fresh.len() as u64;
        let mut took: Vec<_> = fresh.iter().map(|sample| sample.took).collect();
        took.sort_unstable();
        let elapsed = begun.elapsed().as_secs_f64();
        let users = u64::from(load.users).min((elapsed * f64::from(load.rate)) as u64);
        let line = format!(
            "{users:>3} users  {:>4.0} req/s  p50 {} ms",
            fresh.len() as f64 / TICK.as_secs_f64(),
            percentile(&took, 50.0).map_or("–".to_owned(), millis),
        );
        if stderr().is_terminal() {
            bar.set_position(seen);
            bar.set_message(line);
        } else if tick % TICKS_PER_LINE == TICKS_PER_LINE - 1 {
            eprintln!("{name:>6} {seen:>5}/{}  {line}", load.requests);
        }
    }
}
