//! The program that `cargo xtask bench` runs: under callgrind, and by itself to count allocations.
//!
//! ```console
//! $ larder-benches rows               # name, base and description of each row, tab-separated
//! $ larder-benches send page 10000    # sends them; callgrind counts
//! $ larder-benches allocations        # allocations and nanoseconds a request, for each row
//! ```

use std::io;
use std::process::ExitCode;
use std::time::Instant;

use larder_benches::{Ready, Row, median, row};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// What the counts are the mean of, and how often the time is taken.
const REQUESTS: usize = 20_000;
const ROUNDS: usize = 9;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args[..] {
        ["rows"] => {
            Row::ALL.iter().for_each(|row| println!("{}\t{}\t{}", row.name, row.base, row.what));
            Ok(())
        }
        ["send", name, requests] => match (row(name), requests.parse()) {
            (Some(row), Ok(requests)) => Ready::new(row).map(|ready| ready.send(row.warm_up(), requests)),
            (None, _) => Err(io::Error::other(format!("there is no row {name}; `rows` lists them"))),
            (_, Err(error)) => Err(io::Error::other(format!("{requests}: {error}"))),
        },
        ["allocations"] => Row::ALL.into_iter().try_for_each(allocations),
        _ => Err(io::Error::other("usage: larder-benches rows | send ROW REQUESTS | allocations")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints a row's allocations and nanoseconds for each request.
fn allocations(row: Row) -> io::Result<()> {
    let ready = Ready::new(row)?;
    let mut first = row.warm_up();
    let region = Region::new(ALLOCATOR);
    let mut nanos: Vec<f64> = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        ready.send(first, REQUESTS);
        nanos.push(began.elapsed().as_nanos() as f64 / REQUESTS as f64);
        first += REQUESTS;
    }
    let allocations = region.change().allocations as f64 / (ROUNDS * REQUESTS) as f64;
    println!("{}\t{allocations:.3}\t{:.1}", row.name, median(nanos));
    Ok(())
}
