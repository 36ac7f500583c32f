//! The hand that makes a backend fail, and what it saw.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use larder_core::ErrorKind;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::fault::{Damage, Dice, Fault, What};
use super::op::Op;

/// The hand on a [`Faulty`](super::Faulty) backend: adds faults, heals them, and tells how often each operation was called. Clones
/// are the same hand.
#[derive(Clone)]
pub struct Faults(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    calls: watch::Sender<BTreeMap<Op, usize>>,
}

struct State {
    faults: Vec<Fault>,
    dice: Dice,
    met: usize,
    under_way: usize,
}

/// What is to happen to one call.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) delay: Duration,
    pub(super) end: Option<End>,
    pub(super) damage: Option<Damage>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) error: Option<ErrorKind>,
    pub(super) after: bool,
}

impl Faults {
    pub(super) fn new() -> Self {
        let state = State { faults: Vec::new(), dice: Dice(0), met: 0, under_way: 0 };
        Self(Arc::new(Inner { state: Mutex::new(state), calls: watch::Sender::new(BTreeMap::new()) }))
    }

    /// Adds a fault. Of several errors and hangs that meet one call, the first that was added happens.
    pub fn add(&self, fault: Fault) {
        self.0.state.lock().faults.push(fault);
    }

    /// Everything is well again. Calls that hang go on hanging.
    pub fn heal(&self) {
        self.0.state.lock().faults.clear();
    }

    /// Where the dice of probabilities and garbage begin; 0 unless said otherwise.
    pub fn seed(&self, seed: u64) {
        self.0.state.lock().dice = Dice(seed);
    }

    /// How often this operation was called since the beginning or the last [`reset`](Self::reset), whatever became of it.
    pub fn calls(&self, op: Op) -> usize {
        self.0.calls.borrow().get(&op).copied().unwrap_or(0)
    }

    /// How often anything was called.
    pub fn all_calls(&self) -> usize {
        self.0.calls.borrow().values().sum()
    }

    /// What was called, and how often.
    pub fn by_operation(&self) -> BTreeMap<Op, usize> {
        self.0.calls.borrow().clone()
    }

    /// How many calls met a fault.
    pub fn met(&self) -> usize {
        self.0.state.lock().met
    }

    /// How many calls have neither ended nor been dropped.
    pub fn under_way(&self) -> usize {
        self.0.state.lock().under_way
    }

    /// Counts from zero again; faults stay.
    pub fn reset(&self) {
        self.0.calls.send_modify(BTreeMap::clear);
        self.0.state.lock().met = 0;
    }

    /// Waits until this operation was called so many times, so that a test can move the clock while a call is under way. On a
    /// runtime of one thread, a call that is to be delayed then waits for the clock already.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn reached(&self, op: Op, calls: usize) {
        let mut seen = self.0.calls.subscribe();
        // The sender lives in `self`, so this can't fail while somebody waits.
        let _ = seen.wait_for(|seen| seen.get(&op).copied().unwrap_or(0) >= calls).await;
    }

    /// Whether a call of this operation could meet a fault.
    pub(super) fn threaten(&self, op: Op) -> bool {
        self.0.state.lock().faults.iter().any(|fault| fault.meets(op))
    }

    /// Notes a call.
    pub(super) fn count(&self, op: Op) {
        self.0.calls.send_modify(|calls| *calls.entry(op).or_default() += 1);
    }

    /// Decides what happens to a call.
    pub(super) fn plan(&self, op: Op) -> Plan {
        let mut state = self.0.state.lock();
        let state = &mut *state;
        let mut plan = Plan { delay: Duration::ZERO, end: None, damage: None };
        let mut met = false;
        for fault in &mut state.faults {
            let spent = plan.end.is_some() && matches!(fault.what, What::Error(_) | What::Hang);
            if spent || !fault.meets(op) || !state.dice.falls(fault.probability) {
                continue;
            }
            met = true;
            fault.left = fault.left.map(|left| left - 1);
            match fault.what {
                What::Error(kind) => plan.end = Some(End { error: Some(kind), after: fault.after }),
                What::Hang => plan.end = Some(End { error: None, after: fault.after }),
                What::Delay(by) => plan.delay = plan.delay.saturating_add(by),
                What::Garbage | What::Truncated => {
                    let dice = Dice(state.dice.roll());
                    plan.damage = Some(Damage { truncated: fault.what == What::Truncated, dice });
                }
            }
        }
        state.met += usize::from(met);
        plan
    }

    /// Counts a call as under way until it is dropped.
    pub(super) fn enter(&self) -> UnderWay {
        self.0.state.lock().under_way += 1;
        UnderWay(self.clone())
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.state.lock();
        f.debug_struct("Faults")
            .field("faults", &state.faults)
            .field("met", &state.met)
            .finish_non_exhaustive()
    }
}

/// A call that is under way.
#[derive(Debug)]
pub(super) struct UnderWay(Faults);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.state.lock().under_way -= 1;
    }
}
