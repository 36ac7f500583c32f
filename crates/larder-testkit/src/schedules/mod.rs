//! Random schedules against a model: is what was forgotten really forgotten, whatever comes between?
//!
//! A schedule is a list of moves: pages and values are looked up, made in several steps with tags known early and late and with
//! fragments in them, invalidated, replaced, removed, cleared; records and entries are evicted, the store loses everything, time
//! passes, processes die with all that they have under way, connections are closed. Several processes do all that at once, each with what it
//! remembers. A model beside them knows when what was made, and when which `invalidate` returned. The property:
//!
//! > No read that began after `invalidate` returned is given anything that carries one of its tags and was begun before it was called: not
//! > from the store, not out of a page it went into, not by joining a flight.
//!
//! The same is asked of `clear`, and what was removed, replaced or has expired must not come back.
//!
//! Whoever writes a backend checks it so:
//!
//! ```
//! use larder_testkit::{Plain, schedules::Checker};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let tally = Checker::new(Plain::stage()).step_by_step().steps(5_000).assert().await;
//! assert!(tally.steps >= 5_000 && tally.hits > 0);
//! # }
//! ```
//!
//! A failure tells the seed, and the schedule with everything left out that does not matter. What the environment says counts for all
//! checkers of a test run:
//!
//! | variable | what |
//! |---|---|
//! | `LARDER_SCHEDULES` | how many schedules are run instead of what was said: the long mode |
//! | `LARDER_SEED` | the seed of the first; 1 unless said otherwise |
//! | `LARDER_SCHEDULE` | one schedule to replay, as a failure told it |
//!
//! Where a backend answers at once the same seed is the same run. Over a real server, what is under way at the same time meets there in
//! whatever order it comes.

mod acts;
mod ledger;
mod moves;
mod shrink;
mod stepped;
mod world;

use std::fmt;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use larder_core::{Backend, DynBackend, Key, Space};

use crate::Stage;
use moves::Line;
pub use stepped::{Stepped, gate, has_stopped};

/// How many moves a schedule has.
const LENGTH: usize = 40;
/// How a schedule with purges begins.
const PURGING: &str = "purging: ";
/// Unless said otherwise.
const STEPS: u64 = 3_000;

/// Runs random schedules over a store; see the [module](self).
#[derive(Debug)]
#[must_use = "nothing is checked until it is told to"]
pub struct Checker {
    stage: Stage,
    backends: Vec<DynBackend>,
    /// Answers come at once, so whoever does not get one waits for others.
    immediate: bool,
    seed: u64,
    steps: u64,
    settles: usize,
    flaw: Option<Flaw>,
    purges: bool,
}

/// A mistake of those who use a cache, put in on purpose: the checker has to find it.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Requests join flights whatever fence they have read.
    JoinsAnyFlight,
    /// What is made from a cached value reads the nonces of its tags again.
    InheritsAnew,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Schedules from end to end.
    pub schedules: u64,
    /// Moves.
    pub steps: u64,
    /// Reads, of pages and values.
    pub reads: u64,
    /// Reads that were given something, each of which was checked.
    pub hits: u64,
    /// Those that got it by joining a flight.
    pub joined: u64,
    /// Values that were made.
    pub fills: u64,
    /// Those that came into the store.
    pub stored: u64,
    /// Pages that were not stored, as an invalidation came between.
    pub dropped: u64,
    /// Invalidations that returned.
    pub invalidations: u64,
    /// Operations that failed, which promises nothing.
    pub errors: u64,
}

/// A schedule after which something was served that must not be.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// By which it is drawn again.
    pub seed: u64,
    /// What is left of it, to replay.
    pub schedule: String,
    /// What was served.
    pub why: String,
    /// How many schedules were run until it was found, this one included.
    pub schedules: u64,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, schedule, why, schedules } = self;
        write!(
            f,
            "{why}\nschedule {schedules}, of seed {seed}; replay what is left of it with\nLARDER_SCHEDULE='{schedule}'"
        )
    }
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Found {}

impl Tally {
    fn add(&mut self, other: Self) {
        self.schedules += other.schedules;
        self.steps += other.steps;
        self.reads += other.reads;
        self.hits += other.hits;
        self.joined += other.joined;
        self.fills += other.fills;
        self.stored += other.stored;
        self.dropped += other.dropped;
        self.invalidations += other.invalidations;
        self.errors += other.errors;
    }
}

impl Checker {
    /// Over an empty store, by two processes, 3,000 steps.
    pub fn new(stage: Stage) -> Self {
        let checker = Self {
            backends: Vec::new(),
            immediate: false,
            seed: variable("LARDER_SEED").unwrap_or(1),
            steps: STEPS,
            settles: 0,
            flaw: None,
            purges: false,
            stage,
        };
        checker.processes(2)
    }

    /// How many processes there are, each with a handle of its own on the store ([`Stage::opening`]), at least one.
    pub fn processes(mut self, processes: usize) -> Self {
        self.backends = vec![self.stage.backend().clone()];
        self.backends.extend((1..processes).map(|_| self.stage.again()));
        // A backend that has its answers at once has all of these; over a connection one may be there by chance.
        let now = self.stage.hand().now();
        self.immediate = (0..64).all(|number| {
            let key = Key::value(&Space::default(), 1, &format!("none{number}"));
            let asked = pin!(self.backends[0].get(&key, now));
            matches!(asked.poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(_)))
        });
        self
    }

    /// At least so many moves.
    pub fn steps(mut self, steps: u64) -> Self {
        self.steps = steps;
        self
    }

    /// The seed of the first schedule.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Others come between any two steps to the store, [`Stepped`] as it is: for backends whose records are entries, and whose reads check
    /// nothing. After [`processes`](Self::processes).
    pub fn step_by_step(mut self) -> Self {
        self.backends = self.backends.into_iter().map(|one| DynBackend::new(Stepped::new(one))).collect();
        self
    }

    /// After each move, tasks that run beside have so many turns: for what follows by messages.
    pub fn settling(mut self, turns: usize) -> Self {
        self.settles = turns;
        self
    }

    /// Pages are purged too: one of the tags is that of a group ([`Tag::group`](larder_core::Tag::group)), and every third invalidation only marks
    /// what it names as stale, after which no read may take it for fresh.
    pub fn purging(mut self) -> Self {
        self.purges = true;
        self
    }

    #[doc(hidden)]
    pub fn flawed(mut self, flaw: Flaw) -> Self {
        self.flaw = Some(flaw);
        self
    }

    /// Runs schedules until there were enough steps.
    ///
    /// # Errors
    /// The first schedule after which something was served that must not be, with all left out that does not matter.
    ///
    /// # Panics
    /// If the environment asks for something that can't be read.
    pub async fn check(&self) -> Result<Tally, Found> {
        if let Ok(schedule) = std::env::var("LARDER_SCHEDULE") {
            return self.replay(&schedule).await;
        }
        let schedules = variable("LARDER_SCHEDULES");
        let mut tally = Tally::default();
        while schedules.map_or(tally.steps < self.steps, |schedules| tally.schedules < schedules) {
            let seed = self.seed.wrapping_add(tally.schedules);
            let moves = moves::draw(seed, LENGTH);
            let (wrong, one) = self.once(&moves).await;
            tally.add(one);
            if let Some(why) = wrong {
                let (moves, why) = shrink::shrink(self, &moves, why).await;
                let mode = if self.purges { PURGING } else { "" };
                let schedule = format!("{mode}{}", Line(&moves));
                return Err(Found { seed, schedule, why, schedules: tally.schedules });
            }
        }
        Ok(tally)
    }

    /// As [`check`](Self::check), for tests.
    ///
    /// # Panics
    /// If something is served that must not be, and if nothing was served at all.
    pub async fn assert(&self) -> Tally {
        match self.check().await {
            Ok(tally) => {
                let vacuous = tally.schedules >= 10 && (tally.hits == 0 || tally.invalidations == 0);
                assert!(!vacuous, "nothing was tested: {tally:?}");
                tally
            }
            Err(found) => panic!("{found}"),
        }
    }

    /// Runs one schedule, written as a failure tells it.
    ///
    /// # Errors
    /// If something is served that must not be.
    ///
    /// # Panics
    /// If it is no schedule.
    pub async fn replay(&self, schedule: &str) -> Result<Tally, Found> {
        // One that was found with purges, or without, tells nothing of the other.
        let own = match schedule.strip_prefix(PURGING) {
            Some(own) if self.purges => own,
            None if !self.purges => schedule,
            _ => return Ok(Tally::default()),
        };
        let moves = moves::parse(own).unwrap_or_else(|wrong| panic!("no schedule: {wrong}"));
        let (wrong, tally) = self.once(&moves).await;
        match wrong {
            None => Ok(tally),
            Some(why) => Err(Found { seed: self.seed, schedule: schedule.to_owned(), why, schedules: 1 }),
        }
    }

    async fn once(&self, moves: &[moves::Move]) -> (Option<String>, Tally) {
        world::World::new(self).run(moves).await
    }
}

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    match text.parse() {
        Ok(number) => Some(number),
        Err(error) => panic!("{name}={text:?} is no number ({error})"),
    }
}
