//! `cargo xtask bench versus`: the same page from everybody's cache, over loopback.
//!
//! Every server runs on one core and the load on another, in alternating rounds. Ratios are taken within a round and the
//! median of the rounds is shown, by requests a second and by the server's processor time for each request.

mod django;
mod entrants;
mod growth;
mod http;
mod load;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use self::{
    entrants::{ALL, BARE, Entrant, Ground, Kind, Running, SAME},
    load::{Asks, Load},
};
use super::{
    baseline::figure,
    counts::{built, folder, instructions},
    machine::Machine,
    plot::{Bar, Bars},
    table::{Table, write_block},
};
use crate::{
    install, run,
    servers::{
        process::{Process, free_port},
        programs::Program,
    },
    workspace::{cargo, root},
};

/// Compares bare servers, Larder, other caches for Tower and Axum, caching proxies and Django.
#[derive(Debug, Clone, Args)]
pub(super) struct Versus {
    /// How often everybody's turn comes.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,

    /// How long a turn is.
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,

    /// Only those whose name contains one of these, and the bare handler; nothing is written.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,

    /// Install wrk, nginx, HAProxy, Varnish, Redis, venv and valgrind with apt-get where they are missing; root on Debian needs no flag.
    #[arg(long)]
    install: bool,
}

/// A program that is used, and the package that has it.
const PROGRAMS: [(&[&str], &str); 8] = [
    (&["wrk"], "wrk"),
    (&["taskset"], "util-linux"),
    (&["nginx"], "nginx-light"),
    (&["haproxy"], "haproxy"),
    (&["varnishd"], "varnish"),
    (&["redis-server", "valkey-server"], "redis-server"),
    (&["python3"], "python3-venv"),
    (&["valgrind"], "valgrind"),
];

/// What came of one entrant.
struct Turns {
    entrant: &'static Entrant,
    loads: Result<Vec<Load>, String>,
    /// Of a request, where it can be made in process, and valgrind is there.
    instructions: Option<f64>,
}

/// The requests of the longer and of the shorter run under callgrind; some need a hundred times what others do.
const COUNTED: [u64; 2] = [2200, 200];

impl Versus {
    /// Measures, prints and writes.
    ///
    /// # Errors
    /// When the comparison can't be made at all; an entrant that can't be started is a line of the table.
    pub(super) fn run(&self) -> Result<()> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        ensure!(cores >= 2, "servers and load need a core each, and there is one");
        self.install_missing();
        for (names, package) in PROGRAMS[..2].iter().map(|(names, package)| (Program(names), package)) {
            names.find().with_context(|| format!("the package {package} has it"))?;
        }
        let place = tempfile::Builder::new().prefix("larder-versus-").tempdir()?;
        let fast = tempfile::Builder::new().prefix("larder-versus-").tempdir_in(tmpfs())?;
        let (ground, _processes) = prepare(place.path(), fast.path())?;
        let mut everybody: Vec<(&'static Entrant, Result<Running, String>)> = Vec::new();
        for entrant in ALL.iter().filter(|entrant| self.wants(entrant)) {
            run::check_interrupted()?;
            everybody.push((entrant, started(entrant, &ground)));
        }
        let mut turns = self.rounds(&mut everybody, &ground)?;
        for turns in turns.iter_mut().filter(|turns| turns.loads.is_ok()) {
            run::check_interrupted()?;
            let count = |mode| instructions(&ground.program, mode, COUNTED);
            match turns.entrant.counted().map(count).transpose() {
                Ok(instructions) => turns.instructions = instructions,
                Err(error) => eprintln!("{} is not counted: {error:#}", turns.entrant.name),
            }
        }
        let grown = self.only.is_empty().then(|| {
            let ratios = growth::ratios(&ground, self.rounds, Duration::from_secs(self.seconds));
            growth::line(&ratios.map_err(|error| in_a_line(&error)))
        });
        drop((fast, place));
        let below: Vec<_> = [beside_the_same(&turns), grown].into_iter().flatten().collect();
        self.report(&turns, &below.join("\n\n"))
    }

    fn wants(&self, entrant: &Entrant) -> bool {
        let name = entrant.name.to_lowercase();
        self.only.is_empty()
            || name == BARE
            || self.only.iter().any(|only| name.contains(&only.to_lowercase()))
    }

    fn install_missing(&self) {
        let missing: Vec<_> = PROGRAMS.iter().filter(|(names, _)| Program(names).find().is_err()).collect();
        if missing.is_empty() || !(self.install || install::by_itself()) {
            return;
        }
        let packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
        if let Err(error) = install::packages(&packages) {
            // The others can be compared all the same.
            eprintln!("error: {error:#}");
        }
    }

    fn rounds(
        &self,
        everybody: &mut [(&'static Entrant, Result<Running, String>)],
        ground: &Ground,
    ) -> Result<Vec<Turns>> {
        let mut turns: Vec<Turns> = everybody
            .iter()
            .map(|(entrant, running)| Turns {
                entrant,
                loads: running.as_ref().map(|_| Vec::new()).map_err(String::clone),
                instructions: None,
            })
            .collect();
        for round in 1..=self.rounds {
            for (turns, (entrant, running)) in turns.iter_mut().zip(&mut *everybody) {
                run::check_interrupted()?;
                let Ok(loads) = &mut turns.loads else { continue };
                // Where its code and memory happen to lie makes a process some percent faster than another of the same program.
                if round > 1 && entrant.restarts() {
                    *running = started(entrant, ground);
                }
                let running = match running {
                    Ok(running) => running,
                    Err(why) => {
                        turns.loads = Err(why.clone());
                        continue;
                    }
                };
                if round == 1 || entrant.restarts() {
                    // A second nobody counts: connections, caches and the processor's clock get going.
                    _ = load::run(
                        running.port,
                        Asks::One,
                        Duration::from_secs(1),
                        ground.other,
                        running.process.id(),
                    );
                }
                match turn(running, Duration::from_secs(self.seconds), ground.other) {
                    Ok(load) => {
                        eprintln!(
                            "round {round} of {}: {:<42} {:>9} requests/s {:>8.2} µs",
                            self.rounds,
                            entrant.name,
                            figure(load.per_second),
                            load.micros()
                        );
                        loads.push(load);
                    }
                    Err(error) => turns.loads = Err(in_a_line(&error)),
                }
            }
        }
        Ok(turns)
    }

    fn report(&self, turns: &[Turns], below: &str) -> Result<()> {
        let bare = turns.iter().find(|turns| turns.entrant.name == BARE);
        let Some(Ok(bare)) = bare.map(|bare| &bare.loads) else { bail!("the bare handler was not measured") };
        let table = table(turns, bare);
        println!("{}\n{below}", table.text());
        if !self.only.is_empty() {
            return Ok(());
        }
        let machine = Machine::here();
        let head = format!(
            "{}, {}; load average {:.1}; {} rounds of {} s, {}.",
            machine.date,
            machine.name,
            Machine::load(),
            self.rounds,
            self.seconds,
            versions()
        );
        let plots = folder().join("plots");
        fs::create_dir_all(&plots)?;
        fs::write(plots.join("versus.svg"), bars(turns, bare, &head).svg())?;
        let text = format!(
            "{head}\n\n{}\n{below}\n\n![Ratios by processor time](plots/versus.svg)\n",
            table.markdown()
        );
        write_block(&folder().join("RESULTS.md"), "versus", &text)?;
        let short = format!("{}\n{}, {}.\n", short(turns, bare).markdown(), machine.date, machine.name);
        write_block(&root().join("README.md"), "versus", &short)?;
        println!("written: benches/RESULTS.md, benches/plots/versus.svg, README.md");
        Ok(())
    }
}

/// Files in memory where there are any.
fn tmpfs() -> &'static Path {
    let shared = Path::new("/dev/shm");
    if shared.is_dir() { shared } else { Path::new("/tmp") }
}

/// Builds the servers, without the other caches if those can't be had: they are named in the table then.
fn program() -> Result<PathBuf> {
    let build = |flags: &[&str]| {
        let mut command = cargo();
        command.current_dir(folder().join("versus")).args(["build", "--release"]).args(flags);
        built(command, "larder-versus")
    };
    build(&[]).or_else(|error| {
        eprintln!("{error:#}: going on without the other caches for Tower and Axum");
        build(&["--no-default-features"])
    })
}

/// Builds, and starts what several need; the processes end when they are dropped.
fn prepare(place: &Path, fast: &Path) -> Result<(Ground, Vec<Process>)> {
    let mut ground = Ground {
        program: program()?,
        folder: place.to_owned(),
        fast: fast.to_owned(),
        core: 0,
        other: 1,
        redis: None,
        origin: free_port()?,
        python: django::python().map_err(|error| format!("{error:#}")),
    };
    let mut processes = vec![ground.versus("origin", ground.origin, None, ground.other)?];
    let port = free_port()?;
    match ground.redis(port) {
        Ok(redis) => {
            ground.redis = Some(port);
            processes.push(redis);
        }
        Err(error) => eprintln!("without Redis: {error:#}"),
    }
    Ok((ground, processes))
}

/// Starts somebody, and sees that it answers as it should; what it does not, in a line.
fn started(entrant: &Entrant, ground: &Ground) -> Result<Running, String> {
    let running = entrant.start(ground).and_then(|running| check(&running).map(|()| running));
    running.map_err(|error| {
        eprintln!("{} is skipped: {error:#}", entrant.name);
        in_a_line(&error)
    })
}

/// Sees that a server answers with the page, and from the second request on without its handler.
fn check(running: &Running) -> Result<()> {
    for _ in 0..3 {
        let answer = http::get(running.port, "/page")?;
        ensure!(answer.status == 200, "it answers {}", answer.status);
        ensure!(
            answer.body == [b'x'; 1024],
            "it answers with {} bytes that are not the page",
            answer.body.len()
        );
    }
    let before = runs(running)?;
    http::get(running.port, "/page")?;
    ensure!(before == runs(running)?, "a page that was asked for again reached the handler");
    Ok(())
}

/// An error, and the end of a log in it, as a cell of a table.
fn in_a_line(error: &anyhow::Error) -> String {
    let text = format!("{error:#}").replace('|', "/");
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join(" ").chars().take(90).collect()
}

/// How often the handler ran; `None` where nobody counts.
fn runs(running: &Running) -> Result<Option<u64>> {
    let Some(port) = running.counts else { return Ok(None) };
    let answer = http::get(port, "/runs")?;
    let text = String::from_utf8_lossy(&answer.body);
    Ok(Some(text.trim().parse().with_context(|| format!("the number of runs is {text:.40}"))?))
}

fn turn(running: &Running, time: Duration, core: usize) -> Result<Load> {
    let before = runs(running)?;
    let load = load::run(running.port, Asks::One, time, core, running.process.id())?;
    ensure!(before == runs(running)?, "the handler ran again under load");
    Ok(load)
}

fn versions() -> String {
    let of = |program: &str, flag: &str| {
        let output = Command::new(program).arg(flag).output().ok()?;
        let text = [output.stdout, output.stderr].concat();
        Some(String::from_utf8_lossy(&text).lines().next()?.trim().to_owned())
    };
    let found =
        [("wrk", "-v"), ("nginx", "-v"), ("haproxy", "-v"), ("varnishd", "-V"), ("redis-server", "-v")];
    let found: Vec<_> = found.iter().filter_map(|(program, flag)| of(program, flag)).collect();
    let short = |line: &String| {
        let words: Vec<_> = line.split_whitespace().take(5).collect();
        words.join(" ").trim_end_matches(['(', ')', ',']).to_owned()
    };
    found.iter().map(short).collect::<Vec<_>>().join("; ")
}

/// The ratios of an entrant to the bare handler, round by round: by requests a second and by processor time.
fn ratios(loads: &[Load], bare: &[Load]) -> (f64, f64) {
    let of = |ratio: fn(&Load, &Load) -> f64| {
        median(loads.iter().zip(bare).map(|(mine, bare)| ratio(mine, bare)).collect())
    };
    (of(|mine, bare| mine.per_second / bare.per_second), of(|mine, bare| bare.micros() / mine.micros()))
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    match figures.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => figures[odd / 2],
        even => f64::midpoint(figures[even / 2 - 1], figures[even / 2]),
    }
}

fn table(turns: &[Turns], bare: &[Load]) -> Table {
    let mut table = Table::new(&[
        "server",
        "requests/s",
        "least–most",
        "ratio",
        "CPU µs/request",
        "ratio by CPU time",
        "instructions over bare",
    ]);
    let first = turns.iter().find(|turns| turns.entrant.name == BARE).and_then(|turns| turns.instructions);
    for Turns { entrant, loads, instructions } in turns {
        match loads {
            Err(why) => table.row([
                entrant.name.to_owned(),
                format!("skipped: {why}"),
                String::new(),
                String::new(),
                String::new(),
                String::new(),
                String::new(),
            ]),
            Ok(loads) => {
                let per_second = |pick: fn(f64, f64) -> f64| {
                    loads.iter().map(|load| load.per_second).reduce(pick).unwrap_or(f64::NAN)
                };
                let (ratio, by_cpu) = ratios(loads, bare);
                table.row([
                    entrant.name.to_owned(),
                    figure(median(loads.iter().map(|load| load.per_second).collect())),
                    format!("{}–{}", figure(per_second(f64::min)), figure(per_second(f64::max))),
                    format!("{ratio:.3}"),
                    format!("{:.2}", median(loads.iter().map(Load::micros).collect())),
                    format!("{by_cpu:.3}"),
                    instructions.zip(first).map_or_else(String::new, |(mine, bare)| figure(mine - bare)),
                ]);
            }
        }
    }
    table
}

/// A line below the table: Larder's own beside the handler that says as much as they do.
fn beside_the_same(turns: &[Turns]) -> Option<String> {
    let same = turns.iter().find(|turns| turns.entrant.name == SAME)?.loads.as_ref().ok()?;
    let ours = turns.iter().filter(|turns| turns.entrant.kind == Kind::Ours);
    let ratios: Vec<_> = ours
        .filter_map(|turns| {
            let (_, by_cpu) = ratios(turns.loads.as_ref().ok()?, same);
            Some(format!("{} {by_cpu:.3}", turns.entrant.name))
        })
        .collect();
    let line = format!(
        "By CPU time, to the handler with the fields of a hit in the same round: {}.",
        ratios.join("; ")
    );
    (!ratios.is_empty()).then_some(line)
}

/// What the README shows: the two ratios.
fn short(turns: &[Turns], bare: &[Load]) -> Table {
    let mut table = Table::new(&["a hit of 1 KiB", "requests/s, ratio", "CPU time, ratio"]);
    for Turns { entrant, loads, .. } in turns {
        if let Ok(loads) = loads {
            let (ratio, by_cpu) = ratios(loads, bare);
            table.row([entrant.name.to_owned(), format!("{ratio:.2}"), format!("{by_cpu:.2}")]);
        }
    }
    table
}

fn bars(turns: &[Turns], bare: &[Load], head: &str) -> Bars {
    let bar = |turns: &Turns| {
        let (_, by_cpu) = ratios(turns.loads.as_ref().ok()?, bare);
        let ours = turns.entrant.kind == Kind::Ours;
        Some(Bar { name: turns.entrant.name.to_owned(), value: by_cpu, note: format!("{by_cpu:.2}"), ours })
    };
    Bars {
        title: "A hit of 1 KiB: requests for the same processor time, bare axum handler = 1".to_owned(),
        below: head.to_owned(),
        bars: turns.iter().filter_map(bar).collect(),
        mark: Some(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(per_second: f64, micros: f64) -> Load {
        Load { requests: 1_000_000, per_second, cpu: micros }
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        // The machine was half as fast in the second round, for both alike.
        let bare = [load(200.0, 5.0), load(100.0, 10.0), load(200.0, 5.0)];
        let mine = [load(190.0, 5.0), load(95.0, 10.0), load(190.0, 10.0)];
        assert_eq!(ratios(&mine, &bare), (0.95, 1.0));
    }

    #[test]
    fn a_median_of_an_even_number_lies_between() {
        assert!((median(vec![4.0, 1.0, 3.0, 2.0]) - 2.5).abs() < 1e-9);
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn who_was_skipped_is_named_in_the_table_with_the_reason() {
        let bare = vec![load(200.0, 5.0)];
        let turns = [
            Turns { entrant: &ALL[0], loads: Ok(bare.clone()), instructions: Some(7000.0) },
            Turns { entrant: &ALL[3], loads: Ok(vec![load(100.0, 4.0)]), instructions: Some(9500.0) },
            Turns { entrant: &ALL[13], loads: Err("nginx is not installed".into()), instructions: None },
        ];
        let table = table(&turns, &bare);
        assert_eq!(table.rows[1][3..], ["0.500", "4.00", "1.250", "2,500"]);
        assert_eq!(table.rows[2][..2], [ALL[13].name, "skipped: nginx is not installed"]);
        assert_eq!(short(&turns, &bare).rows.len(), 2);
        assert_eq!(
            bars(&turns, &bare, "").bars.iter().map(|bar| bar.ours).collect::<Vec<_>>(),
            [false, true]
        );
    }

    #[test]
    fn our_own_are_compared_with_who_says_as_much() {
        let of = |name: &str, micros| Turns {
            entrant: ALL.iter().find(|entrant| entrant.name == name).unwrap(),
            loads: Ok(vec![load(100.0, micros), load(100.0, 2.0 * micros)]),
            instructions: None,
        };
        let all = [of(BARE, 4.0), of(SAME, 6.0), of("Larder, cache_page", 8.0), of("bare hyper", 3.0)];
        let line = beside_the_same(&all).unwrap();
        assert!(line.ends_with(": Larder, cache_page 0.750."), "{line}");
        assert_eq!(beside_the_same(&all[..2]), None, "none of ours");
        assert_eq!(beside_the_same(&[of(BARE, 4.0), of("Larder, cache_page", 8.0)]), None);
    }

    #[test]
    fn an_error_of_many_lines_fits_into_a_cell() {
        let error = anyhow::anyhow!("it ended at once\n    a | b\n\n    c").context("nginx");
        assert_eq!(in_a_line(&error), "nginx: it ended at once a / b c");
        assert_eq!(in_a_line(&anyhow::anyhow!("{}", "ä".repeat(200))).chars().count(), 90);
    }

    #[test]
    fn only_keeps_the_bare_handler() {
        let versus = |only: &[&str]| Versus {
            rounds: 1,
            seconds: 1,
            only: only.iter().map(ToString::to_string).collect(),
            install: false,
        };
        let names = |versus: Versus| ALL.iter().filter(|entrant| versus.wants(entrant)).count();
        assert_eq!(names(versus(&[])), ALL.len());
        assert_eq!(names(versus(&["HAProxy", "Varnish"])), 3);
    }
}
