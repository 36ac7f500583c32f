//! What became of it all.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Instant;

use serde_json::json;

use super::client::Asked;
use crate::failure::Failure;
use crate::output::Output;

/// So many failures are named one by one.
const NAMED: usize = 10;

pub(super) struct Summary {
    site: String,
    begun: Instant,
    hits: usize,
    made: usize,
    not_stored: BTreeMap<String, usize>,
    failed: Vec<(String, String)>,
    /// What the list has of other hosts.
    pub(super) left_out: usize,
    /// It ended before the list did.
    pub(super) given_up: bool,
}

impl Summary {
    pub(super) fn new(site: String) -> Self {
        Self {
            site,
            begun: Instant::now(),
            hits: 0,
            made: 0,
            not_stored: BTreeMap::new(),
            failed: Vec::new(),
            left_out: 0,
            given_up: false,
        }
    }

    pub(super) fn note(&mut self, path: String, asked: Asked) {
        match asked {
            Asked::Hit => self.hits += 1,
            Asked::Made => self.made += 1,
            Asked::NotStored(why) => *self.not_stored.entry(why).or_default() += 1,
            Asked::Failed(why) => self.failed.push((path, why)),
        }
    }

    /// Whether every page of the list could be had.
    pub(super) fn is_whole(&self) -> bool {
        self.failed.is_empty() && !self.given_up
    }

    pub(super) fn short(&self) -> String {
        format!("{} made, {} hits, {} failed", self.made, self.hits, self.failed.len())
    }

    pub(super) fn hint(&self) -> String {
        match self.left_out {
            0 => String::new(),
            others => format!(", but {others} of other hosts; --host names what visitors call the site"),
        }
    }

    pub(super) fn print(&self, json: bool, output: &mut Output<impl Write>) -> Result<(), Failure> {
        let not_stored: usize = self.not_stored.values().sum();
        let pages = self.hits + self.made + not_stored + self.failed.len();
        let seconds = self.begun.elapsed().as_secs_f64();
        if json {
            let failed: Vec<_> =
                self.failed.iter().map(|(path, why)| json!({ "path": path, "why": why })).collect();
            return output.line(
                &json!({
                    "pages": pages, "hit": self.hits, "made": self.made, "not_stored": self.not_stored,
                    "failed": failed, "left_out": self.left_out, "given_up": self.given_up, "seconds": seconds,
                })
                .to_string(),
            );
        }
        output.line(&format!(
            "{pages} pages of {}: {} made, {} hits, {not_stored} not stored, {} failed, in {seconds:.1} s",
            self.site,
            self.made,
            self.hits,
            self.failed.len()
        ))?;
        for (why, pages) in &self.not_stored {
            output.key(&format!("not stored: {pages} for {why}"))?;
        }
        for (path, why) in self.failed.iter().take(NAMED) {
            output.key(&format!("failed: {path}: {why}"))?;
        }
        if self.failed.len() > NAMED {
            output.line(&format!("failed: and {} more", self.failed.len() - NAMED))?;
        }
        if self.left_out > 0 {
            output.line(&format!("left out: {} of other hosts", self.left_out))?;
        }
        if self.given_up {
            output.line("given up: too many failures in a row")?;
        }
        Ok(())
    }
}
