//! The task that keeps warm.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};

use super::job::{Outcome, WarmJob, Warmed};
use super::lead::{Lead, STEP};
use super::told::{Teller, WarmEvent};
use crate::cache::Cache;
use crate::clock::{UnixMillis, millis};
use crate::timeout::Timeout;

/// After a first failure; the next pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// What a warmer was told.
pub(super) struct Run {
    pub(super) cache: Cache,
    pub(super) every: Duration,
    pub(super) jitter: Duration,
    pub(super) timeout: Timeout,
    pub(super) concurrency: usize,
    pub(super) max_failures: u32,
    pub(super) max_run: Duration,
    pub(super) name: String,
    pub(super) teller: Arc<Teller>,
}

/// One thing, and when it is its turn.
struct Turn {
    job: WarmJob,
    due: UnixMillis,
    failures: u32,
    running: bool,
}

/// What is being made.
#[derive(Default)]
struct Works {
    set: JoinSet<Outcome>,
    turns: HashMap<Id, usize>,
}

impl Run {
    /// Works until it is stopped, or has given everything up.
    pub(super) async fn until(self, jobs: Vec<WarmJob>, mut stop: watch::Receiver<bool>) {
        let clock = self.cache.clock().clone();
        let turn = |job| Turn { job, due: 0, failures: 0, running: false };
        let mut turns: Vec<Option<Turn>> = jobs.into_iter().map(turn).map(Some).collect();
        let mut works = Works::default();
        let mut lead = Lead::new(&self.cache, &self.name);
        let mut led = None;
        while turns.iter().any(Option::is_some) {
            let leads = tokio::select! {
                biased;
                () = stopped(&mut stop) => break,
                leads = lead.is_ours() => leads,
            };
            if led.replace(leads) != Some(leads) {
                self.teller.tell(if leads { &WarmEvent::Leads } else { &WarmEvent::Follows });
            }
            let mut next = lead.next();
            if leads {
                next = next.min(self.begin(&mut turns, &mut works));
            }
            tokio::select! {
                biased;
                () = stopped(&mut stop) => break,
                Some(done) = works.set.join_next_with_id(), if !works.set.is_empty() => {
                    self.settle(&mut turns, &mut works, done);
                }
                () = clock.sleep_until(next) => {}
            }
        }
        while let Some(done) = works.set.join_next_with_id().await {
            self.settle(&mut turns, &mut works, done);
        }
        lead.give_up().await;
    }

    /// Begins what is due, as far as there is room; when to look again.
    fn begin(&self, turns: &mut [Option<Turn>], works: &mut Works) -> UnixMillis {
        let clock = self.cache.clock();
        let now = clock.now();
        // A clock that was set back must not make anything wait for longer than ever.
        let latest = now.saturating_add(millis(self.every)).saturating_add(millis(self.jitter));
        let mut next = now.saturating_add(millis(STEP));
        let idle = turns.iter_mut().enumerate().filter_map(|(at, turn)| Some((at, turn.as_mut()?)));
        for (at, turn) in idle.filter(|(_, turn)| !turn.running) {
            turn.due = turn.due.min(latest);
            if turn.due > now {
                next = next.min(turn.due);
            } else if works.set.len() < self.concurrency {
                let (work, clock) = (turn.job.run(&self.cache, self.timeout), clock.clone());
                let limit = self.max_run;
                let task = works.set.spawn(async move {
                    tokio::select! {
                        outcome = work => outcome,
                        () = clock.sleep(limit) => Err(format!("it took longer than {limit:?}")),
                    }
                });
                works.turns.insert(task.id(), at);
                turn.running = true;
            }
        }
        next
    }

    /// Tells what became of a thing, and says when it is its turn again.
    fn settle(&self, turns: &mut [Option<Turn>], works: &mut Works, done: Result<(Id, Outcome), JoinError>) {
        let (id, outcome) = match done {
            Ok(done) => done,
            Err(error) => (error.id(), Err("it panicked".to_owned())),
        };
        let Some(at) = works.turns.remove(&id) else { return };
        let Some(turn) = turns.get_mut(at).and_then(Option::as_mut) else { return };
        let now = self.cache.clock().now();
        turn.running = false;
        turn.failures = if outcome.is_err() { turn.failures.saturating_add(1) } else { 0 };
        let pause = match &outcome {
            Ok(Warmed::Refreshed | Warmed::NotStored(_)) => {
                self.every.saturating_add(self.jitter.mul_f64(random()))
            }
            Ok(Warmed::Overtaken) => FIRST_PAUSE.min(self.every),
            Err(_) => {
                let doubled = FIRST_PAUSE.saturating_mul(1 << (turn.failures - 1).min(20));
                doubled.min(self.every).mul_f64(1.0 + random() / 10.0)
            }
        };
        turn.due = now.saturating_add(millis(pause));
        let (name, failures) = (turn.job.clone(), turn.failures);
        let job = name.name();
        if outcome.is_err() && failures >= self.max_failures {
            turns[at] = None;
        }
        let teller = &self.teller;
        match &outcome {
            Ok(Warmed::Refreshed) => teller.tell(&WarmEvent::Refreshed { job }),
            Ok(Warmed::Overtaken) => teller.tell(&WarmEvent::Overtaken { job }),
            Ok(Warmed::NotStored(why)) => teller.tell(&WarmEvent::NotStored { job, why }),
            Err(error) => {
                teller.tell(&WarmEvent::Failed { job, error, failures });
                if failures >= self.max_failures {
                    teller.tell(&WarmEvent::GivenUp { job, failures });
                }
            }
        }
    }
}

/// Ends when it is to stop; a handle that was dropped stops nothing.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Between 0 and 1.
fn random() -> f64 {
    f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX)
}
