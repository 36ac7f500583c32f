//! Functions whose values are kept.
#![expect(clippy::unwrap_used, reason = "a test that goes wrong is to panic")]

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use larder::{Cache, ManualClock, Timeout, cached};
use serde::{Deserialize, Serialize};

/// Counts runs.
#[derive(Clone, Default)]
struct Runs(Arc<AtomicUsize>);

impl Runs {
    fn add(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct User {
    id: u64,
    run: usize,
}

fn cache() -> (Cache, ManualClock) {
    let clock = ManualClock::new(1_000_000);
    (Cache::builder(larder::memory::Memory::new()).clock(clock.clock()).build().unwrap(), clock)
}

/// Its own docs stay.
#[cached(cache = cache, timeout = 60, key = "user:{id}", tags = ["user:{id}", "users"])]
async fn fetch_user(cache: &Cache, runs: &Runs, id: u64) -> Result<User, io::Error> {
    tokio::task::yield_now().await;
    let run = runs.add();
    if id == 0 {
        return Err(io::Error::other("nobody"));
    }
    let id: u64 = id.to_string().parse().map_err(io::Error::other)?;
    Ok(User { id, run })
}

#[tokio::test]
async fn a_value_is_kept_for_its_arguments_until_it_is_out_of_time_deleted_or_invalidated() {
    let ((cache, clock), runs) = (cache(), Runs::default());
    let fetch = |id| fetch_user(&cache, &runs, id);
    assert_eq!(fetch(7).await.unwrap(), User { id: 7, run: 1 });
    assert_eq!(fetch(7).await.unwrap(), User { id: 7, run: 1 });
    assert_eq!(fetch(8).await.unwrap(), User { id: 8, run: 2 });
    clock.advance(Duration::from_secs(61));
    assert_eq!(fetch(7).await.unwrap().run, 3);
    cache.invalidate(["user:8"]).await.unwrap();
    assert_eq!(fetch(7).await.unwrap().run, 3);
    cache.invalidate(["users"]).await.unwrap();
    assert_eq!(fetch(7).await.unwrap().run, 4);

    let place = fetch_user_cached(&cache, &runs, 7);
    assert_eq!(place.key(), Some("user:7"));
    assert_eq!(cache.get::<User>("user:7").await.unwrap(), Some(User { id: 7, run: 4 }), "as itself");
    assert!(place.is_stored().await.unwrap() && place.delete().await.unwrap());
    assert!(!place.is_stored().await.unwrap() && !place.delete().await.unwrap());
    assert_eq!(fetch(7).await.unwrap().run, 5);
    assert_eq!(fetch_user_refreshed(&cache, &runs, 7).await.unwrap().run, 6);
    assert_eq!(fetch(7).await.unwrap().run, 6);
}

#[tokio::test]
async fn errors_are_never_kept() {
    let ((cache, _), runs) = (cache(), Runs::default());
    for run in 1..=2 {
        assert_eq!(fetch_user(&cache, &runs, 0).await.unwrap_err().to_string(), "nobody");
        assert_eq!(runs.count(), run);
    }
}

#[tokio::test]
async fn a_hundred_who_miss_at_once_share_a_run() {
    let ((cache, _), runs) = (cache(), Runs::default());
    let ask = |_| {
        let (cache, runs) = (cache.clone(), runs.clone());
        tokio::spawn(async move { fetch_user(&cache, &runs, 7).await.unwrap() })
    };
    let all: Vec<_> = (0..100).map(ask).collect();
    for one in all {
        assert_eq!(one.await.unwrap().run, 1);
    }
}

#[cached(cache = &cache, skip(cache, runs), timeout = None)]
async fn joined(cache: Cache, runs: Runs, a: &str, b: Option<&[u8]>, mut c: String) -> (usize, String) {
    c.push_str(a);
    (runs.add(), format!("{c}{b:?}"))
}

#[tokio::test]
async fn the_default_key_tells_all_arguments_apart_and_shows_none() {
    let ((cache, clock), runs) = (cache(), Runs::default());
    let mut seen = Vec::new();
    for (a, b, c) in [("ab", None, ""), ("a", None, "b"), ("a", Some(&b"b"[..]), ""), ("", None, "ab")] {
        for _ in 0..2 {
            seen.push(joined(cache.clone(), runs.clone(), a, b, c.to_owned()).await.0);
        }
    }
    assert_eq!(seen, [1, 1, 2, 2, 3, 3, 4, 4]);
    let place = joined_cached(cache.clone(), runs.clone(), "hunter2", None, String::new());
    let key = place.key().unwrap();
    assert!(key.starts_with("cached::joined:") && !key.contains("hunter2"), "{key}");
    clock.advance(Duration::from_secs(1_000_000));
    let again = joined(cache.clone(), runs.clone(), "ab", None, String::new()).await;
    assert_eq!(again, (1, "abNone".to_owned()), "for ever");
}

struct Repository {
    cache: Cache,
    tenant: &'static str,
    runs: Runs,
}

impl Repository {
    /// A method.
    #[cached(cache = self.cache, key = format!("{}:{id}", self.tenant), version = 3, timeout = self.timeout())]
    pub async fn find(&self, id: u64) -> Option<User> {
        let run = self.runs.add();
        (id > 0).then_some(User { id, run })
    }

    #[cached(cache = self.cache, skip(self), some_only)]
    async fn some(&self, id: u64) -> Option<User> {
        let run = self.runs.add();
        (id > 0).then_some(User { id, run })
    }

    #[cached(associated, cache = cache, skip(cache, runs))]
    async fn all(cache: &Cache, runs: &Runs) -> usize {
        runs.add()
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(60)
    }
}

struct Other;

impl Other {
    #[cached(associated, cache = cache, skip(cache, runs))]
    async fn all(cache: &Cache, runs: &Runs) -> usize {
        runs.add()
    }
}

#[tokio::test]
async fn methods_use_what_their_value_has_and_types_keep_apart() {
    let ((cache, _), runs) = (cache(), Runs::default());
    let of = |tenant| Repository { cache: cache.clone(), tenant, runs: runs.clone() };
    let (a, b) = (of("a"), of("b"));
    assert_eq!((a.find(7).await.unwrap().run, a.find(7).await.unwrap().run), (1, 1));
    assert_eq!(b.find(7).await.unwrap().run, 2, "another tenant's");
    assert!(cache.has_key("a:7").version(3).await.unwrap() && a.find_cached(7).is_stored().await.unwrap());
    assert_eq!(a.find_refreshed(7).await.unwrap().run, 3);
    assert_eq!(a.find(0).await, None);
    assert_eq!((a.find(0).await, runs.count()), (None, 4), "that there is nothing is kept");
    assert_eq!((a.some(0).await, a.some(0).await, runs.count()), (None, None, 6), "and here it is not");
    assert_eq!(
        (a.some(1).await.unwrap().run, b.some(1).await.unwrap().run),
        (7, 7),
        "self makes no difference"
    );
    assert_eq!((Repository::all(&cache, &runs).await, Other::all(&cache, &runs).await), (8, 9));
    assert_eq!((Repository::all(&cache, &runs).await, Other::all_refreshed(&cache, &runs).await), (8, 10));
}

#[cached(cache = cache, skip(cache, runs))]
async fn parsed<T, const N: usize>(cache: &Cache, runs: &Runs, text: &'static str) -> Vec<T>
where
    T: std::str::FromStr + Serialize + for<'de> Deserialize<'de> + Send + 'static,
{
    runs.add();
    (0..N).filter_map(|_| text.parse().ok()).collect()
}

#[tokio::test]
async fn types_and_constants_tell_calls_apart() {
    let ((cache, _), runs) = (cache(), Runs::default());
    assert_eq!(parsed::<u8, 1>(&cache, &runs, "7").await, [7]);
    assert_eq!(parsed::<u8, 2>(&cache, &runs, "7").await, [7, 7]);
    assert_eq!(parsed::<String, 1>(&cache, &runs, "7").await, ["7"]);
    assert_eq!(parsed::<String, 1>(&cache, &runs, "7").await, ["7"]);
    assert_eq!(parsed_refreshed::<u8, 1>(&cache, &runs, "7").await, [7]);
    assert_eq!(runs.count(), 4);
}

async fn first(cache: &Cache, runs: &Runs) -> usize {
    #[cached(cache = cache, skip(cache, runs))]
    async fn load(cache: &Cache, runs: &Runs) -> usize {
        runs.add()
    }
    load(cache, runs).await
}

async fn second(cache: &Cache, runs: &Runs) -> usize {
    #[cached(cache = cache, skip(cache, runs))]
    async fn load(cache: &Cache, runs: &Runs) -> usize {
        runs.add()
    }
    load_refreshed(cache, runs).await;
    load(cache, runs).await
}

mod elsewhere {
    use super::{Cache, Runs, cached};

    #[cached(cache = cache, skip(cache, runs))]
    pub(super) async fn r#type(cache: &Cache, runs: &Runs) -> usize {
        runs.add()
    }
}

/// Not here, and neither are its helpers.
#[cached]
#[cfg(any())]
async fn absent() -> Nowhere {}

#[cached(cache = cache, skip(cache, runs))]
async fn r#type(cache: &Cache, runs: &Runs) -> usize {
    runs.add()
}

#[tokio::test]
async fn functions_of_one_name_are_told_apart_by_where_they_stand() {
    let ((cache, _), runs) = (cache(), Runs::default());
    assert_eq!((first(&cache, &runs).await, first(&cache, &runs).await), (1, 1));
    assert_eq!((second(&cache, &runs).await, first(&cache, &runs).await), (2, 1));
    assert_eq!((r#type(&cache, &runs).await, elsewhere::r#type(&cache, &runs).await), (3, 4));
    assert_eq!((r#type(&cache, &runs).await, elsewhere::r#type(&cache, &runs).await), (3, 4));
    assert_eq!(type_cached(&cache, &runs).key(), Some("cached::type"));
}

trait Source {
    fn name(&self) -> impl Future<Output = String> + Send;
}

impl Source for Repository {
    #[cached(helpers = false, key = "name", cache = self.cache)]
    async fn name(&self) -> String {
        format!("{}", self.runs.add())
    }
}

#[tokio::test]
async fn a_method_of_a_trait_does_without_helpers() {
    let ((cache, _), runs) = (cache(), Runs::default());
    let repository = Repository { cache, tenant: "a", runs };
    assert_eq!((repository.name().await, repository.name().await), ("1".to_owned(), "1".to_owned()));
}

type QueryResult<T> = Result<T, String>;

#[cached(cache = cache, skip(cache, runs), timeout = Timeout::ZERO)]
async fn unkept(cache: &Cache, runs: &Runs) -> QueryResult<usize> {
    Ok(runs.add())
}

/// Can't be JSON.
#[cached(cache = cache, key = "map")]
async fn unkeepable(cache: &Cache, runs: &Runs) -> HashMap<(u8, u8), usize> {
    HashMap::from([((1, 2), runs.add())])
}

#[tokio::test]
async fn what_cannot_be_kept_is_the_callers_all_the_same() {
    let ((cache, _), runs) = (cache(), Runs::default());
    assert_eq!((unkept(&cache, &runs).await, unkept(&cache, &runs).await), (Ok(1), Ok(2)));
    assert_eq!(unkeepable(&cache, &runs).await, HashMap::from([((1, 2), 3)]));
    assert_eq!(unkeepable(&cache, &runs).await, HashMap::from([((1, 2), 4)]));
}

#[cached(using = "elsewhere", skip(runs))]
async fn elsewhere(runs: &Runs) -> usize {
    runs.add()
}

#[cached(skip(runs))]
async fn anywhere(runs: &Runs) -> usize {
    runs.add()
}

#[tokio::test]
async fn without_a_cache_the_installed_ones_serve_and_before_that_one_in_the_process() {
    let runs = Runs::default();
    assert_eq!((elsewhere(&runs).await, elsewhere(&runs).await), (1, 2), "there is no such cache");
    assert_eq!((anywhere(&runs).await, anywhere(&runs).await), (3, 3));
    let (main, other) = (cache().0, cache().0);
    larder::Caches::new(main.clone()).with("elsewhere", other.clone()).install();
    assert_eq!((elsewhere(&runs).await, elsewhere(&runs).await), (4, 4));
    assert_eq!((anywhere(&runs).await, anywhere(&runs).await), (5, 5));
    assert!(elsewhere_cached(&runs).cache().unwrap().is_same(&other));
    larder::Caches::uninstall();
    assert_eq!(anywhere(&runs).await, 3);
}

#[tokio::test]
async fn a_value_of_another_type_under_the_key_is_made_anew() {
    let ((cache, _), runs) = (cache(), Runs::default());
    cache.set("user:7", "no user").await.unwrap();
    assert_eq!(fetch_user(&cache, &runs, 7).await.unwrap().run, 1);
}

#[tokio::test]
async fn nothing_of_the_key_is_shown() {
    let ((cache, _), runs) = (cache(), Runs::default());
    assert!(!format!("{:?}", fetch_user_cached(&cache, &runs, 4711)).contains("4711"));
}
