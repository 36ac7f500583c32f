//! The event bus: which tags a change of data makes out of date.

use std::error::Error as _;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::Waker;

use larder_core::{
    Backend, Cache, Caches, Capabilities, Change, Changes, Entry, Error, ErrorKind, Key, Space, Tag,
    UnixMillis, When,
};
use larder_memory::Memory;

struct Course {
    id: u64,
}
struct Review;

/// Notes what it is asked to invalidate.
#[derive(Clone, Debug, Default)]
struct Noting(Arc<Mutex<Vec<Vec<String>>>>, bool);

impl Backend for Noting {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("noting")
    }
    async fn get(&self, _: &Key, _: UnixMillis) -> Result<Option<Entry>, Error> {
        Ok(None)
    }
    async fn set(&self, _: &Key, _: Entry, _: When, _: UnixMillis) -> Result<bool, Error> {
        Ok(true)
    }
    async fn remove(&self, _: &Key, _: UnixMillis) -> Result<bool, Error> {
        Ok(false)
    }
    async fn clear(&self, _: &Space, _: UnixMillis) -> Result<(), Error> {
        Ok(())
    }
    async fn touch(&self, _: &Key, _: Option<UnixMillis>, _: UnixMillis) -> Result<bool, Error> {
        Ok(false)
    }
    async fn invalidate(&self, _: &Space, tags: &[Tag], _: UnixMillis) -> Result<(), Error> {
        tokio::task::yield_now().await;
        self.0.lock().unwrap().push(tags.iter().map(|tag| tag.as_str().to_owned()).collect());
        if self.1 { Err(Error::new(ErrorKind::Unavailable, "it is down")) } else { Ok(()) }
    }
}

fn noting() -> (Noting, Cache) {
    let noting = Noting::default();
    (noting.clone(), Cache::new(noting))
}

fn course_tags(course: &Course) -> [String; 2] {
    [format!("course:{}", course.id), "course_list".to_owned()]
}

#[tokio::test]
async fn what_was_cached_before_the_change_is_gone_after_it() {
    let cache = Cache::new(Memory::new());
    let changes = Changes::new(&cache).on(course_tags);
    for (key, tag) in [("one", "course:7"), ("two", "course:8"), ("all", "course_list")] {
        cache.set(key, 1).tags([tag]).await.unwrap();
    }
    changes.changed(&Course { id: 7 }).await.unwrap();
    assert_eq!(cache.get::<u8>("one").await.unwrap(), None);
    assert_eq!(cache.get::<u8>("all").await.unwrap(), None);
    assert_eq!(cache.get::<u8>("two").await.unwrap(), Some(1));
}

#[tokio::test]
async fn all_receivers_of_all_that_changed_make_one_invalidation_of_each_tag_once() {
    let (noting, cache) = noting();
    let changes = Changes::new(&cache)
        .on(course_tags)
        .on(|course: &Course| vec![format!("school-of:{}", course.id % 2), String::new()])
        .on(|_: &Review| ["reviews"]);
    changes.changed_all(&[Course { id: 1 }, Course { id: 3 }]).await.unwrap();
    changes.changed(&Review).await.unwrap();
    let first = ["course:1", "course:3", "course_list", "school-of:1"].map(str::to_owned);
    assert_eq!(*noting.0.lock().unwrap(), [first.to_vec(), vec!["reviews".to_owned()]]);
}

#[tokio::test]
async fn what_happened_decides_where_it_is_asked_for() {
    let (noting, cache) = noting();
    let changes = Changes::new(&cache).on_change(|course: &Course, change| {
        (change == Change::Deleted).then(|| format!("gone:{}", course.id))
    });
    changes.created(&Course { id: 1 }).await.unwrap();
    changes.changed(&Course { id: 2 }).await.unwrap();
    changes.deleted(&Course { id: 3 }).await.unwrap();
    assert_eq!(*noting.0.lock().unwrap(), [["gone:3"]], "no tags are no invalidation");
    assert_eq!(changes.tags_of(Change::Deleted, &Course { id: 4 }).unwrap(), [Tag::from("gone:4")]);
}

#[tokio::test]
async fn every_cache_hears_of_it_once_though_one_fails_or_has_two_aliases() {
    let ((one, first), (two, second)) = (noting(), noting());
    let broken = Noting(Arc::default(), true);
    let down = Cache::new(broken.clone());
    let caches = Caches::new(first.clone()).with("again", first).with("down", down).with("other", second);
    let error = Changes::new(caches).on(course_tags).changed(&Course { id: 7 }).await.unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Unavailable, "it is down"));
    assert_eq!([one, two, broken].map(|noting| noting.0.lock().unwrap().len()), [1, 1, 1]);
}

#[tokio::test]
async fn effects_come_after_the_invalidation_in_their_order() {
    let (noting, cache) = noting();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let effect = |name: &'static str| {
        let (seen, noting) = (Arc::clone(&seen), noting.clone());
        move |course: &Course, change: Change| {
            let (seen, noting, id) = (Arc::clone(&seen), noting.clone(), course.id);
            async move {
                tokio::task::yield_now().await;
                seen.lock()
                    .unwrap()
                    .push(format!("{name} {change} {id} after {}", noting.0.lock().unwrap().len()));
                Ok::<(), Error>(())
            }
        }
    };
    let changes = Changes::new(&cache).then(effect("first")).then(effect("second")).on(course_tags);
    changes.created(&Course { id: 7 }).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), ["first created 7 after 1", "second created 7 after 1"]);
}

#[tokio::test]
async fn a_receiver_that_panics_or_fails_is_named_and_keeps_nobody_from_being_heard() {
    let (noting, cache) = noting();
    let ran = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ran);
    let line = line!() + 2;
    let changes = Changes::new(&cache)
        .on(|_: &Course| -> [Tag; 1] { panic!("no tags today") })
        .then(|_: &Course, _| async { Err::<(), _>(std::io::Error::other("no index")) })
        .then(|_: &Course, _| async { panic!("no effect") as Result<(), Error> })
        .then(|_: &Course, _| -> std::future::Ready<Result<(), Error>> { panic!("not even begun") })
        .then(move |_: &Course, _| {
            count.fetch_add(1, SeqCst);
            async { Ok::<(), Error>(()) }
        })
        .on(course_tags);
    let error = changes.changed(&Course { id: 7 }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Receiver);
    let text = error.to_string();
    assert!(text.contains("Course") && text.contains(&format!("changes.rs:{line}:")), "{text}");
    assert_eq!(error.source().unwrap().to_string(), "no tags today");
    assert_eq!((noting.0.lock().unwrap().len(), ran.load(SeqCst)), (1, 1));
    assert_eq!(changes.tags_of(Change::Updated, &Course { id: 7 }).unwrap_err().kind(), ErrorKind::Receiver);
}

#[tokio::test]
async fn each_kind_of_failure_has_its_own_words() {
    let (_, cache) = noting();
    let failing =
        Changes::new(&cache).then(|_: &Course, _| async { Err::<(), _>(std::io::Error::other("no index")) });
    let error = failing.changed(&Course { id: 7 }).await.unwrap_err();
    assert!(
        error.to_string().contains("effect") && error.source().unwrap().to_string() == "no index",
        "{error:?}"
    );
    let panicking =
        Changes::new(&cache).then(|_: &Course, _| async { panic!("{} effect", 1) as Result<(), Error> });
    let error = panicking.changed(&Course { id: 7 }).await.unwrap_err();
    assert!(
        error.to_string().contains("panicked") && error.source().unwrap().to_string() == "1 effect",
        "{error:?}"
    );
}

#[tokio::test]
async fn nobody_is_told_of_a_type_that_nobody_hears_of_without_an_error() {
    let (noting, cache) = noting();
    let changes = Changes::new(&cache).on(course_tags);
    assert!(changes.hears::<Course>() && !changes.hears::<Arc<Course>>());
    let error = changes.changed(&Arc::new(Course { id: 7 })).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("Arc<"), "{error}");
    assert!(noting.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_was_begun_goes_on_without_who_waited_for_it() {
    let (noting, cache) = noting();
    let changes = Changes::new(&cache).on(course_tags);
    drop(changes.changed(&Course { id: 6 }));
    let mut begun = changes.changed(&Course { id: 7 });
    assert!(Pin::new(&mut begun).poll(&mut std::task::Context::from_waker(Waker::noop())).is_pending());
    drop(begun);
    while noting.0.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(noting.0.lock().unwrap()[0][0], "course:7", "what was never awaited never began");
}

#[test]
fn without_a_runtime_it_is_done_where_it_is_awaited() {
    let cache = Cache::new(Memory::new());
    let changes = Changes::new(&cache).on(course_tags);
    let mut cx = std::task::Context::from_waker(Waker::noop());
    let mut told = changes.changed(&Course { id: 7 });
    assert!(matches!(Pin::new(&mut told).poll(&mut cx), std::task::Poll::Ready(Ok(()))));
    assert!(Pin::new(&mut told).poll(&mut cx).is_pending(), "what is done is not done again");
}
