//! Orders in which the steps of a page that is made and of a change can come, one step of the store, of the handler or of the body at a time.
//!
//! The origin is a number, and pages show it. A change raises the number and says so: by a tag, a purge, a clear, a write to the page's own URL.
//! Once it has returned, nobody who asks is given the old number: not from the store, not by joining the flight of somebody who asked before, not
//! as stale.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::routing::get;
use bytes::Bytes;
use http::{Method, Request};
use http_body::Frame;
use larder_core::{Cache, ManualClock};
use larder_page::{CachePage, cache_page};
use larder_testkit::Plain;
use larder_testkit::schedules::{Stepped, gate, has_stopped};
use larder_tower::{PageTags, Purge, PurgePages as _};
use tokio::runtime::Handle;
use tower::ServiceExt as _;

type Way = Pin<Box<dyn Future<Output = ()>>>;

/// How many turns tasks have in which none of them stops, until it is taken that all of them wait for somebody else.
const IDLE: usize = 8;

/// Takes all ways in one order, and what they leave to tasks as one more. `choices` says at each step who goes on of those that can: 0 is the
/// one who did before, and that is also who does where it says nothing. After `switches` changes to another who could have gone on, there are
/// no more of them. Gives the choices that were made, with how many there were to choose from.
async fn walk(ways: Vec<Way>, choices: &[usize], switches: usize) -> Vec<(usize, usize)> {
    let mut context = Context::from_waker(Waker::noop());
    let (mut made, mut switched, mut last, mut idle) = (Vec::new(), 0, 0, 0);
    let tasks = ways.len();
    let mut ways: Vec<Option<Way>> = ways.into_iter().map(Some).collect();
    let mut waits = vec![false; tasks + 1];
    loop {
        let behind = Handle::current().metrics().num_alive_tasks() > 0;
        let there = |way: usize| if way == tasks { behind } else { ways[way].is_some() };
        if !(0..=tasks).any(there) {
            return made;
        }
        let mut able: Vec<usize> = (0..=tasks).filter(|way| there(*way) && !waits[*way]).collect();
        assert!(!able.is_empty() && made.len() < 300, "somebody waits for ever: {made:?}");
        if let Some(at) = able.iter().position(|way| *way == last) {
            able.swap(0, at);
            able.truncate(if switched == switches { 1 } else { able.len() });
        }
        let chosen = choices.get(made.len()).copied().unwrap_or(0);
        made.push((chosen, able.len()));
        let way = able[chosen];
        switched += usize::from(chosen > 0 && able[0] == last);
        last = way;
        has_stopped();
        let moved = match &mut ways[..] {
            // A task that can has its turn, and says nothing if it has ended or woken another.
            _ if way == tasks => {
                tokio::task::yield_now().await;
                idle = if has_stopped() { 0 } else { idle + 1 };
                idle < IDLE
            }
            ways => {
                let ended = ways[way].as_mut().is_none_or(|way| way.as_mut().poll(&mut context).is_ready());
                if ended {
                    ways[way] = None;
                }
                has_stopped() || ended
            }
        };
        waits[way] = !moved;
        if moved {
            waits.fill(false);
        }
        if way != tasks {
            // It may have begun or woken a task.
            (idle, waits[tasks]) = (0, false);
        }
    }
}

/// On a runtime that looks after the test again whenever a task had one turn.
fn stepwise(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().event_interval(1).build().unwrap().block_on(test);
}

/// The next choices in lexical order.
fn next(made: &[(usize, usize)]) -> Option<Vec<usize>> {
    let at = made.iter().rposition(|(chosen, of)| chosen + 1 < *of)?;
    let mut choices: Vec<usize> = made[..at].iter().map(|(chosen, _)| *chosen).collect();
    choices.push(made[at].0 + 1);
    Some(choices)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// A tag of the layer, which is known before the page is made.
    Early,
    /// A tag of the handler.
    Late,
    Soft,
    PurgeUrl,
    PurgeAll,
    SoftPurge,
    Clear,
    /// A write to the page's own URL that succeeds.
    Post,
}

use Change::*;

/// A body of which the one part comes when others had their turn.
struct Slow(Option<Bytes>, Pin<Box<dyn Future<Output = ()> + Send>>);

impl http_body::Body for Slow {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.0.is_some() && self.1.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(self.0.take().map(|part| Ok(Frame::data(part))))
    }
}

struct World {
    app: Router,
    /// The same pages without steps, in another process; what is not there it does not make.
    other: Router,
    cache: Cache,
    origin: Arc<AtomicU64>,
    /// The number less than which nobody may be given who asks now.
    least: Arc<AtomicU64>,
}

const NUMBER: &str = "x-number";

impl World {
    fn new(layer: impl Fn(CachePage) -> CachePage) -> Self {
        Self::over(&Plain::default(), &ManualClock::new(1_763_683_200_000), 1, layer)
    }

    fn over(store: &Plain, hand: &ManualClock, number: u64, layer: impl Fn(CachePage) -> CachePage) -> Self {
        let (origin, least): (_, Arc<AtomicU64>) = (Arc::new(AtomicU64::new(number)), Arc::default());
        let patient = Duration::from_secs(3_600);
        let cache = Cache::builder(Stepped::new(store.clone())).clock(hand.clock()).deadline(patient);
        let cache = cache.build().unwrap();
        let plain = Cache::builder(store.clone()).clock(hand.clock()).deadline(patient).build().unwrap();
        let layer = |cache| layer(cache_page(600).cache(cache).tags(["early"]).lease(false));
        let (reads, writes) = (Arc::clone(&origin), Arc::clone(&origin));
        let page = move || async move {
            let number = reads.load(SeqCst).to_string();
            gate().await;
            let slow = Slow(Some(number.clone().into()), Box::pin(gate()));
            let fields = [(NUMBER, number.clone()), ("content-length", number.len().to_string())];
            (fields, PageTags::new(["late"]), Body::new(slow))
        };
        let write = move || async move {
            gate().await;
            writes.fetch_add(1, SeqCst);
        };
        let app = Router::new().route("/", get(page).post(write)).layer(layer(&cache));
        let nothing = get(|| async { http::StatusCode::NOT_FOUND });
        let other = Router::new().route("/", nothing).layer(layer(&plain));
        Self { app, other, cache, origin, least }
    }

    /// Somebody who asks, and is given nothing older than what was known when they did.
    fn ask(&self, method: Method) -> impl Future<Output = ()> + use<> {
        let (app, least) = (self.app.clone(), Arc::clone(&self.least));
        async move {
            let least = least.load(SeqCst);
            let given = given(&app, method).await.expect("an answer with a number");
            assert!(given >= least, "{given} after {least}");
        }
    }

    fn change(&self, change: Change) -> impl Future<Output = ()> + use<> {
        let (app, cache) = (self.app.clone(), self.cache.clone());
        let (origin, least) = (Arc::clone(&self.origin), Arc::clone(&self.least));
        async move {
            if change != Post {
                origin.fetch_add(1, SeqCst);
            }
            let done = match change {
                Early => cache.invalidate(["early"]).await,
                Late => cache.invalidate(["late"]).await,
                Soft => cache.soft_invalidate(["late"]).await,
                PurgeUrl => cache.purge(Purge::url("/")).await,
                PurgeAll => cache.purge(Purge::all()).await,
                SoftPurge => cache.purge(Purge::prefix("/").soft()).await,
                Clear => cache.clear().await,
                Post => {
                    let request = Request::post("/").header("host", "a").body(Body::empty()).unwrap();
                    assert_eq!(app.oneshot(request).await.unwrap().status(), 200);
                    Ok(())
                }
            };
            done.expect("a store that works");
            least.fetch_max(origin.load(SeqCst), SeqCst);
        }
    }
}

/// The number that somebody is given.
async fn given(app: &Router, method: Method) -> Option<u64> {
    let request = Request::builder().method(method).uri("/").header("host", "a").body(Body::empty()).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let number = response.headers().get(NUMBER).map(|number| number.to_str().unwrap().parse().unwrap());
    to_bytes(response.into_body(), 100).await.unwrap();
    number
}

/// Says in which order it was, if somebody is given what they must not be.
struct Failing(String);

impl Drop for Failing {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.0);
        }
    }
}

/// Takes the ways of a world in all orders with so many switches. How many there were, and after how many of them a page was there.
async fn in_every_order<F: Future<Output = World>>(
    what: impl std::fmt::Debug,
    switches: usize,
    world: impl Fn() -> F,
    ways: impl Fn(&World) -> Vec<Way>,
) -> (u64, u64) {
    let (mut choices, mut orders, mut kept) = (Vec::new(), 0, 0);
    loop {
        let world = world().await;
        let failing = Failing(format!("{what:?}: {choices:?}"));
        let made = walk(ways(&world), &choices, switches).await;
        drop(failing);
        orders += 1;
        let left = given(&world.other, Method::GET).await;
        let least = world.least.load(SeqCst);
        assert!(left.is_none_or(|left| left >= least), "{what:?}: {left:?} after {least}: {choices:?}");
        kept += u64::from(left.is_some());
        match next(&made) {
            Some(next) => choices = next,
            None => {
                println!("{what:?}: {orders} orders, {kept} of which leave a page");
                return (orders, kept);
            }
        }
    }
}

#[test]
fn no_order_of_a_page_that_is_made_and_a_change_brings_back_the_old_number() {
    stepwise(async {
        for change in [Early, Late, Soft, PurgeUrl, PurgeAll, SoftPurge, Clear, Post] {
            let world = || async { World::new(|layer| layer) };
            let ways = |world: &World| -> Vec<Way> {
                vec![Box::pin(world.ask(Method::GET)), Box::pin(world.change(change))]
            };
            let (orders, kept) = in_every_order(change, 3, world, ways).await;
            assert!(orders > 50, "{change:?}: {orders}");
            assert!(kept > 0 && kept < orders, "{change:?}: of {orders} orders {kept} leave a page");
        }
    });
}

#[test]
fn who_asks_after_a_change_never_joins_what_was_begun_before() {
    stepwise(async {
        for (change, method) in [
            (Early, Method::GET),
            (Late, Method::GET),
            (PurgeUrl, Method::HEAD),
            (Clear, Method::GET),
            (Post, Method::GET),
        ] {
            let world = || async { World::new(|layer| layer) };
            let ways = |world: &World| -> Vec<Way> {
                let (change, app, least) =
                    (world.change(change), world.app.clone(), Arc::clone(&world.least));
                let method = method.clone();
                vec![
                    Box::pin(world.ask(Method::GET)),
                    Box::pin(async move {
                        change.await;
                        let least = least.load(SeqCst);
                        let given = given(&app, method).await.expect("an answer with a number");
                        assert!(given >= least, "{given} after {least}");
                    }),
                ]
            };
            let (orders, _) = in_every_order((change, &method), 2, world, ways).await;
            assert!(orders > 50, "{change:?}: {orders}");
        }
    });
}

#[test]
fn a_page_kept_beyond_its_time_is_not_shown_after_a_change() {
    stepwise(async {
        for change in [Early, Late, PurgeUrl, Clear, Post] {
            let world = || async {
                let (store, hand) = (Plain::default(), ManualClock::new(1_763_683_200_000));
                let layer = |layer: CachePage| layer.stale_while_revalidate(6_000).stale_if_error(6_000);
                let before = World::over(&store, &hand, 1, layer);
                walk(vec![Box::pin(before.ask(Method::GET))], &[], 0).await;
                hand.advance(Duration::from_secs(700));
                World::over(&store, &hand, 1, layer)
            };
            let ways = |world: &World| -> Vec<Way> {
                vec![Box::pin(world.ask(Method::GET)), Box::pin(world.change(change))]
            };
            let (orders, _) = in_every_order(("stale", change), 2, world, ways).await;
            assert!(orders > 30, "{change:?}: {orders}");
        }
    });
}
