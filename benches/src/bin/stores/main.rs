//! What a page hit from a store outside the process costs beside a handler that asks the same store the same question with the same
//! driver and returns the bytes.
//!
//! ```console
//! $ cargo xtask bench stores                       # all stores, as a table
//! $ cargo xtask bench stores -- redis --rounds 20  # one of them, for longer
//! $ cargo xtask bench stores -- counts             # instructions instead of time
//! $ cargo xtask bench stores -- growth             # the store in this process, beside quick_cache alone
//! ```
//!
//! Each pair of servers runs in processes of their own, new ones each round, on one core; the load comes from here, on another. They take turns,
//! ratios are taken within a round, and what counts is the median of the rounds. Processor time is the server process's alone, all of its threads.

#[path = "../../../../crates/larder-memcached/src/address.rs"]
mod address;
#[path = "../../../../crates/larder-memcached/src/client/mod.rs"]
#[expect(dead_code, unused_imports, reason = "it is the backend's own")]
mod client;
mod counts;
mod load;
mod memory;
mod question;
mod raw;
#[path = "../../../../crates/larder-memcached/src/ring.rs"]
mod ring;
mod rounds;
mod serve;
mod server;
mod stores;
#[path = "../../../../crates/larder-memory/tests/it/traces.rs"]
mod traces;

use std::io;

use crate::rounds::Plan;

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["serve", store, side, tags] => serve::serve(store, side, tags),
        ["growth"] => memory::run(),
        ["counts"] => counts::run(every()),
        ["counts", store] => counts::run([store]),
        [] => {
            Plan::parse(&args)?.run()?;
            println!();
            counts::run(every())?;
            memory::run()
        }
        _ => Plan::parse(&args)?.run(),
    }
}

fn every() -> impl Iterator<Item = &'static str> {
    stores::ALL.iter().map(|(name, _)| *name)
}
