//! What stands in the log: a store that is out does not fill it.

use std::fmt::{Debug, Write as _};
use std::sync::Arc;
use std::time::Duration;

use larder_core::ErrorKind;
use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::Stage;
use crate::faulty::Mode;

/// Keeps the lines of `larder::backend` that operators see.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn lines(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock())
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "larder::backend" && *metadata.level() <= Level::INFO
    }
    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().push(line.0);
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_failures_are_one_line_and_a_number() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let stage = Stage::new();
    let cache = stage.builder().name("shop").no_breaker().build().unwrap();
    stage.store.turn(Mode::Fails(ErrorKind::Unavailable));
    for _ in 0..10_000 {
        assert!(cache.get::<u8>("secret-key").await.is_err());
    }
    let lines = log.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in [
        "WARN",
        "cache=\"shop\"",
        "operation=\"get\"",
        "kind=\"unavailable\"",
        "a fault that a test asked for",
    ] {
        assert!(lines[0].contains(part), "{part}: {}", lines[0]);
    }
    assert!(!lines[0].contains("secret-key"));
    stage.hand.advance(Duration::from_secs(10));
    assert!(cache.get::<u8>("key").await.is_err());
    let lines = log.lines();
    assert!(lines.len() == 1 && lines[0].contains("unlogged=9999"), "{lines:?}");
    // Another kind of failure is another line.
    stage.store.turn(Mode::Fails(ErrorKind::Backend));
    assert!(cache.get::<u8>("key").await.is_err());
    assert!(log.lines()[0].contains("kind=\"backend\""));
}

#[tokio::test(start_paused = true)]
async fn the_breaker_says_when_it_opens_and_when_the_store_is_back() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let stage = Stage::new();
    let cache = stage.cache();
    stage.store.turn(Mode::Silent);
    for _ in 0..1_000 {
        assert!(cache.get::<u8>("key").await.is_err());
    }
    let lines = log.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[1].contains("breaker-opened") && lines[1].contains("outages=5"), "{lines:?}");
    stage.store.turn(Mode::Fine);
    stage.hand.advance(Duration::from_secs(1));
    cache.get::<u8>("key").await.unwrap();
    let lines = log.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("INFO") && lines[0].contains("unlogged=4"), "{lines:?}");
}

#[tokio::test]
async fn garbage_is_told_of_and_removed() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let stage = Stage::new();
    let cache = stage.cache();
    cache.set("key", "text").await.unwrap();
    assert_eq!(cache.get::<u8>("key").await.unwrap(), None);
    assert_eq!(stage.told(), ["garbage-removed"]);
    assert!(!cache.has_key("key").await.unwrap());
    assert_eq!(log.lines().len(), 1);
}
