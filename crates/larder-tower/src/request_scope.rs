//! Values that are made once for each request: what Django's `cached_property` is for.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::FromRequestParts;
use http::Request;
use http::request::Parts;
use parking_lot::Mutex;
use tokio::sync::OnceCell;
use tokio::task::futures::TaskLocalFuture;
use tower_layer::Layer;
use tower_service::Service;

tokio::task_local! {
    static CURRENT: RequestScope;
}

/// What was made within one request, by key: each value once, however many ask for it at the same time. Clones share it; with the request it goes.
///
/// A [`RequestScopeLayer`] makes one for each request. Handlers and extractors get it as an extractor, everything that they call by [`current`](Self::current).
///
/// ```
/// use larder_tower::RequestScope;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let scope = RequestScope::new();
/// let mut runs = 0;
/// for _ in 0..2 {
///     let user: String = scope.once("user", async || { runs += 1; "ada".to_owned() }).await;
///     assert_eq!(user, "ada");
/// }
/// assert_eq!(runs, 1);
/// # }
/// ```
#[derive(Clone, Default)]
pub struct RequestScope {
    values: Arc<Mutex<Values>>,
}

/// Each a `OnceCell` of the type that its key names.
type Values = HashMap<(TypeId, Box<str>), Arc<dyn Any + Send + Sync>>;

impl RequestScope {
    /// With nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// That of the request on whose behalf this runs; `None` outside of one, and in a task that was spawned. To take it along into one,
    /// [`enter`](Self::enter) it there.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// Runs a future within it.
    ///
    /// # Cancel safety
    /// As the future's.
    pub fn enter<F: Future>(&self, future: F) -> TaskLocalFuture<Self, F> {
        CURRENT.scope(self.clone(), future)
    }

    /// The value of this key and type, made the first time that it is asked for. Those who ask meanwhile wait.
    ///
    /// # Cancel safety
    /// May be dropped at any point; the next one who waits makes the value.
    pub async fn once<T, F, Fut>(&self, key: &str, make: F) -> T
    where
        T: Clone + Send + Sync + 'static,
        F: FnOnce() -> Fut,
        Fut: Future<Output = T>,
    {
        self.cell(key).get_or_init(make).await.clone()
    }

    /// The same for what may fail: an error is what this caller gets, and not kept.
    ///
    /// # Errors
    /// The closure's.
    ///
    /// # Cancel safety
    /// As [`once`](Self::once).
    pub async fn try_once<T, E, F, Fut>(&self, key: &str, make: F) -> Result<T, E>
    where
        T: Clone + Send + Sync + 'static,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        self.cell(key).get_or_try_init(make).await.cloned()
    }

    fn cell<T: Send + Sync + 'static>(&self, key: &str) -> Arc<OnceCell<T>> {
        let mut values = self.values.lock();
        let slot = values.entry((TypeId::of::<T>(), key.into()));
        let cell = Arc::clone(slot.or_insert_with(|| Arc::new(OnceCell::<T>::new())));
        drop(values);
        // The map is keyed by the type, so this is always one.
        cell.downcast().unwrap_or_default()
    }
}

// Values and keys are the application's, and may be anybody's.
impl fmt::Debug for RequestScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestScope").field("values", &self.values.lock().len()).finish()
    }
}

/// The request's; without a [`RequestScopeLayer`] one that only the handler knows of.
impl<S: Send + Sync> FromRequestParts<S> for RequestScope {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        if let Some(scope) = parts.extensions.get::<Self>() {
            return Ok(scope.clone());
        }
        let scope = Self::current().unwrap_or_default();
        parts.extensions.insert(scope.clone());
        Ok(scope)
    }
}

/// Gives each request a [`RequestScope`] of its own.
///
/// Mount it inside caching layers: a hit then makes none, and a page that goes on being made after its client went away keeps its own.
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "a layer does nothing until it is mounted"]
pub struct RequestScopeLayer;

impl RequestScopeLayer {
    /// A layer.
    pub fn new() -> Self {
        Self
    }
}

impl<S> Layer<S> for RequestScopeLayer {
    type Service = RequestScopeService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequestScopeService { inner }
    }
}

/// The service of a [`RequestScopeLayer`].
#[derive(Clone, Debug)]
pub struct RequestScopeService<S> {
    inner: S,
}

impl<S, B> Service<Request<B>> for RequestScopeService<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = TaskLocalFuture<RequestScope, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // Mounted twice, it is the same request still.
        let scope = request.extensions().get::<RequestScope>().cloned().unwrap_or_else(|| {
            let scope = RequestScope::new();
            request.extensions_mut().insert(scope.clone());
            scope
        });
        // What the inner service does before it gives a future belongs to the request too.
        let future = CURRENT.sync_scope(scope.clone(), || self.inner.call(request));
        CURRENT.scope(scope, future)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::routing::get;
    use axum::{Router, body::Body};
    use tower::ServiceExt;

    use super::*;

    static RUNS: AtomicUsize = AtomicUsize::new(0);

    async fn number() -> usize {
        let make = async || {
            tokio::task::yield_now().await;
            RUNS.fetch_add(1, Ordering::SeqCst)
        };
        match RequestScope::current() {
            Some(scope) => scope.once("number", make).await,
            None => make().await,
        }
    }

    #[tokio::test]
    async fn a_value_is_made_once_a_request_and_never_seen_by_the_next() {
        let handler = |scope: RequestScope| async move {
            let (a, b) = tokio::join!(number(), number());
            let known = scope.once("number", async || usize::MAX).await;
            let spawned = tokio::spawn(number()).await.unwrap();
            format!("{a} {b} {known} {}", spawned != a)
        };
        let app: Router = Router::new().route("/", get(handler)).layer(RequestScopeLayer::new());
        let mut seen = Vec::new();
        for _ in 0..2 {
            let response = app.clone().oneshot(Request::new(Body::empty())).await.unwrap();
            let body = axum::body::to_bytes(response.into_body(), 100).await.unwrap();
            let text = String::from_utf8(body.to_vec()).unwrap();
            let words: Vec<&str> = text.split(' ').collect();
            assert_eq!((words[0], words[0], "true"), (words[1], words[2], words[3]));
            seen.push(text);
        }
        assert_ne!(seen[0], seen[1]);
    }

    #[tokio::test]
    async fn errors_are_not_kept_and_types_are_kept_apart() {
        let scope = RequestScope::new();
        let bad: Result<u8, &str> = scope.try_once("k", async || Err("no")).await;
        assert_eq!(bad, Err("no"));
        assert_eq!(scope.try_once::<u8, &str, _, _>("k", async || Ok(7)).await, Ok(7));
        assert_eq!(scope.once("k", async || 8_u8).await, 7);
        assert_eq!(scope.once("k", async || "text".to_owned()).await, "text");
        assert_eq!(scope.once("other", async || 9_u8).await, 9);
    }

    #[tokio::test]
    async fn who_goes_away_leaves_the_making_to_who_waits() {
        let scope = RequestScope::new();
        let stuck = scope.once("k", std::future::pending::<u8>);
        assert!(tokio::time::timeout(std::time::Duration::ZERO, stuck).await.is_err());
        assert_eq!(scope.once("k", async || 7_u8).await, 7);
    }

    #[test]
    fn nothing_of_what_is_in_it_is_shown() {
        assert_eq!(format!("{:?}", RequestScope::new()), "RequestScope { values: 0 }");
    }
}
