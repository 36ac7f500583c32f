//! One schedule from its first move to its last, over a namespace of its own.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use larder_core::flight::Flights;
use larder_core::{Backend, DynBackend, Entry, Key, Nonce, Stamp, Timeout, Value, When};

use super::acts::{Plan, Process, name, tag};
use super::ledger::Ledger;
use super::moves::{KEYS, Move, TAGS, What};
use super::stepped::has_stopped;
use super::{Checker, Tally};

/// How much is under way at most.
const DOING: usize = 8;
/// How often something is looked after before it counts as waiting for others.
const LOOKS: usize = 200;
/// How long a step waits for a server that waits for somebody else of us.
const BRIEFLY: Duration = Duration::from_millis(5);

struct Doing {
    process: usize,
    act: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// It may wait for others without saying so.
    waits: bool,
}

/// What became of a push.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pushed {
    Done,
    Stopped,
    /// For others, or for a server.
    Waits,
}

pub(super) struct World<'a> {
    checker: &'a Checker,
    processes: Vec<Process>,
    doing: Vec<Doing>,
    ledger: Arc<Ledger>,
    prefix: String,
    steps: u64,
    /// How many processes there were.
    born: usize,
}

impl<'a> World<'a> {
    pub(super) fn new(checker: &'a Checker) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let own = Nonce::fresh().as_u128() >> 64;
        let prefix = format!("{own:x}.{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let ledger = Arc::new(Ledger::new());
        let (processes, doing) = (Vec::new(), Vec::new());
        let mut world = Self { checker, processes, doing, ledger, prefix, steps: 0, born: 0 };
        world.processes = checker.backends.iter().map(|backend| world.process(backend.clone())).collect();
        world
    }

    fn process(&mut self, backend: DynBackend) -> Process {
        let cache = self.checker.stage.over(backend.clone()).no_breaker().key_prefix(self.prefix.clone());
        #[expect(clippy::expect_used, reason = "the settings are valid")]
        let cache = cache.build().expect("the settings are valid");
        let (ledger, flaw) = (Arc::clone(&self.ledger), self.checker.flaw);
        let (id, purges) = (self.born, self.checker.purges);
        self.born += 1;
        Process { cache, backend, flights: Flights::new(), ledger, flaw, id, purges }
    }

    /// Runs all moves, ends what is under way, and looks once more from everywhere.
    pub(super) async fn run(mut self, moves: &[Move]) -> (Option<String>, Tally) {
        for one in moves {
            self.make(*one).await;
            if self.ledger.wrong().is_some() {
                break;
            }
        }
        self.end().await;
        for p in 0..self.processes.len() {
            for key in 0..KEYS {
                self.begin(p, false, |process| Box::pin(process.get(key)));
                self.finish(self.doing.len() - 1).await;
            }
        }
        self.doing.clear();
        self.tidy().await;
        self.ledger.count(|tally| {
            tally.schedules = 1;
            tally.steps = self.steps;
        });
        (self.ledger.wrong(), self.ledger.tally())
    }

    fn begin(
        &mut self,
        process: usize,
        waits: bool,
        act: impl FnOnce(Process) -> Pin<Box<dyn Future<Output = ()> + Send>>,
    ) {
        let process = process % self.processes.len();
        let act = act(self.processes[process].clone());
        self.doing.push(Doing { process, act, waits });
    }

    async fn make(&mut self, Move { what, args: [a, b, c, d, e, f] }: Move) {
        self.steps += 1;
        if self.doing.len() >= DOING {
            self.finish(0).await;
        }
        let timeout = |which: usize| match which {
            0 => Timeout::FOREVER,
            1 => Timeout::secs(5),
            2 => Timeout::secs(60),
            _ => Timeout::secs(2 * 3_600),
        };
        let at = |doing: &Vec<Doing>| (!doing.is_empty()).then(|| a % doing.len());
        match what {
            What::Page | What::Fill => {
                let plan = Plan {
                    key: b,
                    early: c,
                    late: d,
                    fragment: e.checked_sub(1).filter(|fragment| *fragment != b),
                    timeout: timeout(f),
                };
                self.begin(a, false, |process| Box::pin(process.page(plan, what == What::Page)));
                self.push(self.doing.len() - 1).await;
            }
            What::Make => {
                self.begin(a, true, |process| Box::pin(process.make(b, c, timeout(d))));
                self.push(self.doing.len() - 1).await;
            }
            What::Get => {
                self.begin(a, false, |process| Box::pin(process.get(b)));
                self.push(self.doing.len() - 1).await;
            }
            What::Many => {
                self.begin(a, false, |process| Box::pin(process.many()));
                self.push(self.doing.len() - 1).await;
            }
            What::Set | What::Add => {
                // It would wait for one that is being stored, and be older than what comes meanwhile.
                for at in (0..self.doing.len()).rev().filter(|_| what == What::Set).collect::<Vec<_>>() {
                    if self.doing[at].waits {
                        self.finish(at).await;
                    }
                }
                self.begin(a, false, |process| Box::pin(process.set(b, c, timeout(d), what == What::Add)));
                self.finish(self.doing.len() - 1).await;
            }
            What::Touch => {
                self.begin(a, false, |process| Box::pin(process.touch(b, timeout(c))));
                self.finish(self.doing.len() - 1).await;
            }
            What::Delete => {
                self.begin(a, true, |process| Box::pin(process.delete(b)));
                self.push(self.doing.len() - 1).await;
            }
            What::Invalidate => {
                let soft = self.checker.purges && self.steps.is_multiple_of(3);
                self.begin(a, false, |process| Box::pin(process.invalidate(b + 1, soft)));
                self.push(self.doing.len() - 1).await;
            }
            What::Clear => {
                self.begin(a, false, |process| Box::pin(process.clear()));
                self.push(self.doing.len() - 1).await;
            }
            What::Step => {
                if let Some(at) = at(&self.doing) {
                    self.push(at).await;
                }
            }
            What::Poke => {
                if let Some(at) = at(&self.doing) {
                    self.poke(at);
                }
            }
            What::Finish => {
                if let Some(at) = at(&self.doing) {
                    self.finish(at).await;
                }
            }
            What::Lose => self.lose(a).await,
            What::Empty => {
                for record in 0..2 + TAGS + KEYS {
                    self.lose(record).await;
                }
            }
            What::Wait => {
                self.checker.stage.wait([1, 10, 3 * 3_600][a % 3]);
            }
            What::Crash => {
                let p = a % self.processes.len();
                self.doing.retain(|doing| doing.process != p);
                let backend = self.processes[p].backend.clone();
                self.processes[p] = self.process(backend);
            }
            What::Close => {
                let p = a % self.processes.len();
                if self.processes[p].cache.close().await.is_err() {
                    self.ledger.failed();
                }
            }
        }
        self.settle().await;
    }

    async fn settle(&self) {
        for _ in 0..self.checker.settles {
            tokio::task::yield_now().await;
        }
    }

    /// Goes on until others may come between.
    async fn push(&mut self, at: usize) -> Pushed {
        let (immediate, doing) = (self.checker.immediate, &mut self.doing[at]);
        let waits = doing.waits;
        let act = doing.act.as_mut();
        let mut act = act;
        has_stopped();
        let mut pushed = poll_fn(|context| match act.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Pushed::Done),
            Poll::Pending if has_stopped() => Poll::Ready(Pushed::Stopped),
            Poll::Pending if immediate => Poll::Ready(Pushed::Waits),
            Poll::Pending => Poll::Pending,
        });
        let pushed = match waits && !immediate {
            true => tokio::time::timeout(BRIEFLY, &mut pushed).await.unwrap_or(Pushed::Waits),
            false => pushed.await,
        };
        if pushed == Pushed::Done {
            drop(self.doing.remove(at));
            self.settle().await;
        }
        pushed
    }

    fn poke(&mut self, at: usize) {
        let mut context = Context::from_waker(Waker::noop());
        if self.doing[at].act.as_mut().poll(&mut context).is_ready() {
            drop(self.doing.remove(at));
        }
        has_stopped();
    }

    async fn finish(&mut self, at: usize) {
        for _ in 0..LOOKS {
            match self.push(at).await {
                Pushed::Done => return,
                Pushed::Stopped => {}
                Pushed::Waits => return,
            }
        }
    }

    /// Those who wait for others get what they wait for, in whatever order; what waits for time gets that.
    async fn end(&mut self) {
        for round in 0..LOOKS {
            let mut at = 0;
            while at < self.doing.len() {
                if self.push(at).await != Pushed::Done {
                    at += 1;
                }
            }
            if self.doing.is_empty() {
                return;
            }
            if round % 20 == 19 {
                self.checker.stage.wait(60);
            }
        }
    }

    /// As an eviction takes it: without a word, and past whatever checks there are.
    async fn lose(&self, which: usize) {
        let process = &self.processes[0];
        let space = process.cache.space();
        let key = match which {
            0 => Key::record(space, "fence", ""),
            1 => Key::record(space, "space", ""),
            _ if which < 2 + TAGS => Key::record(space, "tag", tag(which - 2, process.purges).as_str()),
            _ => process.cache.key_of(name(which - 2 - TAGS), None),
        };
        let now = process.cache.clock().now();
        let expired = Entry::new(Value::Bytes("gone".into()), Some(0), Stamp::untagged(Nonce::fresh()));
        // One that is expired removes what was there. The backend under the steps does it at once.
        if self.checker.stage.backend().set(&key, expired, When::Always, now).await.is_err() {
            self.ledger.failed();
        }
    }

    /// Leaves nothing behind.
    async fn tidy(&self) {
        for record in 0..2 + TAGS + KEYS {
            self.lose(record).await;
        }
    }
}
