//! What [`crate::flight`] promises, one thing at a time; `tests/flights.rs` tries orders.

use crate::flight::{Flights, Joined, Leader, Outcome, Waiter};
use crate::key::{Key, Space};
use crate::tag::Nonce;

fn key() -> Key {
    Key::value(&Space::default(), 1, "k")
}

fn lead(flights: &Flights<u8>, fence: Nonce) -> Leader<u8> {
    match flights.join(&key(), fence, 10) {
        Joined::Lead(leader) => leader,
        other => panic!("expected to lead, got {other:?}"),
    }
}

fn follow(flights: &Flights<u8>, fence: Nonce) -> Waiter<u8> {
    match flights.join(&key(), fence, 10) {
        Joined::Wait(waiter) => waiter,
        other => panic!("expected to wait, got {other:?}"),
    }
}

#[tokio::test]
async fn waiters_get_what_the_leader_publishes_and_late_ones_too() {
    let (flights, fence) = (Flights::new(), Nonce::fresh());
    let leader = lead(&flights, fence);
    let mut early = follow(&flights, fence);
    leader.publish(7);
    let mut late = follow(&flights, fence);
    assert_eq!(early.wait().await, Outcome::Value(7));
    assert_eq!(late.wait().await, Outcome::Value(7));
    drop(leader);
    assert!(flights.is_empty());
    drop(lead(&flights, fence));
}

#[tokio::test]
async fn a_leader_that_goes_away_releases_its_waiters_and_the_next_one_leads() {
    let (flights, fence) = (Flights::new(), Nonce::fresh());
    let leader = lead(&flights, fence);
    let mut waiter = follow(&flights, fence);
    drop(leader);
    assert_eq!(waiter.wait().await, Outcome::Abandoned);
    drop(lead(&flights, fence));
}

#[tokio::test]
async fn nobody_joins_a_flight_that_began_before_an_invalidation_it_knows_of() {
    let (flights, before, after) = (Flights::new(), Nonce::fresh(), Nonce::fresh());
    let old = lead(&flights, before);
    let mut early = follow(&flights, before);
    let new = lead(&flights, after);
    old.publish(1);
    drop(old);
    let mut late = follow(&flights, after);
    new.publish(2);
    assert_eq!((early.wait().await, late.wait().await), (Outcome::Value(1), Outcome::Value(2)));
}

#[test]
fn more_than_the_limit_do_not_wait_and_who_leaves_makes_room() {
    let (flights, fence) = (Flights::<u8>::new(), Nonce::fresh());
    let leader = lead(&flights, fence);
    let waiter = flights.join(&key(), fence, 1);
    assert!(matches!(waiter, Joined::Wait(_)));
    assert!(matches!(flights.join(&key(), fence, 1), Joined::Full));
    drop(waiter);
    assert!(matches!(flights.join(&key(), fence, 1), Joined::Wait(_)));
    assert_eq!(leader.waiters(), 0);
}
