//! How many instructions a hit takes in the server's process, where time says little: whatever a machine does beside, they are the same.

use std::fs;
use std::io;
use std::path::Path;

use crate::server::Server;
use crate::{load, stores};

/// Of two runs, the difference is without start and warm-up.
const REQUESTS: [u64; 2] = [1_100, 100];

/// Counts both sides of these stores with callgrind: all of a server's threads, the kernel aside.
pub(crate) fn run<'a>(stores: impl IntoIterator<Item = &'a str>) -> io::Result<()> {
    let directory = tempfile::tempdir()?;
    println!("| store | tags | instructions a hit | raw | ratio |");
    println!("|---|--:|--:|--:|--:|");
    for store in stores {
        for tags in stores::tags(store)? {
            // Ours first: it writes what the other reads.
            let [ours, raw] = ["ours", "raw"].map(|side| instructions(store, side, *tags, directory.path()));
            let (ours, raw) = (ours?, raw?);
            println!("| {store} | {tags} | {ours} | {raw} | {:.2} |", raw as f64 / ours as f64);
        }
    }
    Ok(())
}

fn instructions(store: &str, side: &str, tags: usize, directory: &Path) -> io::Result<u64> {
    let [many, few] = REQUESTS;
    let count = |requests| -> io::Result<u64> {
        let counts = directory.join("counts");
        let out = format!("--callgrind-out-file={}", counts.display());
        let under = ["valgrind", "--tool=callgrind", "--quiet", &out];
        let server = Server::start(&under, store, side, tags, directory)?;
        load::times(server.address(), requests)?;
        server.end()?;
        let text = fs::read_to_string(counts)?;
        let total = text.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok());
        total.ok_or_else(|| io::Error::other("callgrind wrote no total"))
    };
    Ok(count(many)?.saturating_sub(count(few)?) / (many - few))
}
