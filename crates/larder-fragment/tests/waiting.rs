//! Renders that wait for their caches and for each other, on runtimes of one thread and of several.
#![expect(clippy::unwrap_used, reason = "a test that goes wrong is to panic")]

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use larder_core::{Cache, Caches, ErrorKind};
use larder_fragment::{Fragment, Fragments, Markup, RenderError, fragment_key};
use larder_memory::Memory;
use larder_testkit::{Fault, Faults, Faulty};

const NOTHING: [&str; 0] = [];

/// Counts how often a body runs.
#[derive(Clone, Default)]
struct Bodies(Arc<AtomicUsize>);

impl Bodies {
    fn show(&self, fragments: &Fragments, name: &str) -> String {
        self.slow(fragments, name, Duration::ZERO)
    }

    fn slow(&self, fragments: &Fragments, name: &str, takes: Duration) -> String {
        let made = fragments.get_or_render(&Fragment::new(name).timeout(60), || {
            self.0.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(takes);
            Ok::<_, Infallible>(Markup::safe(name))
        });
        made.unwrap().text
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// A store outside the process, which always has to be waited for.
fn far() -> (Cache, Faults) {
    let backend = Faulty::over(Memory::new()).remote();
    let faults = backend.faults();
    faults.add(Fault::delay(Duration::from_millis(1)));
    (Cache::builder(backend).deadline(Duration::from_secs(5)).build().unwrap(), faults)
}

async fn many(fragments: &Fragments, bodies: &Bodies, renders: usize) {
    let start = |_| {
        let (fragments, bodies) = (fragments.clone(), bodies.clone());
        tokio::spawn(async move {
            let inner = fragments.clone();
            fragments.render(move || bodies.slow(&inner, "f", Duration::from_millis(50))).await
        })
    };
    let running: Vec<_> = (0..renders).map(start).collect();
    for one in running {
        assert_eq!(one.await.unwrap(), "f");
    }
}

async fn stored(cache: &Cache, name: &str) -> bool {
    cache.has_key(&fragment_key(name, NOTHING)).await.unwrap()
}

#[tokio::test]
async fn a_hundred_renders_on_one_thread_run_one_body() {
    let (bodies, near) = (Bodies::default(), Cache::new(Memory::new()));
    many(&Fragments::new(near), &bodies, 100).await;
    let (far, _) = far();
    many(&Fragments::new(far), &bodies, 100).await;
    assert_eq!(bodies.count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_renders_on_several_threads_run_one_body() {
    let (bodies, near) = (Bodies::default(), Cache::new(Memory::new()));
    many(&Fragments::new(near), &bodies, 100).await;
    let (far, _) = far();
    many(&Fragments::new(far), &bodies, 100).await;
    assert_eq!(bodies.count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renders_where_the_handler_runs_share_a_body_too() {
    let bodies = Bodies::default();
    let (cache, _) = far();
    let fragments = Fragments::new(cache);
    let start = |_| {
        let (fragments, bodies) = (fragments.clone(), bodies.clone());
        tokio::spawn(async move { bodies.slow(&fragments, "f", Duration::from_millis(50)) })
    };
    let running: Vec<_> = (0..100).map(start).collect();
    for one in running {
        assert_eq!(one.await.unwrap(), "f");
    }
    assert_eq!(bodies.count(), 1);
}

#[test]
fn a_runtime_with_two_threads_for_blocking_work_gets_through() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let bodies = Bodies::default();
    let (cache, _) = far();
    runtime.block_on(many(&Fragments::new(cache), &bodies, 50));
    assert_eq!(bodies.count(), 1);
}

#[tokio::test]
async fn on_one_thread_the_store_in_the_process_is_used_where_the_handler_runs_and_others_are_not() {
    let bodies = Bodies::default();
    let near = Cache::new(Memory::new());
    for _ in 0..2 {
        assert_eq!(bodies.show(&Fragments::new(&near), "near"), "near");
    }
    assert_eq!(bodies.count(), 1);
    let (far, faults) = far();
    for _ in 0..2 {
        assert_eq!(bodies.show(&Fragments::new(&far), "far"), "far");
    }
    assert_eq!((bodies.count(), faults.all_calls()), (3, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_several_threads_a_store_outside_is_used_where_the_handler_runs() {
    let bodies = Bodies::default();
    let (far, _) = far();
    for _ in 0..2 {
        let (fragments, bodies) = (Fragments::new(&far), bodies.clone());
        tokio::spawn(async move { bodies.show(&fragments, "far") }).await.unwrap();
    }
    assert_eq!(bodies.count(), 1);
    assert!(stored(&far, "far").await);
}

#[tokio::test]
async fn a_store_that_fails_or_is_silent_costs_no_fragment() {
    for fault in [Fault::error(ErrorKind::Unavailable), Fault::hang()] {
        let backend = Faulty::over(Memory::new()).remote();
        backend.faults().add(fault);
        let cache = Cache::builder(backend).deadline(Duration::from_millis(20)).build().unwrap();
        let (fragments, bodies) = (Fragments::new(cache), Bodies::default());
        let inner = (fragments.clone(), bodies.clone());
        let names = || ["a", "b", "c", "a"];
        let page = fragments.render(move || names().map(|name| inner.1.show(&inner.0, name)).concat()).await;
        assert_eq!((page.as_str(), bodies.count()), ("abca", 4));
    }
}

#[tokio::test]
async fn all_fragments_of_a_render_together_wait_once_for_a_store_that_is_silent() {
    let backend = Faulty::over(Memory::new()).remote();
    let faults = backend.faults();
    faults.add(Fault::hang());
    let cache = Cache::builder(backend).no_breaker().deadline(Duration::from_millis(20)).build().unwrap();
    let (fragments, bodies) = (Fragments::new(cache), Bodies::default());
    let inner = (fragments.clone(), bodies.clone());
    fragments.render(move || (0..20).for_each(|n| _ = inner.1.show(&inner.0, &n.to_string()))).await;
    assert_eq!((bodies.count(), faults.all_calls()), (20, 1));
}

#[tokio::test]
async fn who_waits_for_a_body_that_fails_renders_for_themselves() {
    let fragments = Fragments::new(Cache::new(Memory::new()));
    let runs = Arc::new(AtomicUsize::new(0));
    let start = |_| {
        let (inner, runs) = (fragments.clone(), Arc::clone(&runs));
        let fragments = fragments.clone();
        tokio::spawn(async move {
            let render = move || {
                inner.get_or_render(&Fragment::new("f").timeout(60), || {
                    std::thread::sleep(Duration::from_millis(20));
                    match runs.fetch_add(1, Ordering::SeqCst) {
                        0 => Err("the first fails"),
                        _ => Ok(Markup::safe("f")),
                    }
                })
            };
            fragments.render(render).await
        })
    };
    let running: Vec<_> = (0..10).map(start).collect();
    let mut failed = 0;
    for one in running {
        match one.await.unwrap() {
            Ok(markup) => assert_eq!(markup.text, "f"),
            Err(RenderError::Body(error)) => {
                assert_eq!(error, "the first fails");
                failed += 1;
            }
            Err(RenderError::Cache(error)) => panic!("{error}"),
        }
    }
    assert_eq!(failed, 1);
}

#[tokio::test]
async fn a_body_that_panics_takes_nobody_with_it() {
    let cache = Cache::new(Memory::new());
    let (fragments, bodies) = (Fragments::new(&cache), Bodies::default());
    let inner = fragments.clone();
    let bad = tokio::spawn(async move {
        let again = inner.clone();
        let body = move || {
            again
                .get_or_render::<()>(&Fragment::new("f").timeout(60), || panic!("asked for by a test"))
                .is_ok()
        };
        inner.render(body).await
    });
    assert!(bad.await.unwrap_err().is_panic());
    assert_eq!(bodies.show(&fragments, "f"), "f");
    assert!(stored(&cache, "f").await);
}

#[tokio::test]
async fn who_does_not_wait_for_ever_renders_for_themselves() {
    let cache = Cache::new(Memory::new());
    let fragments = Fragments::new(&cache).max_wait(Duration::from_millis(10));
    let bodies = Bodies::default();
    let (inner, waits) = (fragments.clone(), (fragments.clone(), bodies.clone()));
    let (enter, entered) = std::sync::mpsc::channel();
    let (leave, left) = std::sync::mpsc::channel::<()>();
    let slow = tokio::task::spawn_blocking(move || {
        inner.get_or_render(&Fragment::new("f").timeout(60), || {
            enter.send(()).unwrap();
            left.recv().unwrap();
            Ok::<_, Infallible>(Markup::safe("slow"))
        })
    });
    tokio::task::spawn_blocking(move || entered.recv()).await.unwrap().unwrap();
    assert_eq!(fragments.render(move || waits.1.show(&waits.0, "f")).await, "f");
    leave.send(()).unwrap();
    assert_eq!(slow.await.unwrap().unwrap().text, "slow");
    assert_eq!(bodies.count(), 1);
    assert_eq!(bodies.show(&fragments, "f"), "slow", "what was rendered alone is not stored");
}

#[tokio::test]
async fn the_installed_caches_serve_who_was_given_none() {
    let bodies = Bodies::default();
    let fragments = Fragments::installed();
    assert_eq!(bodies.show(&fragments, "f"), "f");
    let alias =
        fragments.get_or_render(&Fragment::new("f").using("x"), || Ok::<_, Infallible>(Markup::safe("")));
    assert!(matches!(alias, Err(RenderError::Cache(error)) if error.kind() == ErrorKind::NotFound));
    Caches::new(Cache::new(Memory::new())).install();
    for _ in 0..2 {
        bodies.show(&fragments, "f");
    }
    Caches::uninstall();
    assert_eq!(bodies.count(), 2);
}

#[tokio::test]
async fn two_fragments_inside_of_each_other_wait_for_each_other_only_so_long() {
    let cache = Cache::new(Memory::new());
    let fragments = Fragments::new(&cache).max_wait(Duration::from_millis(20));
    let renders = fragments.clone();
    let both_are_inside = Arc::new(std::sync::Barrier::new(2));
    let start = |outer: &'static str, inner: &'static str| {
        let (nested, fragments) = (fragments.clone(), fragments.clone());
        let both_are_inside = Arc::clone(&both_are_inside);
        let body = move || {
            both_are_inside.wait();
            Ok::<_, Infallible>(Markup::safe(Bodies::default().show(&nested, inner)))
        };
        let render = move || {
            let made = fragments.get_or_render(&Fragment::new(outer).timeout(60), body);
            made.unwrap().text
        };
        let renders = renders.clone();
        tokio::spawn(async move { renders.render(render).await })
    };
    let (ab, ba) = (start("a", "b"), start("b", "a"));
    // Who is the first may be found by the other.
    assert!(["a", "b"].contains(&ab.await.unwrap().as_str()));
    assert!(["a", "b"].contains(&ba.await.unwrap().as_str()));
}
