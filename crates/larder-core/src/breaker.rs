//! The breaker: a store that is out is left alone for a while, instead of being waited for by every request.
//!
//! ```text
//!            `outages` in a row                cool-down is over
//!   closed ────────────────────► open ────────────────────────────► half-open
//!     ▲                            ▲                                 │      │
//!     │                            └── the probe was an outage ──────┘      │
//!     └─────────────────────────────── the probe was answered ──────────────┘
//! ```
//!
//! Open, it refuses every step at once. Half-open, it lets exactly one through, the probe, and refuses the others. A store that answers
//! with an error answers: only what [`ErrorKind::is_outage`] calls one counts.

use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::{UnixMillis, millis};
use crate::error::{Error, ErrorKind};

/// When the breaker of a cache opens, and for how long. In-process backends have none.
///
/// ```
/// use std::time::Duration;
/// use larder_core::{Breaker, Cache, Dummy};
///
/// let breaker = Breaker { outages: 3, longest: Duration::from_secs(10), ..Breaker::default() };
/// let cache = Cache::builder(Dummy).breaker(breaker).build()?;
/// # Ok::<(), larder_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// How many outages in a row open it; 5 unless said otherwise. An outage is a store that could not be reached or did not answer within
    /// the deadline.
    pub outages: u32,
    /// For how long it opens the first time, at most; 1 s unless said otherwise. Up to a quarter is taken off by chance, so that not all
    /// processes come back at once.
    pub cooldown: Duration,
    /// Each time that the probe fails, it opens for twice as long, up to this; 30 s unless said otherwise.
    pub longest: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { outages: 5, cooldown: Duration::from_secs(1), longest: Duration::from_secs(30) }
    }
}

impl Breaker {
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.outages == 0 {
            return Err(Error::config(
                "a breaker that opens after 0 outages would never let a step through; say 1 or more, or switch it off (no_breaker(), breaker=off)",
            ));
        }
        if self.cooldown.is_zero() {
            return Err(Error::config(
                "a breaker with a cool-down of 0 would never refuse anything; give it some milliseconds, or switch it off (no_breaker(), breaker=off)",
            ));
        }
        Ok(())
    }

    /// For how long it opens after so many failed probes.
    fn pause(&self, probes: u32) -> u64 {
        let longest = self.longest.max(self.cooldown);
        let full = millis(self.cooldown.saturating_mul(1 << probes.min(20)).min(longest));
        let chance = RandomState::new().hash_one(probes) % (full / 4 + 1);
        full - chance
    }
}

/// The breaker at work.
#[derive(Debug)]
pub(crate) struct Circuit {
    settings: Breaker,
    /// Closed, and the last step was no outage: nothing to look up or to note.
    calm: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// Outages in a row.
    outages: u32,
    /// Probes that failed in a row.
    probes: u32,
    /// When it opened.
    since: UnixMillis,
    /// What the last outage was.
    last: String,
    /// Tells one probe from another.
    turn: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Closed,
    Open { from: UnixMillis, until: UnixMillis },
    HalfOpen { from: UnixMillis, turn: u64 },
}

/// Who asks to be let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// A step that may be refused.
    Step,
    /// One that is always tried: `invalidate`, `clear`, `ping`.
    Always,
}

/// What a step came to, as far as the breaker is concerned.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verdict<'a> {
    Answered,
    Outage(&'a Error),
    /// It says nothing about the store.
    Neither,
}

impl<'a> Verdict<'a> {
    pub(crate) fn of<T>(done: &'a Result<T, Error>) -> Self {
        match done {
            Ok(_) => Self::Answered,
            Err(error) => match error.kind() {
                kind if kind.is_outage() => Self::Outage(error),
                // May be said without asking the store.
                ErrorKind::Config | ErrorKind::Unsupported | ErrorKind::Encode | ErrorKind::TooLarge => {
                    Self::Neither
                }
                _ => Self::Answered,
            },
        }
    }
}

/// What became of the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Opened { outages: u32, cooldown: Duration },
    HalfOpen,
    Closed { after: Duration },
}

/// A step that was let through. Dropped without a verdict, as when its caller went away, it says nothing about the store.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    circuit: &'a Circuit,
    role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Plain,
    Always,
    Probe(u64),
    Settled,
}

impl Circuit {
    pub(crate) fn new(settings: Breaker) -> Self {
        let state =
            State { phase: Phase::Closed, outages: 0, probes: 0, since: 0, last: String::new(), turn: 0 };
        Self { settings, calm: AtomicBool::new(true), state: Mutex::new(state) }
    }

    /// Lets a step through while all is well, which needs no look at the clock; else [`enter`](Self::enter) has to say.
    pub(crate) fn enter_calmly(&self, asks: Asks) -> Option<Pass<'_>> {
        let role = if asks == Asks::Always { Role::Always } else { Role::Plain };
        self.calm.load(Ordering::Acquire).then_some(Pass { circuit: self, role })
    }

    /// Lets a step through, or says for how long not.
    pub(crate) fn enter(
        &self,
        asks: Asks,
        name: &str,
        now: UnixMillis,
    ) -> Result<(Pass<'_>, Option<Change>), Error> {
        let pass = |role| Pass { circuit: self, role };
        let plain = if asks == Asks::Always { Role::Always } else { Role::Plain };
        if self.calm.load(Ordering::Acquire) {
            return Ok((pass(plain), None));
        }
        let mut state = self.state.lock();
        // What lies outside was noted before the clock was set back.
        let refuses = match state.phase {
            Phase::Closed => return Ok((pass(plain), None)),
            _ if asks == Asks::Always => return Ok((pass(plain), None)),
            Phase::Open { from, until } => from <= now && now < until,
            // A probe whose caller neither goes on nor goes away must not keep it half-open for ever.
            Phase::HalfOpen { from, .. } => {
                from <= now && now - from < millis(self.settings.longest.max(self.settings.cooldown))
            }
        };
        if refuses {
            return Err(state.refusal(name, now));
        }
        state.turn += 1;
        state.phase = Phase::HalfOpen { from: now, turn: state.turn };
        Ok((pass(Role::Probe(state.turn)), Some(Change::HalfOpen)))
    }

    fn settle(&self, role: Role, verdict: Verdict<'_>, now: UnixMillis) -> Option<Change> {
        if self.calm.load(Ordering::Acquire) && !matches!(verdict, Verdict::Outage(_)) {
            return None;
        }
        let mut state = self.state.lock();
        let probes =
            matches!((state.phase, role), (Phase::HalfOpen { turn, .. }, Role::Probe(own)) if turn == own);
        match verdict {
            Verdict::Answered if state.phase == Phase::Closed => {
                state.outages = 0;
                self.calm.store(true, Ordering::Release);
                None
            }
            // Of those who were let through before it opened, nothing is learned about now.
            Verdict::Answered if role == Role::Plain => None,
            Verdict::Answered => {
                let after = Duration::from_millis(now.saturating_sub(state.since));
                (state.phase, state.outages, state.probes) = (Phase::Closed, 0, 0);
                self.calm.store(true, Ordering::Release);
                Some(Change::Closed { after })
            }
            Verdict::Outage(error) if state.phase == Phase::Closed => {
                state.outages = state.outages.saturating_add(1);
                self.calm.store(false, Ordering::Release);
                (state.outages >= self.settings.outages).then(|| {
                    state.since = now;
                    self.open(&mut state, error, now)
                })
            }
            Verdict::Outage(error) if probes => {
                state.outages = state.outages.saturating_add(1);
                state.probes = state.probes.saturating_add(1);
                Some(self.open(&mut state, error, now))
            }
            Verdict::Neither if probes => {
                // Whoever comes next is the probe.
                state.phase = Phase::Open { from: now, until: now };
                None
            }
            Verdict::Outage(_) | Verdict::Neither => None,
        }
    }

    fn open(&self, state: &mut State, error: &Error, now: UnixMillis) -> Change {
        let pause = self.settings.pause(state.probes);
        state.phase = Phase::Open { from: now, until: now.saturating_add(pause) };
        state.last.clear();
        // Writing to a string does not fail.
        _ = write!(state.last, "{error}");
        Change::Opened { outages: state.outages, cooldown: Duration::from_millis(pause) }
    }
}

impl State {
    fn refusal(&self, name: &str, now: UnixMillis) -> Error {
        let open_for = Duration::from_millis(now.saturating_sub(self.since));
        let next = match self.phase {
            Phase::Open { until, .. } => {
                format!("it is tried again in {:?}", Duration::from_millis(until.saturating_sub(now)))
            }
            _ => "it is being tried now".to_owned(),
        };
        let (outages, last) = (self.outages, &self.last);
        Error::new(
            ErrorKind::Unavailable,
            format!(
                "the breaker of the {name} backend is open since {open_for:?}: {outages} outages in a row, the last: {last}; {next}"
            ),
        )
    }
}

impl Pass<'_> {
    /// Whether nothing is to be noted of what the step came to, since all was well and is.
    pub(crate) fn is_settled(&self, verdict: Verdict<'_>) -> bool {
        let calm = self.circuit.calm.load(Ordering::Acquire);
        calm && self.role == Role::Plain && !matches!(verdict, Verdict::Outage(_))
    }

    /// Notes what the step came to; gives what that changed.
    pub(crate) fn settle(mut self, verdict: Verdict<'_>, now: UnixMillis) -> Option<Change> {
        let role = std::mem::replace(&mut self.role, Role::Settled);
        self.circuit.settle(role, verdict, now)
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if let Role::Probe(turn) = self.role {
            let mut state = self.circuit.state.lock();
            if let Phase::HalfOpen { from, turn: current } = state.phase
                && turn == current
            {
                state.phase = Phase::Open { from, until: from };
            }
        }
    }
}

#[cfg(test)]
mod tests;
