//! A Cluster's node that dies, goes silent, or comes back without what it had acknowledged. Nothing that was forgotten is served again.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use larder_core::{Cache, ErrorKind, Timeout};
use larder_redis::Redis;

use crate::nodes::Nodes;

/// After what time without a sign of life a node's replica takes its place.
const NODE_TIMEOUT: u32 = 1_500;
const PATIENCE: Duration = Duration::from_secs(60);

fn open(nodes: &Nodes) -> Cache {
    let redis = Redis::cluster(nodes.seeds());
    let redis = redis.connect_timeout(Duration::from_secs(1)).max_silence(Duration::from_millis(300));
    Cache::builder(redis.build().unwrap())
        .deadline(Duration::from_millis(500))
        .timeout(Timeout::FOREVER)
        .build()
        .unwrap()
}

/// Until it succeeds; what fails meanwhile has to say that it is for want of the node.
async fn eventually<T>(what: &str, step: impl AsyncFn() -> Result<T, larder_core::Error>) -> T {
    let late = Instant::now() + PATIENCE;
    loop {
        match step().await {
            Ok(done) => return done,
            Err(error) => {
                assert!(error.kind().is_outage(), "{what}: {error:?}");
                assert!(Instant::now() < late, "{what} does not come back: {error:?}");
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A key and a tag, both of which are on this node, and nothing else that matters is.
fn at_home(nodes: &Nodes, place: usize) -> (String, String) {
    let find = |front: &str| {
        let mut names = (0..).map(|i| format!("x{i}"));
        names.find(|name| nodes.primary_of(&format!("{front}{name}")) == place).unwrap()
    };
    (find(":1:"), find(":tag:"))
}

/// Each of them sets, reads, and invalidates its own, and is never given what it had invalidated.
struct Load {
    ends: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    tasks: Vec<tokio::task::JoinHandle<usize>>,
}

impl Load {
    fn begin(nodes: &Nodes) -> Self {
        let (ends, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let tasks = (0..12).map(|who| {
            let (writer, reader, ends, done) =
                (open(nodes), open(nodes), Arc::clone(&ends), Arc::clone(&done));
            tokio::spawn(async move {
                let (key, tag, mut forgotten, mut failed) = (format!("key{who}"), format!("tag{who}"), 0, 0);
                for round in 1_u64.. {
                    if ends.load(Ordering::SeqCst) {
                        break;
                    }
                    let results = [
                        writer.set(&key, format!("round {round}")).tags([&tag]).await.map(|_| ()),
                        writer.invalidate([&tag]).await,
                    ];
                    if results[1].is_ok() {
                        forgotten = round;
                    }
                    for error in results.into_iter().filter_map(Result::err) {
                        assert!(error.kind().is_outage(), "{error:?}");
                        failed += 1;
                    }
                    match reader.get::<String>(&key).await {
                        Ok(Some(found)) => {
                            let found: u64 = found["round ".len()..].parse().unwrap();
                            assert!(found > forgotten, "{found} is served, {forgotten} was invalidated");
                        }
                        Ok(None) => _ = done.fetch_add(1, Ordering::SeqCst),
                        Err(error) => {
                            assert!(error.kind().is_outage(), "{error:?}");
                            failed += 1;
                        }
                    }
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                failed
            })
        });
        Self { tasks: tasks.collect(), ends, done }
    }

    /// Waits for so many more rounds.
    async fn goes_on(&self) {
        let until = self.done.load(Ordering::SeqCst) + 200;
        let late = Instant::now() + PATIENCE;
        while self.done.load(Ordering::SeqCst) < until {
            assert!(Instant::now() < late, "the load stands still");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// How many operations failed.
    async fn end(self) -> usize {
        self.ends.store(true, Ordering::SeqCst);
        let mut failed = 0;
        for task in self.tasks {
            failed += task.await.unwrap();
        }
        failed
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_is_killed_under_load_is_replaced_and_nothing_forgotten_comes_back() {
    let mut nodes = Nodes::replicated(NODE_TIMEOUT);
    let load = Load::begin(&nodes);
    load.goes_on().await;
    nodes.0[0].kill();
    let cache = open(&nodes);
    let of_all: Vec<String> = (0..30).map(|i| format!("probe{i}")).collect();
    eventually("every slot", async || {
        for key in &of_all {
            cache.set(key, 1).await?;
        }
        Ok(())
    })
    .await;
    load.goes_on().await;
    assert!(load.end().await > 0, "somebody noticed");
    assert!(nodes.0[3].cli(&["ROLE"]).starts_with("master"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_promoted_replica_had_not_heard_of_is_cold() {
    let mut nodes = Nodes::replicated(NODE_TIMEOUT);
    let cache = open(&nodes);
    let place = 0;
    let (key, tag) = at_home(&nodes, place);
    let (elsewhere, _) = at_home(&nodes, 1);
    let names = [format!(":1:{key}"), format!(":tag:{tag}")];
    for key in [&key, &elsewhere] {
        eventually("storing", async || cache.set(key, "old").tags([&tag]).await).await;
        assert_eq!(eventually("reading", async || cache.get(key).await).await, Some("old".to_owned()));
    }
    let before: HashMap<&String, String> =
        names.iter().map(|name| (name, nodes.cli(&["GET", name]))).collect();
    eventually("deleting", async || cache.delete(&key).await).await;
    eventually("invalidating", async || cache.invalidate([&tag]).await).await;
    nodes.0[place].kill();
    let promoted = &nodes.0[3 + place];
    nodes.until("the replica is promoted", || promoted.cli(&["ROLE"]).starts_with("master"));
    nodes.until("it serves", || promoted.asked(&["GET", &names[0]]).is_ok());
    // What it would hold if the last of what its primary acknowledged had not arrived.
    for (name, old) in before {
        promoted.cli(&["SET", name, &old]);
    }
    let other = open(&nodes);
    for cache in [&cache, &other] {
        for key in [&key, &elsewhere] {
            let found = eventually("reading", async || cache.get::<String>(key).await).await;
            assert_eq!(found, None, "what was deleted and invalidated");
        }
    }
    eventually("storing", async || cache.set(&key, "new").tags([&tag]).await).await;
    assert_eq!(eventually("reading", async || other.get(&key).await).await, Some("new".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cleared_namespace_stays_cleared_when_its_record_comes_back_old() {
    let mut nodes = Nodes::replicated(NODE_TIMEOUT);
    let cache = open(&nodes);
    let home = nodes.primary_of(":space:");
    let (key, _) = at_home(&nodes, (home + 1) % 3);
    eventually("storing", async || cache.set(&key, "old").await).await;
    let (record, entry) = (nodes.cli(&["GET", ":space:"]), nodes.cli(&["GET", &format!(":1:{key}")]));
    eventually("clearing", async || cache.clear().await).await;
    nodes.cli(&["SET", &format!(":1:{key}"), &entry]);
    nodes.0[home].kill();
    let promoted = &nodes.0[3 + home];
    nodes.until("the replica is promoted", || promoted.asked(&["SET", ":space:", &record]).is_ok());
    let found = eventually("reading", async || cache.get::<String>(&key).await).await;
    assert_eq!(found, None, "an entry that was cleared");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_comes_back_a_second_time_is_not_believed_for_what_it_said_the_first_time() {
    let nodes = Nodes::replicated(NODE_TIMEOUT);
    let cache = open(&nodes);
    let (key, tag) = at_home(&nodes, 0);
    eventually("storing", async || cache.set(&key, "old").tags([&tag]).await).await;
    let names = [format!(":1:{key}"), format!(":tag:{tag}")];
    let before: HashMap<&String, String> =
        names.iter().map(|name| (name, nodes.cli(&["GET", name]))).collect();
    let take_over = |place: usize, other: usize| {
        let asked = Cell::new(None::<Instant>);
        nodes.until("the failover", || {
            // The others do not vote twice for the same place within a while.
            if asked.get().is_none_or(|asked| asked.elapsed() > Duration::from_secs(3)) {
                _ = nodes.0[place].asked(&["CLUSTER", "FAILOVER"]);
                asked.set(Some(Instant::now()));
            }
            nodes.0[place].cli(&["ROLE"]).starts_with("master")
                && nodes.0[other].cli(&["ROLE"]).starts_with("slave")
                && nodes.0[place].asked(&["TYPE", &names[0]]).is_ok()
        });
    };
    take_over(3, 0);
    eventually("invalidating", async || cache.invalidate([&tag]).await).await;
    take_over(0, 3);
    // The invalidation had not arrived.
    for (name, old) in before {
        nodes.cli(&["SET", name, &old]);
    }
    for cache in [&cache, &open(&nodes)] {
        // Nobody is asked more often than each second who he is, and no two failovers are quicker than that.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        let found = eventually("reading", async || cache.get::<String>(&key).await).await;
        assert_eq!(found, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_restarted_without_its_data_is_cold() {
    let mut nodes = Nodes::start();
    let cache = open(&nodes);
    let (key, tag) = at_home(&nodes, 0);
    let (elsewhere, _) = at_home(&nodes, 1);
    for key in [&key, &elsewhere] {
        eventually("storing", async || cache.set(key, "old").tags([&tag]).await).await;
    }
    nodes.0[0].kill();
    let error = cache.get::<String>(&key).await.unwrap_err();
    assert!(error.kind().is_outage(), "{error:?}");
    nodes.0[0].again();
    for key in [&key, &elsewhere] {
        assert_eq!(eventually("reading", async || cache.get::<String>(key).await).await, None);
        eventually("storing", async || cache.set(key, "new").tags([&tag]).await).await;
        assert_eq!(eventually("reading", async || cache.get(key).await).await, Some("new".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_goes_silent_holds_up_only_what_is_on_it_until_its_replica_takes_over() {
    let nodes = Nodes::replicated(NODE_TIMEOUT);
    let cache = open(&nodes);
    let home = nodes.primary_of(":space:");
    let (silent, well) = ((home + 1) % 3, (home + 2) % 3);
    let ((held, _), (free, _)) = (at_home(&nodes, silent), at_home(&nodes, well));
    for key in [&held, &free] {
        eventually("storing", async || cache.set(key, "text").await).await;
    }
    nodes.0[silent].signal("STOP");
    let (mut waited, mut asked) = (0, 0);
    let begin = Instant::now();
    loop {
        // A few times, since a busy machine may take half a second for anything.
        let found = eventually("what is elsewhere", async || cache.get::<String>(&free).await).await;
        assert_eq!(found.as_deref(), Some("text"));
        let before = Instant::now();
        let found = cache.get::<String>(&held).await;
        asked += 1;
        match found {
            Ok(found) => {
                assert_eq!(found, None, "another incarnation");
                break;
            }
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::Deadline | ErrorKind::Unavailable), "{error:?}");
                waited += usize::from(
                    error.kind() == ErrorKind::Deadline && before.elapsed() > Duration::from_millis(400),
                );
            }
        }
        assert!(begin.elapsed() < PATIENCE, "its replica does not take over");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(asked > 2 * waited, "{waited} of {asked} waited");
    nodes.0[silent].signal("CONT");
    eventually("storing", async || cache.set(&held, "new").await).await;
    nodes.until("it follows", || nodes.0[silent].cli(&["ROLE"]).starts_with("slave"));
    assert_eq!(eventually("reading", async || cache.get(&held).await).await, Some("new".to_owned()));
}
