//! The load, and what it cost the server.

use std::{collections::HashMap, fs, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};

/// What wrk tells of one run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Load {
    pub(super) requests: u64,
    pub(super) per_second: f64,
    /// Seconds of processor time of the server, all its processes together.
    pub(super) cpu: f64,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asks<'a> {
    /// The page.
    One,
    /// Pages of so many, by a script for wrk.
    Pages { script: &'a Path, pages: &'a str },
}

impl Load {
    /// Microseconds of the server's processor for each request.
    pub(super) fn micros(&self) -> f64 {
        self.cpu * 1e6 / self.requests as f64
    }
}

/// Loads a port for so long over 64 connections, from this core, and reads the processor time of the process `server` and
/// of all that it started.
///
/// # Errors
/// When wrk can't be run, or an answer was an error: then there is nothing to compare.
pub(super) fn run(port: u16, asks: Asks<'_>, time: Duration, core: usize, server: u32) -> Result<Load> {
    let before = cpu_of(server)?;
    let mut command = Command::new("taskset");
    command
        .args(["-c", &core.to_string(), "wrk", "-t1", "-c64"])
        .arg(format!("-d{}s", time.as_secs().max(1)))
        .arg(format!("http://127.0.0.1:{port}/page"));
    if let Asks::Pages { script, pages } = asks {
        command.arg("-s").arg(script).env("PAGES", pages);
    }
    let output = command.output().context("running taskset and wrk")?;
    let cpu = cpu_of(server)? - before;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "wrk: {}", String::from_utf8_lossy(&output.stderr).trim());
    let (requests, per_second) = parse(&text)?;
    Ok(Load { requests, per_second, cpu })
}

fn parse(text: &str) -> Result<(u64, f64)> {
    if let Some(bad) = text.lines().find(|line| line.contains("Non-2xx") || line.contains("Socket errors")) {
        bail!("not every answer was a page: {}", bad.trim());
    }
    let requests = text.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok());
    let per_second =
        text.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:")?.trim().parse().ok());
    let both = requests.zip(per_second).filter(|(requests, _)| *requests > 0);
    both.with_context(|| format!("wrk counted nothing: {text}"))
}

/// A process, as `/proc/PID/stat` tells it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stat {
    parent: u32,
    group: u32,
    /// Ticks in user and system mode.
    ticks: u64,
}

/// Seconds that a process, its group and its descendants have used.
fn cpu_of(server: u32) -> Result<f64> {
    let mut all = HashMap::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // A process may end between the two.
        if let Some(stat) = fs::read_to_string(entry.path().join("stat")).ok().and_then(|text| stat(&text)) {
            all.insert(id, stat);
        }
    }
    ensure!(all.contains_key(&server), "the server has ended");
    let ticks: u64 = family(&all, server).map(|id| all[&id].ticks).sum();
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// The processes that belong to this one: of its group, or below it.
fn family(all: &HashMap<u32, Stat>, server: u32) -> impl Iterator<Item = u32> {
    let below = move |id: u32| {
        let mut at = id;
        // No chain is longer than there are processes.
        for _ in 0..all.len() {
            match all.get(&at) {
                Some(stat) if at == server || stat.group == server => return true,
                Some(stat) => at = stat.parent,
                None => return false,
            }
        }
        false
    };
    all.keys().copied().filter(move |id| below(*id))
}

/// The fields that count; the name before them may have spaces and parentheses in it.
fn stat(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let id = |at: usize| u32::try_from(number(at)?).ok();
    Some(Stat { parent: id(1)?, group: id(2)?, ticks: number(11)? + number(12)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrks_figures_are_read() {
        let text = "Running 5s test @ http://127.0.0.1:1/page\n  1 threads and 64 connections\n  \
                    Thread Stats   Avg      Stdev     Max   +/- Stdev\n    Latency   321.03us    1.00ms   2.00ms   99.00%\n  \
                    913373 requests in 5.00s, 1.11GB read\nRequests/sec: 182674.60\nTransfer/sec:    227.00MB\n";
        assert_eq!(parse(text).unwrap(), (913_373, 182_674.6));
    }

    #[test]
    fn a_run_with_errors_counts_for_nothing() {
        let errors = "  10 requests in 5.00s, 1KB read\n  Non-2xx or 3xx responses: 10\nRequests/sec: 2\n";
        assert!(parse(errors).unwrap_err().to_string().contains("Non-2xx"));
        let errors = "  10 requests in 5s, 1KB read\n  Socket errors: connect 0, read 3, write 0, timeout 0\nRequests/sec: 2\n";
        assert!(parse(errors).unwrap_err().to_string().contains("read 3"));
        assert!(parse("  0 requests in 5.00s, 0B read\nRequests/sec: 0.00\n").is_err());
    }

    #[test]
    fn a_name_with_parentheses_does_not_move_the_fields() {
        let text = "77 (a) b (c)) S 5 70 70 0 -1 4194560 100 0 0 0 123 45 0 0 20 0 1 0 100 0 0";
        assert_eq!(stat(text), Some(Stat { parent: 5, group: 70, ticks: 168 }));
        assert_eq!(stat("77 (a"), None);
    }

    #[test]
    fn children_that_left_the_group_are_still_the_servers() {
        let stat = |parent, group| Stat { parent, group, ticks: 1 };
        let all = HashMap::from([
            (1, stat(0, 1)),
            (10, stat(1, 10)),
            (11, stat(10, 10)),
            (12, stat(11, 12)),
            (13, stat(1, 10)),
            (20, stat(1, 20)),
        ]);
        let mut family: Vec<_> = family(&all, 10).collect();
        family.sort_unstable();
        assert_eq!(family, [10, 11, 12, 13]);
    }
}
