//! One fault: what happens, to which operations, how often.

use std::time::Duration;

use larder_core::{Entry, ErrorKind, Value};

use super::op::Op;

/// What goes wrong. It goes wrong each time, for every operation, until it is [healed](super::Faults::heal), unless said
/// otherwise.
///
/// ```
/// use std::time::Duration;
/// use larder_core::ErrorKind;
/// use larder_testkit::{Fault, Op};
///
/// let down = Fault::error(ErrorKind::Unavailable);
/// let flaky = Fault::error(ErrorKind::Backend).on([Op::Get, Op::Fetch]).with_probability(0.1);
/// let slow_once = Fault::delay(Duration::from_millis(80)).times(1);
/// # let _ = (down, flaky, slow_once);
/// ```
#[derive(Clone, Debug)]
#[must_use = "give it to Faults::add"]
pub struct Fault {
    pub(super) what: What,
    pub(super) on: Option<Vec<Op>>,
    pub(super) left: Option<usize>,
    pub(super) probability: f64,
    pub(super) after: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Error(ErrorKind),
    Hang,
    Delay(Duration),
    Garbage,
    Truncated,
}

impl Fault {
    fn new(what: What) -> Self {
        Self { what, on: None, left: None, probability: 1.0, after: false }
    }

    /// The operation ends with an error of this kind and is not done.
    pub fn error(kind: ErrorKind) -> Self {
        Self::new(What::Error(kind))
    }

    /// The operation never ends: as a server that accepts and stays silent. It is not done.
    pub fn hang() -> Self {
        Self::new(What::Hang)
    }

    /// The operation takes so much longer, on the clock of the backend ([`Faulty::clock`](super::Faulty::clock)). Delays add up, and
    /// come before errors.
    pub fn delay(by: Duration) -> Self {
        Self::new(What::Delay(by))
    }

    /// Entries that are read have noise for a value, as many bytes as it had and one more. Stamps and expiries stay.
    pub fn garbage() -> Self {
        Self::new(What::Garbage)
    }

    /// Entries that are read have the first half of their value only.
    pub fn truncated() -> Self {
        Self::new(What::Truncated)
    }

    /// Only these operations.
    pub fn on(mut self, operations: impl IntoIterator<Item = Op>) -> Self {
        self.on = Some(operations.into_iter().collect());
        self
    }

    /// Only the next so many times.
    pub fn times(mut self, times: usize) -> Self {
        self.left = Some(times);
        self
    }

    /// Only sometimes: 0.0 is never, 1.0 always. The same [seed](super::Faults::seed) gives the same times.
    pub fn with_probability(mut self, probability: f64) -> Self {
        self.probability = probability;
        self
    }

    /// An error or a hang comes *after* the operation was done: the store has it, and the answer was lost.
    pub fn after(mut self) -> Self {
        self.after = true;
        self
    }

    pub(super) fn meets(&self, op: Op) -> bool {
        self.left != Some(0) && self.on.as_ref().is_none_or(|on| on.contains(&op))
    }
}

/// Numbers without order, the same for the same seed (SplitMix64).
#[derive(Clone, Debug)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Whether something of this probability happens.
    pub(super) fn falls(&mut self, probability: f64) -> bool {
        // 53 bits are what a float holds.
        let rolled = (self.roll() >> 11) as f64 / (1_u64 << 53) as f64;
        rolled < probability
    }
}

/// What becomes of the value of an entry that is read.
#[derive(Clone, Debug)]
pub(super) struct Damage {
    pub(super) truncated: bool,
    pub(super) dice: Dice,
}

impl Damage {
    pub(super) fn done_to(&mut self, entry: &Entry) -> Entry {
        let bytes = entry.value().to_bytes().unwrap_or_default();
        let damaged = if self.truncated {
            bytes.slice(..bytes.len() / 2)
        } else {
            (0..=bytes.len()).map(|_| self.dice.roll().to_le_bytes()[0]).collect()
        };
        entry.with_value(Value::Bytes(damaged))
    }
}
