//! What two threads reach beside one, and what a hit takes among a million pages beside a thousand.
//!
//! ```console
//! $ cargo xtask bench scale
//! ```
//!
//! A line each, tab-separated: what, the ratio of a bare handler, the ratio of a hit. No allocator counts here: its cells would be
//! shared by the threads, and measured with them.

use std::io;
use std::time::Instant;

use axum::Router;
use larder_benches::{Ready, Row, aggregate, median, row};

const REQUESTS: usize = 100_000;
const ROUNDS: usize = 15;

fn main() -> io::Result<()> {
    let bare = |_: usize| row("bare-fresh").map(|row| row.router()).unwrap_or_default();
    let pages = Row::numbered_pages();
    for (what, same) in [("their own pages", false), ("the same page", true)] {
        // As `axum::serve` has it: one router, cloned for each request.
        let one = pages(0);
        let shared = two_to_one(same, |_| one.clone())?;
        let plain = bare(0);
        let plain_shared = two_to_one(same, |_| plain.clone())?;
        println!("two threads, {what}, one router\t{plain_shared:.3}\t{shared:.3}");
        println!(
            "two threads, {what}, a router each\t{:.3}\t{:.3}",
            two_to_one(same, bare)?,
            two_to_one(same, &pages)?
        );
    }
    let [few, many] = Row::TIMED;
    let (few, many) = (Ready::new(few)?, Ready::new(many)?);
    let mut ratios = Vec::with_capacity(ROUNDS);
    for round in 0..ROUNDS {
        let time = |ready: &Ready| {
            let began = Instant::now();
            // Not the same pages in each round: those would be in the processor's cache.
            ready.send(round * REQUESTS, REQUESTS);
            began.elapsed().as_secs_f64()
        };
        let few = time(&few);
        ratios.push(time(&many) / few);
    }
    println!("a hit among 1,000,000 pages, to one among 1,000\t\t{:.3}", median(ratios));
    Ok(())
}

/// How many times as much two threads reach as one, each with what `router` makes for it.
fn two_to_one(same: bool, router: impl Fn(usize) -> Router + Sync) -> io::Result<f64> {
    let asks = Row::TIMED[0];
    let mut ratios = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let one = aggregate(asks, &router, 1, same, REQUESTS)?;
        ratios.push(aggregate(asks, &router, 2, same, REQUESTS)? / one);
    }
    Ok(median(ratios))
}
