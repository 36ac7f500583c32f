//! Random schedules over what keeps its promises.

use larder_memory::Memory;
use larder_testkit::schedules::Checker;
use larder_testkit::{Plain, Stage};

#[tokio::test]
async fn others_come_between_any_two_steps_of_the_protocol() {
    let tally = Checker::new(Plain::stage()).step_by_step().steps(20_000).assert().await;
    assert!(tally.dropped > 0 && tally.joined > 0 && tally.errors == 0, "{tally:?}");
}

#[tokio::test]
async fn three_processes_on_the_reference_backend() {
    let tally = Checker::new(Plain::stage()).processes(3).steps(20_000).assert().await;
    assert!(tally.dropped > 0 && tally.errors == 0, "{tally:?}");
}

#[tokio::test]
async fn memory() {
    let tally = Checker::new(Stage::new(Memory::new())).steps(40_000).assert().await;
    assert!(tally.hits > 1_000 && tally.errors == 0, "{tally:?}");
}

#[tokio::test]
async fn purges_and_marks_are_kept_as_promised() {
    let tally = Checker::new(Plain::stage()).step_by_step().purging().steps(20_000).assert().await;
    assert!(tally.dropped > 0 && tally.joined > 0 && tally.errors == 0, "{tally:?}");
    let tally = Checker::new(Stage::new(Memory::new())).purging().steps(40_000).assert().await;
    assert!(tally.hits > 1_000 && tally.errors == 0, "{tally:?}");
}

#[tokio::test]
async fn the_same_seed_is_the_same_run() {
    let tally = || async { Checker::new(Plain::stage()).step_by_step().seed(7).steps(400).assert().await };
    assert_eq!(tally().await, tally().await);
}

#[tokio::test]
#[should_panic(expected = "is no move")]
async fn what_is_no_schedule_is_not_replayed() {
    _ = Checker::new(Plain::stage()).replay("jump 1").await;
}
