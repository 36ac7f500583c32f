//! The rounds: both sides in turn, medians, a table.

use std::io;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use larder_benches::median;

use crate::server::Server;
use crate::{load, stores};

/// How many ask at the same time.
const CONNECTIONS: [usize; 2] = [1, 64];
/// Many short rounds: with one connection most of the time is spent waking up, and that varies by tens of percent.
const ROUNDS: u64 = 9;
const MILLIS: u64 = 700;

pub(crate) struct Plan {
    stores: Vec<String>,
    rounds: usize,
    time: Duration,
}

impl Plan {
    /// `redis,file --rounds 5 --millis 2000`.
    pub(crate) fn parse(args: &[String]) -> io::Result<Self> {
        let mut plan =
            Self { stores: Vec::new(), rounds: ROUNDS as usize, time: Duration::from_millis(MILLIS) };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut number = || args.next().and_then(|text| text.parse::<u64>().ok());
            match arg.as_str() {
                "--rounds" => plan.rounds = number().unwrap_or(ROUNDS).max(1) as usize,
                "--millis" => plan.time = Duration::from_millis(number().unwrap_or(MILLIS).max(1)),
                // What `cargo bench` and friends add.
                "--bench" => {}
                names if names.starts_with("--") => {
                    return Err(io::Error::other(format!("{names}: write --rounds N or --millis N")));
                }
                names => plan.stores.extend(names.split(',').map(str::to_owned)),
            }
        }
        if plan.stores.is_empty() {
            plan.stores = stores::ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
        }
        Ok(plan)
    }

    pub(crate) fn run(&self) -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let under: &[&str] = match pin(&std::process::id().to_string(), 1) {
            true => &["taskset", "-c", "0"],
            false => &[],
        };
        println!(
            "| store | tags | connections | µs a hit | µs raw | ratio, by time | hits/s | raw/s | ratio, by rate |"
        );
        println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|");
        for name in &self.stores {
            for tags in stores::tags(name)? {
                let mut rounds = [Vec::new(), Vec::new()];
                for round in 0..self.rounds {
                    // New processes each time: one and the same program is faster in one process than in the next, by where its memory lies.
                    let start = |side| {
                        let server = Server::start(under, name, side, *tags, directory.path())?;
                        load::run(server.address(), 8, Duration::from_millis(300))?;
                        io::Result::Ok(server)
                    };
                    // Ours first: it writes what the other reads.
                    let (ours, raw) = (start("ours")?, start("raw")?);
                    for (connections, rounds) in CONNECTIONS.into_iter().zip(&mut rounds) {
                        let ask = |server: &Server| cost(server, connections, self.time);
                        let pair = match round % 2 {
                            0 => (ask(&ours)?, ask(&raw)?),
                            _ => {
                                let raw = ask(&raw)?;
                                (ask(&ours)?, raw)
                            }
                        };
                        rounds.push(pair);
                    }
                }
                for (connections, rounds) in CONNECTIONS.into_iter().zip(&rounds) {
                    let middle =
                        |figure: fn(&(Cost, Cost)) -> f64| median(rounds.iter().map(figure).collect());
                    println!(
                        "| {name} | {tags} | {connections} | {:.1} | {:.1} | {:.2} | {:.0} | {:.0} | {:.2} |",
                        middle(|(ours, _)| ours.micros),
                        middle(|(_, raw)| raw.micros),
                        middle(|(ours, raw)| raw.micros / ours.micros),
                        middle(|(ours, _)| ours.rate),
                        middle(|(_, raw)| raw.rate),
                        middle(|(ours, raw)| ours.rate / raw.rate),
                    );
                }
            }
        }
        Ok(())
    }
}

/// Of one hit: processor time, and how many a second.
#[derive(Clone, Copy)]
struct Cost {
    micros: f64,
    rate: f64,
}

fn cost(server: &Server, connections: usize, time: Duration) -> io::Result<Cost> {
    let (before, began) = (server.cpu_nanos()?, Instant::now());
    let answers = load::run(server.address(), connections, time)?.max(1) as f64;
    let took = began.elapsed().as_secs_f64();
    Ok(Cost { micros: (server.cpu_nanos()? - before) as f64 / 1_000.0 / answers, rate: answers / took })
}

/// Keeps a process to one core, if that can be had.
fn pin(process: &str, core: usize) -> bool {
    let mut command = Command::new("taskset");
    command.args(["-a", "-p", "-c", &core.to_string(), process]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
