//! A store that fails as it is told, and counts how often it was asked.

use std::time::Duration;

use larder_core::ErrorKind;
use larder_memory::Memory;
use larder_testkit::{Fault, Faults, Faulty};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Fine,
    /// It answers after this long.
    Slow(Duration),
    /// It never answers.
    Silent,
    /// It answers with an error.
    Fails(ErrorKind),
}

/// Memory, as if it were outside the process.
pub(crate) struct Store {
    pub(crate) backend: Faulty,
    faults: Faults,
}

impl Store {
    pub(crate) fn new() -> Self {
        let backend = Faulty::over(Memory::new()).remote();
        Self { faults: backend.faults(), backend }
    }

    pub(crate) fn turn(&self, mode: Mode) {
        self.faults.heal();
        match mode {
            Mode::Fine => {}
            Mode::Slow(time) => self.faults.add(Fault::delay(time)),
            Mode::Silent => self.faults.add(Fault::hang()),
            Mode::Fails(kind) => self.faults.add(Fault::error(kind)),
        }
    }

    /// How often it was asked since the last time.
    pub(crate) fn asked(&self) -> usize {
        let asked = self.faults.all_calls();
        self.faults.reset();
        asked
    }
}
