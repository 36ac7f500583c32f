//! The session stores. Django's `sessions_tests` stand behind most of these; the numbers (`SES-04`) are those of its behaviours.

mod cached;
mod outage;
mod race;
mod store;

use std::collections::HashMap;

use larder_core::{Cache, ManualClock};
use larder_memory::Memory;
use larder_testkit::{Faults, Faulty};
use tower_sessions::cookie::time::OffsetDateTime;
use tower_sessions::session::{Id, Record};

/// When the clocks of these suites begin, in seconds.
const BEGIN: u64 = 1_900_000_000;

/// A cache in memory, and the hand that moves its clock.
fn clocked() -> (Cache, ManualClock) {
    let hand = ManualClock::new(BEGIN * 1000);
    (Cache::builder(Memory::new()).clock(hand.clock()).build().expect("a cache"), hand)
}

/// A cache that can be made to fail, as one on another machine does.
fn failing() -> (Cache, Faults) {
    let hand = ManualClock::new(BEGIN * 1000);
    let faulty = Faulty::over(Memory::new()).clock(hand.clock()).remote();
    let faults = faulty.faults();
    let cache = Cache::builder(faulty).clock(hand.clock()).no_breaker().build().expect("a cache");
    (cache, faults)
}

/// A session that lives for so many seconds from the beginning.
fn record(id: i128, name: &str, seconds: i64) -> Record {
    let begin = OffsetDateTime::from_unix_timestamp(BEGIN as i64).expect("a time");
    let data = HashMap::from([("name".to_owned(), name.into())]);
    Record { id: Id(id), data, expiry_date: begin + tower_sessions::cookie::time::Duration::seconds(seconds) }
}
