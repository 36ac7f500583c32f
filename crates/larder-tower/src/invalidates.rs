//! `invalidates`: what a write route makes out of date.
//!
//! # What happens, and when
//! 1. Own tags count for methods that may write: all but GET, HEAD, OPTIONS, TRACE and QUERY (RFC 9110, section 9.2.1). What a handler adds
//!    by [`Invalidates`] counts for all.
//! 2. The tags are invalidated once the handler has answered with success (2xx and 3xx, or what `when` says) and before the answer's head
//!    goes out: whoever sees the answer, and everybody they tell, is no more served what was cached before.
//! 3. Where the client goes away first, the handler is run to its end, and its tags are invalidated, in a task: what was written must not
//!    stay invisible because nobody waited. Such tasks are bounded in number and in time, as those of pages are.
//! 4. Where the invalidation fails, the answer goes out as it is: it was written, and an error would have the client write it again. The
//!    error is logged, an event of the cache tells of it, and the invalidation is repeated behind, for a minute at most. With `on_failure`
//!    the answer can be changed.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::response::{IntoResponse, IntoResponseParts, ResponseParts};
use http::response::Parts as Head;
use http::{Request, Response, StatusCode};
use larder_core::{Cache, Caches, Error, Tag};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::detach::Detachable;
use crate::forget::{BEHIND, forget};
use crate::page::is_safe;
use crate::settings::CacheChoice;
use crate::tag_pattern::{PathParameters, TagPattern};
use crate::which;

/// Invalidates these tags after a write that succeeded, before its answer goes out. `{name}` stands for a path parameter of the route.
///
/// ```
/// use axum::Router;
/// use axum::routing::{get, put};
/// use larder_tower::invalidates;
///
/// # async fn list() {}
/// # async fn create() {}
/// # async fn rename() {}
/// let app: Router = Router::new()
///     .route("/courses", get(list).post(create).layer(invalidates(["course_list"])))
///     .route("/courses/{id}", put(rename).layer(invalidates(["course:{id}", "course_list"])));
/// ```
///
/// Which cache: as for `cache_page`. A GET beside the writes is not touched.
///
/// - It happens once the handler answered with a status of 2xx or 3xx, or as [`when`](InvalidatesLayer::when) says.
/// - If the client goes away meanwhile, the handler goes on to its end, and the tags are invalidated.
/// - If the cache can't be reached, the answer goes out as it is, since it was written; the error is logged, and the invalidation is repeated
///   behind for a minute. What must not be lost then belongs into the transaction that writes.
pub fn invalidates<T: AsRef<str>>(tags: impl IntoIterator<Item = T>) -> InvalidatesLayer {
    InvalidatesLayer {
        rules: Arc::new(Rules {
            tags: tags.into_iter().map(|tag| TagPattern::new(tag.as_ref())).collect(),
            caches: Vec::new(),
            success: Arc::new(|status| status.is_success() || status.is_redirection()),
            failed: None,
            soft: false,
        }),
    }
}

/// See [`invalidates`].
#[derive(Clone)]
#[must_use = "a layer does nothing until it is mounted"]
pub struct InvalidatesLayer {
    rules: Arc<Rules>,
}

#[derive(Clone)]
struct Rules {
    tags: Vec<TagPattern>,
    caches: Vec<CacheChoice>,
    success: Arc<dyn Fn(StatusCode) -> bool + Send + Sync>,
    failed: Option<OnFailure>,
    soft: bool,
}

type OnFailure = Arc<dyn Fn(&mut Head, &Error) + Send + Sync>;

impl InvalidatesLayer {
    /// In this cache, given itself or by its alias. Several add up.
    pub fn cache(mut self, cache: impl Into<CacheChoice>) -> Self {
        self.rules_mut().caches.push(cache.into());
        self
    }

    /// Which statuses tell of a write; 2xx and 3xx unless said otherwise.
    pub fn when(mut self, success: impl Fn(StatusCode) -> bool + Send + Sync + 'static) -> Self {
        self.rules_mut().success = Arc::new(success);
        self
    }

    /// Changes the answer if something could not be invalidated: its status, for clients that repeat what they sent without harm, or a field
    /// for whoever reads it.
    ///
    /// ```
    /// # use http::StatusCode;
    /// let layer = larder_tower::invalidates(["course_list"])
    ///     .on_failure(|answer, _error| answer.status = StatusCode::SERVICE_UNAVAILABLE);
    /// ```
    pub fn on_failure(mut self, failed: impl Fn(&mut Head, &Error) + Send + Sync + 'static) -> Self {
        self.rules_mut().failed = Some(Arc::new(failed));
        self
    }

    /// Only marks what carries the tags as stale, as [`Cache::soft_invalidate`] does: pages are shown in their windows (`stale_while_revalidate`,
    /// `stale_if_error`) and made anew meanwhile. Who wrote may see the page as it was once more.
    ///
    /// ```
    /// let layer = larder_tower::invalidates(["course_list"]).soft();
    /// ```
    pub fn soft(mut self) -> Self {
        self.rules_mut().soft = true;
        self
    }

    fn rules_mut(&mut self) -> &mut Rules {
        Arc::make_mut(&mut self.rules)
    }
}

impl fmt::Debug for InvalidatesLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InvalidatesLayer")
            .field("tags", &self.rules.tags)
            .field("caches", &self.rules.caches)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for InvalidatesLayer {
    type Service = InvalidatesService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        InvalidatesService { inner, rules: Arc::clone(&self.rules) }
    }
}

/// Tags that a handler's write made out of date, beside its response: those that only it knows. An [`invalidates`] layer has to stand outside,
/// with tags or without: `invalidates::<&str>([])`.
///
/// ```
/// use axum::{Json, Router, routing::post};
/// use larder_tower::{Invalidates, invalidates};
///
/// async fn create() -> impl axum::response::IntoResponse {
///     let id = 7;
///     (Invalidates::new([format!("course:{id}")]), Json(id))
/// }
///
/// let app: Router = Router::new().route("/courses", post(create).layer(invalidates(["course_list"])));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invalidates(Vec<Tag>);

impl Invalidates {
    /// These tags. Those of several add up.
    pub fn new<T: Into<Tag>>(tags: impl IntoIterator<Item = T>) -> Self {
        Self(tags.into_iter().map(Into::into).collect())
    }
}

impl IntoResponseParts for Invalidates {
    type Error = Infallible;

    fn into_response_parts(self, mut res: ResponseParts) -> Result<ResponseParts, Infallible> {
        match res.extensions_mut().get_mut::<Self>() {
            Some(there) => there.0.extend(self.0),
            None => _ = res.extensions_mut().insert(self),
        }
        Ok(res)
    }
}

impl IntoResponse for Invalidates {
    fn into_response(self) -> axum::response::Response {
        (self, ()).into_response()
    }
}

/// The service of an [`InvalidatesLayer`].
#[derive(Clone)]
pub struct InvalidatesService<S> {
    inner: S,
    rules: Arc<Rules>,
}

impl<S> fmt::Debug for InvalidatesService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InvalidatesService").finish_non_exhaustive()
    }
}

impl<S, B, R> Service<Request<B>> for InvalidatesService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    R: Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = InvalidatesFuture<S::Future, R, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let caches = request.extensions().get::<Caches>().cloned();
        let mut due = Due { rules: Arc::clone(&self.rules), caches, tags: Vec::new(), error: None };
        if is_safe(request.method()) {
            let inner = self.inner.call(request);
            return InvalidatesFuture { kind: Kind::Safe { inner, due: Some(due) } };
        }
        let (mut parts, body) = request.into_parts();
        due.fill_in(|| PathParameters::of(&mut parts));
        let response = self.inner.call(Request::from_parts(parts, body));
        let work = async move { Ok(due.settle(response.await?).await) };
        InvalidatesFuture { kind: Kind::Work { work: Detachable::new(Box::pin(work), BEHIND, || true) } }
    }
}

pin_project! {
    /// The answer of an [`InvalidatesService`].
    #[must_use = "futures do nothing unless polled"]
    pub struct InvalidatesFuture<F, R: 'static, E: 'static> {
        #[pin]
        kind: Kind<F, R, E>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<F, R: 'static, E: 'static> {
        Safe { #[pin] inner: F, due: Option<Due> },
        Work { work: Detachable<Result<Response<R>, E>> },
    }
}

impl<F, R, E> fmt::Debug for InvalidatesFuture<F, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InvalidatesFuture").finish_non_exhaustive()
    }
}

impl<F, R, E> Future for InvalidatesFuture<F, R, E>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Send + 'static,
    E: Send + 'static,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let work = match self.as_mut().project().kind.project() {
            KindProjection::Work { work } => return Pin::new(work).poll(cx),
            KindProjection::Safe { inner, due } => {
                let response = ready!(inner.poll(cx))?;
                match due.take() {
                    Some(due) if response.extensions().get::<Invalidates>().is_some() => {
                        async move { Ok(due.settle(response).await) }
                    }
                    _ => return Poll::Ready(Ok(response)),
                }
            }
        };
        let mut work: Detachable<_> = Detachable::new(Box::pin(work), BEHIND, || true);
        let poll = Pin::new(&mut work).poll(cx);
        self.project().kind.set(Kind::Work { work });
        poll
    }
}

/// What is to be invalidated if it succeeds.
struct Due {
    rules: Arc<Rules>,
    /// Those of the request.
    caches: Option<Caches>,
    tags: Vec<Tag>,
    /// Why a tag could not be made.
    error: Option<Error>,
}

impl Due {
    /// The layer's own tags.
    fn fill_in(&mut self, parameters: impl FnOnce() -> PathParameters) {
        let plain = self.rules.tags.iter().all(|pattern| pattern.fixed().is_some());
        let parameters = if plain { PathParameters::default() } else { parameters() };
        for pattern in &self.rules.tags {
            match pattern.fill(&parameters) {
                Ok(tag) => self.tags.push(tag),
                Err(error) => self.error = Some(error),
            }
        }
    }

    async fn settle<R>(mut self, response: Response<R>) -> Response<R> {
        if !(self.rules.success)(response.status()) {
            return response;
        }
        let (mut head, body) = response.into_parts();
        // It stays there, for a layer further out over another cache.
        if let Some(Invalidates(tags)) = head.extensions.get() {
            self.tags.extend(tags.iter().cloned());
        }
        self.tags.retain(|tag| !tag.as_str().is_empty());
        self.tags.sort_unstable();
        self.tags.dedup();
        if let Some(error) = &self.error {
            tracing::error!(target: "larder::purge", %error, "a write went through, and what it made out of date can't be named");
        }
        if !self.tags.is_empty() {
            for cache in self.chosen() {
                if let Err(error) = forget(&cache, self.tags.clone(), self.rules.soft).await {
                    self.error.get_or_insert(error);
                }
            }
        }
        if let (Some(error), Some(failed)) = (&self.error, &self.rules.failed) {
            failed(&mut head, error);
        }
        Response::from_parts(head, body)
    }

    fn chosen(&mut self) -> Vec<Cache> {
        let choices: Vec<_> = match self.rules.caches.as_slice() {
            [] => vec![None],
            given => given.iter().map(Some).collect(),
        };
        let mut caches = Vec::with_capacity(choices.len());
        for choice in choices {
            match which::choose_among(choice, self.caches.as_ref()) {
                Some(chosen) => caches.push(chosen.cache.into_owned()),
                None => {
                    let error =
                        Error::config("there is no cache of the alias that an invalidates layer was given");
                    self.error = Some(error);
                }
            }
        }
        caches
    }
}
