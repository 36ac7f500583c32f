//! Making a page anew behind an answer: one at a time for each page, bounded in number and time. In a fleet, the lease of the fill sees to that.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use larder_core::{Cache, UnixMillis};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::kept::Page;
use crate::settings::Settings;

/// How long an application that failed is not asked again for the same page, where a stale one stands in.
const REST_MILLIS: u64 = 1_000;
/// How many such pages are remembered.
const RESTS: usize = 10_000;

/// The refreshes of one cache in this process.
pub(crate) struct Renewals {
    under_way: Mutex<HashMap<Bytes, Weak<Renewal>>>,
    /// Pages for which the application failed, and until when it is left alone.
    rests: quick_cache::sync::Cache<Bytes, UnixMillis>,
}

impl Default for Renewals {
    fn default() -> Self {
        Self { under_way: Mutex::default(), rests: quick_cache::sync::Cache::new(RESTS) }
    }
}

impl Renewals {
    /// The application failed to make this page.
    pub(crate) fn rest(&self, page: &Bytes, now: UnixMillis) {
        self.rests.insert(page.clone(), now.saturating_add(REST_MILLIS));
    }

    /// Whether it did a moment ago.
    pub(crate) fn rests(&self, page: &Bytes, now: UnixMillis) -> bool {
        // What lies further ahead was noted before the clock was set back.
        self.rests.get(page).is_some_and(|until| now < until && until - now <= REST_MILLIS)
    }
}

/// What came of the wish to make a page anew.
pub(crate) enum Begun {
    /// This one does it: see [`Renewal::spawn`].
    New(Arc<Renewal>),
    /// Another does already.
    UnderWay(Over),
    /// As many as are allowed are under way.
    Full,
}

/// Ends when a refresh is over, stored or not.
#[derive(Clone)]
pub(crate) struct Over {
    ended: watch::Receiver<()>,
    failed: Arc<OnceLock<Option<u16>>>,
}

impl Over {
    /// Waits for the end; `Some` if the application failed, with its status.
    pub(crate) async fn wait(mut self) -> Option<Option<u16>> {
        // The sender says nothing; it goes.
        while self.ended.changed().await.is_ok() {}
        self.failed.get().copied()
    }
}

/// One refresh. It is over when the last who holds it lets go: the task, the request and what is on its way into the store.
pub(crate) struct Renewal {
    /// Whose it is.
    layer: u64,
    /// The identity of the page, and when it was made.
    page: Bytes,
    made: UnixMillis,
    failed: Arc<OnceLock<Option<u16>>>,
    registry: Arc<Renewals>,
    // Dropped after the place in the registry is free: whoever waited for the end may begin the next.
    _place: OwnedSemaphorePermit,
    ended: watch::Sender<()>,
}

impl Renewal {
    /// Begins to make `page` anew, unless it is being done.
    pub(crate) fn begin(settings: &Settings, cache: &Cache, page: &Page) -> Begun {
        let registry = cache.attached::<Renewals>();
        let mut under_way = registry.under_way.lock();
        if let Some(other) = under_way.get(&page.meta.key).and_then(Weak::upgrade) {
            let over = other.over();
            drop(under_way);
            return Begun::UnderWay(over);
        }
        let Ok(place) = Arc::clone(&settings.stale.places).try_acquire_owned() else {
            drop(under_way);
            tracing::warn!(target: "larder::decision", cache = cache.name(), event = "refresh-limit", "as many pages as are allowed are being made behind their answers; a stale page is not made anew");
            return Begun::Full;
        };
        let refresh = Arc::new(Self {
            layer: settings.id,
            page: page.meta.key.clone(),
            made: page.meta.timing.response_time,
            failed: Arc::default(),
            registry: Arc::clone(&registry),
            _place: place,
            ended: watch::Sender::new(()),
        });
        under_way.insert(refresh.page.clone(), Arc::downgrade(&refresh));
        Begun::New(Arc::clone(&refresh))
    }

    pub(crate) fn over(&self) -> Over {
        Over { ended: self.ended.subscribe(), failed: Arc::clone(&self.failed) }
    }

    /// Runs it beside everything.
    pub(crate) fn spawn(
        self: Arc<Self>,
        cache: &Cache,
        deadline: Duration,
        work: Pin<Box<dyn Future<Output = ()> + Send>>,
    ) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let cache = cache.beside_requests();
        runtime.spawn(async move {
            let _guard = PanicGuard { renewal: &self, cache: &cache };
            let in_time = tokio::select! {
                () = work => true,
                () = cache.clock().sleep(deadline) => false,
            };
            if !in_time {
                self.failed(None, cache.clock().now());
                tracing::warn!(target: "larder::decision", cache = cache.name(), event = "refresh-deadline", ?deadline, "making a page behind its answer took too long");
            }
        });
    }

    /// The application failed.
    pub(crate) fn failed(&self, status: Option<u16>, now: UnixMillis) {
        // Of several the first says why.
        _ = self.failed.set(status);
        self.registry.rest(&self.page, now);
    }

    /// Whether a page found is the one that is to be made anew: a newer one need not be.
    pub(crate) fn is_for(&self, page: &Page) -> bool {
        page.meta.key == self.page && page.meta.timing.response_time == self.made
    }
}

/// What panicked has failed, and is not tried again at once.
struct PanicGuard<'a> {
    renewal: &'a Renewal,
    cache: &'a Cache,
}

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.renewal.failed(None, self.cache.clock().now());
        }
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        let mut under_way = self.registry.under_way.lock();
        // Whoever came between found that this one was gone already.
        if under_way.get(&self.page).is_some_and(|one| one.strong_count() == 0) {
            under_way.remove(&self.page);
        }
    }
}

/// On a request that is run again (in its extensions): for which refresh.
#[derive(Clone, Debug)]
pub(crate) struct Renewing(pub(crate) Weak<Renewal>);

/// What a request is to its layer.
#[derive(Clone, Default)]
pub(crate) enum Role {
    /// A client's.
    #[default]
    Ordinary,
    /// A client's, for whom a page was found fresh that is to be made anew early.
    Early,
    /// A refresh of another layer's page.
    Passing,
    /// The refresh of a page of this layer's.
    Renewal(Arc<Renewal>),
}

impl Role {
    #[inline]
    pub(crate) fn marked(renewing: Option<&Renewing>, settings: &Settings) -> Self {
        match renewing.map(|marked| marked.0.upgrade()) {
            None => Self::Ordinary,
            Some(Some(refresh)) if refresh.layer == settings.id => Self::Renewal(refresh),
            Some(_) => Self::Passing,
        }
    }

    pub(crate) fn is_ordinary(&self) -> bool {
        matches!(self, Self::Ordinary)
    }

    pub(crate) fn renewal(&self) -> Option<&Arc<Renewal>> {
        match self {
            Self::Renewal(refresh) => Some(refresh),
            _ => None,
        }
    }
}
