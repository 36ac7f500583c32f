//! What many pages cost a server: hits among a million of them beside hits among a thousand.

use std::{fs, time::Duration};

use anyhow::{Result, ensure};

use super::{
    entrants::{Ground, Running},
    load, median, runs,
};
use crate::{run, servers::process::free_port};

const FEW: &str = "1000";
const MANY: &str = "1000000";

/// Asks for all pages, in no order that memory could have them in.
const SCRIPT: &str = r#"
local pages, n = tonumber(os.getenv("PAGES")), 0
request = function()
  n = (n + 7919) % pages
  return wrk.format("GET", "/page?n=" .. n)
end
"#;

/// How many times as much processor time a hit takes among many pages, round by round.
///
/// # Errors
/// When a server does not come up, or answers with anything but pages that it has.
pub(super) fn ratios(ground: &Ground, rounds: u64, time: Duration) -> Result<Vec<f64>> {
    let script = ground.folder.join("pages.lua");
    fs::write(&script, SCRIPT)?;
    let start = |pages| -> Result<Running> {
        let port = free_port()?;
        let process = ground.versus("filled", port, Some(pages), ground.core)?;
        Ok(Running { process, port, counts: Some(port) })
    };
    let (few, many) = (start(FEW)?, start(MANY)?);
    let micros = |running: &Running, pages| -> Result<f64> {
        run::check_interrupted()?;
        let before = runs(running)?;
        let asks = load::Asks::Pages { script: &script, pages };
        let load = load::run(running.port, asks, time, ground.other, running.process.id())?;
        ensure!(before == runs(running)?, "a page that is there was made again");
        Ok(load.micros())
    };
    (0..=rounds)
        .map(|_| Ok(micros(&many, MANY)? / micros(&few, FEW)?))
        // In the first nobody has asked for them yet.
        .skip(1)
        .collect()
}

/// A line below the table.
pub(super) fn line(ratios: &Result<Vec<f64>, String>) -> String {
    match ratios {
        Ok(ratios) => format!(
            "A hit of `cache_page` among 1,000,000 pages, asked for in turn, takes {:.3} times the processor time of one among 1,000.",
            median(ratios.clone())
        ),
        Err(why) => format!("What a hit takes among 1,000,000 pages was not measured: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_the_median_or_why_there_is_none() {
        assert!(line(&Ok(vec![1.1, 1.3, 1.2])).contains("takes 1.200 times"));
        assert!(line(&Err("no wrk".into())).ends_with("no wrk"));
    }
}
