//! Several processes that share a store, here several caches over one: while one makes a value, the others wait for it.

use std::future::Future;
use std::time::Duration;

use larder_core::{Cache, Clock, ErrorKind, FillError, ManualClock};
use larder_testkit::{Fault, Faulty, Op, Plain};
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Processes over one store, with one clock.
pub(crate) struct Fleet {
    pub(crate) store: Plain,
    pub(crate) hand: ManualClock,
    asks: mpsc::UnboundedSender<Asked>,
    asked: mpsc::UnboundedReceiver<Asked>,
}

/// A closure that runs and waits for the test.
pub(crate) type Asked = oneshot::Sender<Result<&'static str, &'static str>>;
pub(crate) type Answer = Result<String, FillError<&'static str>>;

impl Fleet {
    pub(crate) fn new() -> Self {
        let (asks, asked) = mpsc::unbounded_channel();
        Self { store: Plain::default(), hand: ManualClock::new(1_700_000_000_000), asks, asked }
    }

    pub(crate) fn process(&self) -> Cache {
        process(self.store.clone(), self.hand.clock())
    }

    /// Asks for the value beside the test.
    pub(crate) fn ask(&self, process: &Cache) -> JoinHandle<Answer> {
        tokio::spawn(self.asking(process))
    }

    fn asking(&self, process: &Cache) -> impl Future<Output = Answer> + Send + 'static {
        let (process, asks) = (process.clone(), self.asks.clone());
        async move {
            let make = || async {
                let (answer, answered) = oneshot::channel();
                asks.send(answer).unwrap();
                answered.await.unwrap().map(str::to_owned)
            };
            process.try_get_or_set("key", make).timeout(3_600).tags(["t"]).await
        }
    }

    /// The next closure that runs, while the hand moves a little.
    pub(crate) async fn next(&mut self) -> Asked {
        loop {
            settle().await;
            match self.asked.try_recv() {
                Ok(asked) => return asked,
                Err(_) => self.hand.advance(Duration::from_millis(5)),
            }
        }
    }

    /// What came of asking, while the hand moves a little.
    pub(crate) async fn answer(&self, of: JoinHandle<Answer>) -> Answer {
        while !of.is_finished() {
            self.hand.advance(Duration::from_millis(5));
            settle().await;
        }
        of.await.unwrap()
    }

    /// Lets time pass as it does: a bit at a time, with everybody awake.
    pub(crate) async fn pass(&self, time: Duration) {
        let until = self.hand.now() + u64::try_from(time.as_millis()).unwrap();
        while self.hand.now() < until {
            self.hand.advance(Duration::from_millis(50));
            settle().await;
        }
    }

    /// Has the value made once more, and keeps who makes it waiting.
    async fn ask_again(&mut self, process: &Cache) -> (JoinHandle<Answer>, Asked) {
        process.delete("key").await.unwrap();
        let asks = self.ask(process);
        (asks, self.next().await)
    }

    fn nobody_makes_it(&mut self) {
        assert!(self.asked.try_recv().is_err(), "somebody makes it a second time");
    }
}

pub(crate) fn process(store: impl larder_core::Backend, clock: Clock) -> Cache {
    Cache::builder(store).clock(clock).deadline(Duration::from_secs(60)).build().unwrap()
}

pub(crate) async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn of_four_processes_one_makes_a_value_and_the_others_wait_for_it() {
    let mut fleet = Fleet::new();
    let processes: Vec<Cache> = (0..4).map(|_| fleet.process()).collect();
    let all: Vec<_> = processes.iter().chain(&processes).map(|process| fleet.ask(process)).collect();
    let made = fleet.next().await;
    fleet.pass(Duration::from_secs(1)).await;
    fleet.nobody_makes_it();
    made.send(Ok("value")).unwrap();
    for one in all {
        assert_eq!(fleet.answer(one).await.unwrap(), "value");
    }
    fleet.nobody_makes_it();
    assert_eq!(processes[0].keys("*").await.unwrap(), ["key"], "a lease is nobody's key");
}

#[tokio::test]
async fn without_leases_each_process_makes_its_own() {
    let mut fleet = Fleet::new();
    let process = || {
        let builder = Cache::builder(fleet.store.clone()).clock(fleet.hand.clock());
        builder.lease(Duration::ZERO).deadline(Duration::from_secs(60)).build().unwrap()
    };
    let asks = [fleet.ask(&process()), fleet.ask(&process())];
    for made in [fleet.next().await, fleet.next().await] {
        made.send(Ok("its own")).unwrap();
    }
    for one in asks {
        assert_eq!(fleet.answer(one).await.unwrap(), "its own");
    }
}

#[tokio::test]
async fn a_lease_is_renewed_as_long_as_the_making_takes_and_no_longer_than_the_limit() {
    let mut fleet = Fleet::new();
    let (one, other) = (fleet.process(), fleet.process());
    let slow = fleet.ask(&one);
    let made = fleet.next().await;
    let waits = fleet.ask(&other);
    fleet.pass(Duration::from_secs(25)).await;
    fleet.nobody_makes_it();
    waits.abort();
    fleet.pass(Duration::from_secs(41)).await;
    // A minute after it began it is renewed no more, and the next one makes it.
    let second = fleet.ask(&other);
    fleet.next().await.send(Ok("newer")).unwrap();
    assert_eq!(fleet.answer(second).await.unwrap(), "newer");
    made.send(Ok("older")).unwrap();
    assert_eq!(fleet.answer(slow).await.unwrap(), "newer", "what another stored meanwhile wins");
    assert_eq!(one.get::<String>("key").await.unwrap().as_deref(), Some("newer"));
}

#[tokio::test]
async fn a_process_that_dies_costs_the_others_what_is_left_of_its_lease() {
    let mut fleet = Fleet::new();
    let (one, other) = (fleet.process(), fleet.process());
    // Its runtime ends as a process does: nothing of it is polled any more.
    let dying = Builder::new_current_thread().enable_all().build().unwrap();
    let doomed = dying.spawn(fleet.asking(&one));
    let made = std::thread::scope(|scope| {
        let run = scope.spawn(|| {
            dying.block_on(async {
                loop {
                    settle().await;
                    if let Ok(asked) = fleet.asked.try_recv() {
                        return asked;
                    }
                }
            })
        });
        run.join().unwrap()
    });
    std::mem::forget(doomed);
    std::mem::forget(dying);
    let waits = fleet.ask(&other);
    fleet.pass(Duration::from_millis(4_900)).await;
    fleet.nobody_makes_it();
    fleet.pass(Duration::from_millis(500)).await;
    fleet.next().await.send(Ok("value")).unwrap();
    assert_eq!(fleet.answer(waits).await.unwrap(), "value");
    drop(made);
}

#[tokio::test]
async fn a_maker_that_goes_away_lets_the_next_process_lead_at_once() {
    let mut fleet = Fleet::new();
    let (one, other) = (fleet.process(), fleet.process());
    let first = fleet.ask(&one);
    let made = fleet.next().await;
    let second = fleet.ask(&other);
    settle().await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    let before = fleet.hand.now();
    fleet.next().await.send(Ok("value")).unwrap();
    assert!(fleet.hand.now() - before < 1_000, "it did not have to expire");
    assert_eq!(fleet.answer(second).await.unwrap(), "value");
    assert!(made.is_closed());
}

#[tokio::test]
async fn when_a_closure_fails_the_other_processes_try_for_themselves_at_the_same_time() {
    let mut fleet = Fleet::new();
    let processes: Vec<Cache> = (0..3).map(|_| fleet.process()).collect();
    let all: Vec<_> = processes.iter().map(|process| fleet.ask(process)).collect();
    fleet.next().await.send(Err("no database")).unwrap();
    // Both run before either is answered.
    let rest = [fleet.next().await, fleet.next().await];
    for made in rest {
        made.send(Ok("value")).unwrap();
    }
    let mut failed = 0;
    for one in all {
        match fleet.answer(one).await {
            Ok(value) => assert_eq!(value, "value"),
            Err(error) => {
                assert!(matches!(error, FillError::Fill("no database")));
                failed += 1;
            }
        }
    }
    assert_eq!(failed, 1);
}

#[tokio::test]
async fn who_waited_for_a_closure_that_failed_is_given_the_stale_value() {
    let (asks, mut asked) = mpsc::unbounded_channel::<Asked>();
    let (store, hand) = (Plain::default(), ManualClock::new(1_700_000_000_000));
    let processes = [process(store.clone(), hand.clock()), process(store, hand.clock())];
    let ask = |cache: &Cache| {
        let (cache, asks) = (cache.clone(), asks.clone());
        tokio::spawn(async move {
            let make = || async {
                let (answer, answered) = oneshot::channel();
                asks.send(answer).unwrap();
                answered.await.unwrap().map(str::to_owned)
            };
            cache.try_get_or_set("key", make).timeout(10).stale_if_error(600).await
        })
    };
    let first = ask(&processes[0]);
    asked.recv().await.unwrap().send(Ok("old")).unwrap();
    assert_eq!(first.await.unwrap().unwrap(), "old");
    hand.advance(Duration::from_secs(11));
    let one: Vec<_> = (0..4).map(|_| ask(&processes[0])).collect();
    let failing = asked.recv().await.unwrap();
    settle().await;
    failing.send(Err("no database")).unwrap();
    for one in one {
        assert_eq!(one.await.unwrap().unwrap(), "old");
    }
    assert!(asked.try_recv().is_err(), "it failed a moment ago");
    let other = ask(&processes[1]);
    asked.recv().await.unwrap().send(Ok("new")).unwrap();
    assert_eq!(other.await.unwrap().unwrap(), "new");
}

#[tokio::test]
async fn when_a_closure_panics_those_who_wait_try_for_themselves_at_the_same_time() {
    let mut fleet = Fleet::new();
    let (one, other) = (fleet.process(), fleet.process());
    let leader = fleet.ask(&one);
    let panics = fleet.next().await;
    let rest: Vec<_> = [&one, &one, &other].into_iter().map(|process| fleet.ask(process)).collect();
    settle().await;
    // It unwraps what it is told.
    drop(panics);
    let before = fleet.hand.now();
    let all = [fleet.next().await, fleet.next().await, fleet.next().await];
    assert!(fleet.hand.now() - before < 1_000, "nothing had to expire");
    for made in all {
        made.send(Ok("value")).unwrap();
    }
    for one in rest {
        assert_eq!(fleet.answer(one).await.unwrap(), "value");
    }
    assert!(leader.await.unwrap_err().is_panic());
}

#[tokio::test]
async fn who_goes_away_while_it_asks_for_the_lease_leaves_none_behind() {
    for taken_over in [false, true] {
        let mut fleet = Fleet::new();
        let backend = Faulty::over(fleet.store.clone());
        let faults = backend.faults();
        let (one, other) = (process(backend, fleet.hand.clock()), fleet.process());
        let warm = fleet.ask(&one);
        fleet.next().await.send(Ok("first")).unwrap();
        assert_eq!(fleet.answer(warm).await.unwrap(), "first");
        settle().await;
        let operation = if taken_over { Op::CompareAndSet } else { Op::Set };
        if taken_over {
            // What stands there is of one that knew another nonce.
            let slow = fleet.ask_again(&other).await;
            other.invalidate(["t"]).await.unwrap();
            std::mem::forget(slow);
        } else {
            one.delete("key").await.unwrap();
        }
        // The store does it, and nobody hears of that.
        faults.add(Fault::hang().on([operation]).after().times(1));
        let gone = fleet.ask(&one);
        settle().await;
        assert_eq!(faults.met(), 1);
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
        let before = fleet.hand.now();
        let next = fleet.ask(&other);
        fleet.next().await.send(Ok("value")).unwrap();
        assert!(fleet.hand.now() - before < 1_000, "it did not have to expire");
        assert_eq!(fleet.answer(next).await.unwrap(), "value");
    }
}

#[tokio::test]
async fn who_asks_after_an_invalidation_waits_for_no_process_that_began_before() {
    let mut fleet = Fleet::new();
    let (one, other) = (fleet.process(), fleet.process());
    let first = fleet.ask(&one);
    let old = fleet.next().await;
    other.invalidate(["t"]).await.unwrap();
    let second = fleet.ask(&other);
    let new = fleet.next().await;
    new.send(Ok("new")).unwrap();
    assert_eq!(fleet.answer(second).await.unwrap(), "new");
    old.send(Ok("old")).unwrap();
    assert_eq!(fleet.answer(first).await.unwrap(), "old");
    for process in [one, other] {
        assert_eq!(process.get::<String>("key").await.unwrap().as_deref(), Some("new"));
    }
}

#[tokio::test]
async fn nobody_waits_for_another_process_longer_than_the_limit() {
    let mut fleet = Fleet::new();
    let (one, other) = (fleet.process(), fleet.process());
    let first = fleet.ask(&one);
    let slow = fleet.next().await;
    let asks = fleet.asks.clone();
    let second = tokio::spawn(async move {
        let make = || async {
            let (answer, answered) = oneshot::channel();
            asks.send(answer).unwrap();
            answered.await.unwrap().map(str::to_owned)
        };
        other.try_get_or_set("key", make).tags(["t"]).max_wait(Duration::from_secs(2)).await
    });
    fleet.pass(Duration::from_millis(1_900)).await;
    fleet.nobody_makes_it();
    fleet.pass(Duration::from_millis(200)).await;
    fleet.asked.try_recv().unwrap().send(Ok("its own")).unwrap();
    assert_eq!(fleet.answer(second).await.unwrap(), "its own");
    slow.send(Ok("value")).unwrap();
    assert_eq!(fleet.answer(first).await.unwrap(), "value");
    assert_eq!(
        one.get::<String>("key").await.unwrap().as_deref(),
        Some("value"),
        "who went alone stored nothing"
    );
}

#[tokio::test]
async fn a_store_that_fails_while_somebody_waits_holds_nobody_up() {
    let mut fleet = Fleet::new();
    let backend = Faulty::over(fleet.store.clone());
    let faults = backend.faults();
    let (one, other) = (fleet.process(), process(backend, fleet.hand.clock()));
    let first = fleet.ask(&one);
    let slow = fleet.next().await;
    let second = fleet.ask(&other);
    fleet.pass(Duration::from_millis(100)).await;
    faults.add(Fault::error(ErrorKind::Unavailable));
    fleet.next().await.send(Ok("its own")).unwrap();
    assert_eq!(fleet.answer(second).await.unwrap(), "its own");
    slow.send(Ok("value")).unwrap();
    assert_eq!(fleet.answer(first).await.unwrap(), "value");
}

#[tokio::test]
async fn a_store_that_can_not_compare_and_set_knows_no_leases() {
    let mut fleet = Fleet::new();
    let backend = Faulty::over(fleet.store.clone());
    backend.faults().add(Fault::error(ErrorKind::Unsupported).on([Op::CompareAndSet]));
    let clock = fleet.hand.clock();
    let (one, other) = (process(backend.clone(), clock.clone()), process(backend, clock));
    let asks = [fleet.ask(&one), fleet.ask(&other)];
    for made in [fleet.next().await, fleet.next().await] {
        made.send(Ok("value")).unwrap();
    }
    for one in asks {
        assert_eq!(fleet.answer(one).await.unwrap(), "value");
    }
}

#[test]
fn a_lease_that_could_not_be_renewed_in_time_is_refused() {
    let build = |millis| Cache::builder(Plain::default()).lease(Duration::from_millis(millis)).build();
    let error = build(99).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("a lease of 99ms") && error.to_string().contains("or 0 for none"));
    assert!(build(100).is_ok() && build(0).is_ok());
}
