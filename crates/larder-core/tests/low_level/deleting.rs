//! What is deleted while it is made does not come back: not from this process, and not from another.

use std::time::Duration;

use larder_core::Cache;
use larder_testkit::{Fault, Faulty, Op};

use crate::leases::{Fleet, process, settle};

const SLOW: Duration = Duration::from_secs(1);

/// A process whose next store of anything takes a while, and then happens.
fn slow(fleet: &Fleet) -> (Cache, impl Fn() + use<>) {
    let faulty = Faulty::over(fleet.store.clone()).clock(fleet.hand.clock()).remote();
    let faults = faulty.faults();
    (process(faulty, fleet.hand.clock()), move || faults.add(Fault::delay(SLOW).on([Op::Set]).times(1)))
}

#[tokio::test]
async fn what_another_process_deletes_while_it_is_made_is_not_stored() {
    let mut fleet = Fleet::new();
    let (one, other) = (fleet.process(), fleet.process());
    let asks = fleet.ask(&one);
    let made = fleet.next().await;
    assert!(!other.delete("key").await.unwrap(), "there was nothing");
    made.send(Ok("old")).unwrap();
    assert_eq!(fleet.answer(asks).await.unwrap(), "old", "who asked before gets what was made");
    assert_eq!(other.get::<String>("key").await.unwrap(), None, "and nobody later");
    // Neither is anybody kept from making it anew.
    let again = fleet.ask(&other);
    fleet.next().await.send(Ok("new")).unwrap();
    assert_eq!(fleet.answer(again).await.unwrap(), "new");
    assert_eq!(one.get("key").await.unwrap(), Some("new".to_owned()));
}

#[tokio::test]
async fn what_another_process_deletes_in_the_moment_it_is_stored_is_removed_again() {
    let mut fleet = Fleet::new();
    let ((one, slow_down), other) = (slow(&fleet), fleet.process());
    let asks = fleet.ask(&one);
    let made = fleet.next().await;
    slow_down();
    made.send(Ok("old")).unwrap();
    settle().await;
    assert!(!other.delete("key").await.unwrap(), "it is on its way to the store");
    assert_eq!(fleet.answer(asks).await.unwrap(), "old");
    settle().await;
    assert_eq!(other.get::<String>("key").await.unwrap(), None);
    assert!(other.keys("*").await.unwrap().is_empty());
}

#[tokio::test]
async fn what_another_process_has_stored_since_stays() {
    let mut fleet = Fleet::new();
    let ((one, slow_down), other) = (slow(&fleet), fleet.process());
    let asks = fleet.ask(&one);
    let made = fleet.next().await;
    slow_down();
    made.send(Ok("old")).unwrap();
    settle().await;
    other.delete("key").await.unwrap();
    other.set("key", "newer").await.unwrap();
    assert_eq!(fleet.answer(asks).await.unwrap(), "newer", "a competing writer's wins");
    settle().await;
    assert_eq!(other.get("key").await.unwrap(), Some("newer".to_owned()));
}

#[tokio::test]
async fn what_takes_longer_than_its_lease_is_renewed_is_stored_all_the_same() {
    let mut fleet = Fleet::new();
    let (one, other) = (fleet.process(), fleet.process());
    let asks = fleet.ask(&one);
    let made = fleet.next().await;
    fleet.pass(Duration::from_secs(70)).await;
    made.send(Ok("late")).unwrap();
    assert_eq!(fleet.answer(asks).await.unwrap(), "late");
    settle().await;
    assert_eq!(other.get("key").await.unwrap(), Some("late".to_owned()));
}

#[tokio::test]
async fn a_delete_waits_for_what_is_being_stored_in_its_process() {
    for overtaken in [false, true] {
        let mut fleet = Fleet::new();
        let (cache, slow_down) = slow(&fleet);
        let asks = fleet.ask(&cache);
        let made = fleet.next().await;
        slow_down();
        made.send(Ok("old")).unwrap();
        settle().await;
        if overtaken {
            // Moves the fence, so that who asks now leads a flight of their own.
            cache.invalidate(["unrelated"]).await.unwrap();
            drop(fleet.ask(&cache));
            settle().await;
        }
        let deletes = {
            let cache = cache.clone();
            tokio::spawn(async move { cache.delete("key").await.unwrap() })
        };
        settle().await;
        assert!(!deletes.is_finished(), "what is stored after a delete would stay: {overtaken}");
        assert_eq!(fleet.answer(asks).await.unwrap(), "old");
        assert!(deletes.await.unwrap(), "it is there by then, and is removed");
        assert_eq!(cache.get::<String>("key").await.unwrap(), None);
    }
}
