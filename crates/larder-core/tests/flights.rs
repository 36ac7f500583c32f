//! Coalescing in one process, in every order of steps that Shuttle can think of: the very source of `flight`, over Shuttle's locks and atomics. Whoever
//! hangs (a lost wake-up, a lock held too long) is a deadlock to it, and fails the test with a schedule to replay.

mod sync {
    use std::sync::PoisonError;

    pub(crate) use shuttle::sync::Arc;
    use shuttle::sync::MutexGuard;
    pub(crate) use shuttle::sync::atomic::{AtomicUsize, Ordering};

    /// Shuttle's, with the methods of the one that it stands in for.
    pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(shuttle::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }
}

mod key {
    pub(crate) use larder_core::Key;
}

mod tag {
    pub(crate) use larder_core::Nonce;
}

#[expect(unreachable_pub, reason = "it is public where it belongs")]
#[path = "../src/flight.rs"]
mod flight;
#[path = "../src/settled.rs"]
mod settled;

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use flight::{Flights, Joined, Outcome};
use key::Key;
use larder_core::Space;
use shuttle::future::block_on;
use shuttle::thread;
use sync::{Arc, AtomicUsize, Ordering};
use tag::Nonce;

/// How many orders are tried of each.
const ORDERS: usize = 500;

fn tried(test: impl Fn() + Clone + Send + Sync + 'static) {
    shuttle::check_random(test.clone(), ORDERS);
    shuttle::check_pct(test, ORDERS, 3);
}

fn key() -> Key {
    Key::value(&Space::default(), 1, "key")
}

const FENCE: Nonce = Nonce::from_u128(1);
const MANY: usize = 10;

/// Asks until there is a value; the first so many leaders go away without one.
fn ask(flights: &Flights<usize>, leads: &AtomicUsize, lost: usize) {
    loop {
        match flights.join(&key(), FENCE, MANY) {
            Joined::Lead(leader) => {
                if leads.fetch_add(1, Ordering::SeqCst) < lost {
                    // A panic, an error, a client that hung up: dropped without a word.
                    drop(leader);
                    continue;
                }
                leader.publish(7);
                return;
            }
            Joined::Wait(mut waiter) => match block_on(waiter.wait()) {
                Outcome::Value(value) => {
                    assert_eq!(value, 7);
                    return;
                }
                Outcome::Abandoned => {}
            },
            Joined::Full => panic!("there is room"),
        }
    }
}

fn all_get_it(askers: usize, lost: usize) {
    let (flights, leads) = (Flights::new(), Arc::new(AtomicUsize::new(0)));
    let askers: Vec<_> = (0..askers)
        .map(|_| {
            let (flights, leads) = (flights.clone(), Arc::clone(&leads));
            thread::spawn(move || ask(&flights, &leads, lost))
        })
        .collect();
    for asker in askers {
        asker.join().expect("it gets its value");
    }
    assert!(leads.load(Ordering::SeqCst) > lost);
    assert!(flights.is_empty(), "no flight is left");
}

#[test]
fn whoever_joins_in_whatever_order_gets_the_value() {
    tried(|| all_get_it(3, 0));
}

#[test]
fn leaders_that_go_away_leave_nobody_hanging() {
    tried(|| all_get_it(3, 2));
}

#[test]
fn a_flight_that_is_forgotten_lands_for_those_who_had_joined_it() {
    tried(|| {
        let (flights, leads) = (Flights::new(), Arc::new(AtomicUsize::new(0)));
        let forgets = {
            let flights = flights.clone();
            thread::spawn(move || drop(flights.forget_all(|one| *one == key())))
        };
        let asker = {
            let (flights, leads) = (flights.clone(), Arc::clone(&leads));
            thread::spawn(move || ask(&flights, &leads, 0))
        };
        ask(&flights, &leads, 0);
        forgets.join().expect("it ends");
        asker.join().expect("it gets its value");
        assert!(flights.is_empty());
    });
}

#[test]
fn what_is_forgotten_does_not_land_any_more_or_is_waited_for() {
    tried(|| {
        let (flights, stored) = (Flights::new(), Arc::new(AtomicUsize::new(0)));
        let Joined::Lead(leader) = flights.join(&key(), FENCE, MANY) else { panic!("nobody leads yet") };
        let lands = {
            let stored = Arc::clone(&stored);
            thread::spawn(move || {
                if leader.land() {
                    stored.store(1, Ordering::SeqCst);
                }
                leader.publish(7);
            })
        };
        let removes = {
            let (flights, stored) = (flights.clone(), Arc::clone(&stored));
            thread::spawn(move || {
                if let Some(mut landing) = flights.forget(&key()) {
                    block_on(landing.over());
                }
                stored.store(0, Ordering::SeqCst);
            })
        };
        removes.join().expect("it ends");
        lands.join().expect("it ends");
        assert_eq!(stored.load(Ordering::SeqCst), 0, "what was removed is back");
    });
}

#[test]
fn who_asks_behind_another_fence_never_gets_what_was_begun_before_it() {
    tried(|| {
        let flights = Flights::new();
        let Joined::Lead(old) = flights.join(&key(), FENCE, MANY) else { panic!("nobody leads yet") };
        let newer = {
            let flights = flights.clone();
            thread::spawn(move || match flights.join(&key(), Nonce::from_u128(2), MANY) {
                Joined::Lead(leader) => {
                    leader.publish(2);
                    assert!(leader.is_open(), "an older leader must not close it");
                }
                other => panic!("it leads its own: {other:?}"),
            })
        };
        old.publish(1);
        drop(old);
        newer.join().expect("it leads");
        assert!(flights.is_empty());
    });
}

#[test]
fn who_stops_waiting_makes_room_and_takes_no_wake_up_with_it() {
    tried(|| {
        let flights = Flights::new();
        let Joined::Lead(leader) = flights.join(&key(), FENCE, MANY) else { panic!("nobody leads yet") };
        let waits = |gives_up: bool| {
            let flights = flights.clone();
            thread::spawn(move || {
                let Some(Joined::Wait(mut waiter)) = flights.follow(&key(), FENCE, MANY) else { return };
                if gives_up {
                    let mut cx = Context::from_waker(Waker::noop());
                    let waiting = pin!(waiter.wait());
                    assert!(matches!(waiting.poll(&mut cx), Poll::Pending | Poll::Ready(Outcome::Value(7))));
                    return;
                }
                assert_eq!(block_on(waiter.wait()), Outcome::Value(7));
            })
        };
        let waiters = [waits(true), waits(false), waits(false)];
        leader.publish(7);
        for waiter in waiters {
            waiter.join().expect("it ends");
        }
        assert_eq!(leader.waiters(), 0);
    });
}
