//! Random schedules over servers.

use larder_testkit::schedules::Checker;

use crate::Stage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_read_after_an_invalidation_sees_anything_older() {
    let tally = Checker::new(Stage::on(2).suite()).steps(4_000).assert().await;
    assert!(tally.hits > 100 && tally.dropped > 10, "{tally:?}");
}
