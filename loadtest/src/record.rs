//! What the users report: every request, to the microsecond.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One request, answered or not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// When it ended, from the beginning of the run.
    pub(crate) at: Duration,
    /// How long it took, to the last byte of the body.
    pub(crate) took: Duration,
    /// Whether the answer was a success.
    pub(crate) ok: bool,
}

/// Collects the samples of one run and knows when there are enough.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    begun: Instant,
    wanted: u64,
    samples: Arc<Mutex<Vec<Sample>>>,
}

impl Recorder {
    pub(crate) fn new(wanted: u64) -> Self {
        Self { begun: Instant::now(), wanted, samples: Arc::default() }
    }

    /// Adds the request that began at `begun` and ends now. True for the one that makes it enough.
    pub(crate) fn add(&self, begun: Instant, ok: bool) -> bool {
        let now = Instant::now();
        let sample = Sample { at: now - self.begun, took: now - begun, ok };
        self.with(|samples| {
            samples.push(sample);
            samples.len() as u64 == self.wanted
        })
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len() >= self.wanted
    }

    pub(crate) fn len(&self) -> u64 {
        self.with(|samples| samples.len() as u64)
    }

    /// The samples from the one with this number on.
    pub(crate) fn since(&self, first: u64) -> Vec<Sample> {
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        self.with(|samples| samples.get(first..).unwrap_or_default().to_vec())
    }

    fn with<T>(&self, f: impl FnOnce(&mut Vec<Sample>) -> T) -> T {
        f(&mut self.samples.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
