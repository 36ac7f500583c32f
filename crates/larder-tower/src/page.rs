//! Both ends in one service: what `cache_page` is made of.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use larder_core::flight::Leader;
use larder_core::{Clock, Lease};
use larder_http::{Forward, Reason, patch_response_headers};
use tower::ServiceExt as _;
use tower::util::Oneshot;
use tower_service::Service;

use crate::again::Again;
use crate::cacheable::Cacheable;
use crate::detach::Detachable;
use crate::engine::{Engine, Entrance, Front, Lead, Visit, has_body, into_body, say, say_bypass};
use crate::forget::forget_whoever_waits;
use crate::landing::Landing;
use crate::outer::Outer;
use crate::passes::PASS_ERROR_MILLIS;
use crate::respond;
use crate::session::SessionWitness;
use crate::shared;
use crate::stale::{Behind, Shown, Stood};

type Boxed<E> = Pin<Box<dyn Future<Output = Result<Response<Body>, E>> + Send>>;

pin_project_lite::pin_project! {
    /// The answer of a caching layer: at hand, passing by, or being made.
    #[project = PageProjection]
    #[must_use = "futures do nothing unless polled"]
    pub struct PageFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        kind: Kind<S, B>,
    }
}

pin_project_lite::pin_project! {
    #[project = KindProjection]
    enum Kind<S, B>
    where
        S: Service<Request<B>>,
    {
        Hit { response: Option<Response<Body>> },
        Pass { #[pin] inner: Oneshot<S, Request<B>>, reason: Reason, },
        Work { work: Boxed<S::Error> },
    }
}

impl<S: Service<Request<B>>, B> fmt::Debug for PageFuture<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageFuture").finish_non_exhaustive()
    }
}

impl<S: Cacheable<B>, B> Future for PageFuture<S, B> {
    type Output = Result<Response<Body>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            KindProjection::Hit { response } => match response.take() {
                Some(response) => Poll::Ready(Ok(response)),
                None => Poll::Pending,
            },
            KindProjection::Pass { inner, reason } => {
                let mut response = into_body(ready!(inner.poll(cx))?);
                passed(response.headers_mut(), *reason);
                Poll::Ready(Ok(response))
            }
            KindProjection::Work { work } => work.as_mut().poll(cx),
        }
    }
}

/// What is added to a response that the layer had nothing to do with.
fn passed(headers: &mut HeaderMap, reason: Reason) {
    if reason == Reason::ZeroTimeout {
        // Django: cache_page(0) tells clients not to keep the page either.
        let now = larder_core::Clock::system().now();
        patch_response_headers(headers, 0, now);
    }
    say_bypass(headers, reason);
}

impl Engine {
    /// Answers a request from the cache, or through a clone of `inner`, made ready when it is needed. So a page in the cache is served while the
    /// application is busy, and neither a hit nor a request that waits for another takes a place in a limited service. On a hit that needs no
    /// waiting, `inner` is not even cloned.
    pub fn page<S, B>(&self, inner: &S, request: Request<B>) -> PageFuture<S, B>
    where
        S: Cacheable<B>,
        B: http_body::Body + Send + 'static,
    {
        let (mut parts, body) = request.into_parts();
        self.settings().narrowing.apply(&mut parts);
        if self.asks_first(&parts) {
            let (engine, inner) = (self.clone(), inner.clone());
            let work = Box::pin(async move {
                engine.ask_first(&mut parts).await;
                let page = engine.page(&inner, Request::from_parts(parts, body));
                drop(inner);
                page.await
            });
            return PageFuture { kind: Kind::Work { work } };
        }
        if self.settings().policy.is_shared() {
            let work = Box::pin(shared::serve(self.clone(), inner.clone(), Request::from_parts(parts, body)));
            return PageFuture { kind: Kind::Work { work } };
        }
        let entrance = self.enter(&parts, has_body(parts.version, &body), true);
        let kind = match entrance {
            Entrance::Hit(response) => Kind::Hit { response: Some(response) },
            Entrance::Bypass(Reason::Method) if !is_safe(&parts.method) => {
                let target = self.target(&parts);
                let response = inner.clone().oneshot(Request::from_parts(parts, body));
                Kind::Work { work: Box::pin(unsafe_method(response, target)) }
            }
            Entrance::Bypass(reason) => {
                Kind::Pass { inner: inner.clone().oneshot(Request::from_parts(parts, body)), reason }
            }
            Entrance::Visit(visit) => {
                Kind::Work { work: Box::pin(make(*visit, inner.clone(), Request::from_parts(parts, body))) }
            }
        };
        PageFuture { kind }
    }
}

pub(crate) fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
        || method.as_str() == "QUERY"
}

/// A write that passes by: if it succeeds, the pages of its own URL are dropped before its answer leaves.
pub(crate) async fn unsafe_method<R, E>(
    response: impl Future<Output = Result<Response<R>, E>>,
    target: Option<(larder_core::Cache, larder_core::Tag)>,
) -> Result<Response<Body>, E>
where
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let mut response = into_body(response.await?);
    let success = response.status().is_success() || response.status().is_redirection();
    if let Some((cache, tag)) = target.filter(|_| success) {
        // A failure is in the log, and it is tried again.
        _ = forget_whoever_waits(cache, vec![tag]).await;
    }
    say_bypass(response.headers_mut(), Reason::Method);
    Ok(response)
}

async fn make<S, B>(visit: Visit, service: S, request: Request<B>) -> Result<Response<Body>, S::Error>
where
    S: Cacheable<B>,
    B: http_body::Body + Send + 'static,
{
    let (facts, headers, clock) = (visit.facts, visit.headers.clone(), visit.cache.clock().clone());
    let (mut parts, body) = request.into_parts();
    let front = match visit.front().await {
        Front::Stale(stale, visit) => {
            let behind = Behind::of(&visit, &stale.page, &parts, || {
                let (engine, service) = (visit.engine.clone(), service.clone());
                Again::new(parts.clone(), move |request| engine.page::<S, B>(&service, request))
            });
            visit.course(stale, behind).await
        }
        front => front,
    };
    match front {
        Front::Hit(page) => Ok(respond::from_stored(&page, facts, &headers, clock.now())),
        Front::Renewed(page) => Ok(respond::renewed(&page, facts, &headers, clock.now())),
        Front::Show(stale, shown) => Ok(stale.answer(shown, facts, &headers, clock.now())),
        // Nobody is there to be answered; `course` never gives a stale page back.
        Front::Idle | Front::Stale(..) => Ok(respond::idle()),
        Front::Joined(landed, visit) => match landed.answer(facts, &headers, clock.now()) {
            Some(response) => Ok(response),
            // The body broke, or grew past the limit, before we could attach.
            None => {
                visit.prepare(&mut parts.headers, false);
                let mut response = into_body(service.oneshot(Request::from_parts(parts, body)).await?);
                visit.label(&mut response);
                say(response.headers_mut(), Forward::Miss, Some(Reason::TooLarge));
                Ok(response)
            }
        },
        Front::Alone(visit, forward, reason) => {
            visit.prepare(&mut parts.headers, false);
            visit.pass_on_waits(&mut parts.extensions);
            let mut response = into_body(service.oneshot(Request::from_parts(parts, body)).await?);
            visit.label(&mut response);
            say(response.headers_mut(), forward, Some(reason));
            Ok(response)
        }
        Front::Lead(lead) => {
            lead.visit.prepare(&mut parts.headers, lead.leader.is_some());
            let outer = parts.extensions.get::<Outer>().cloned();
            parts.extensions.insert(lead.enclosing());
            lead.visit.pass_on_waits(&mut parts.extensions);
            let limit = lead.visit.engine.settings().max_fill;
            // Only for a page that is to be stored is it worth finishing what nobody reads any more.
            let refreshes = lead.visit.role.renewal().is_some();
            let detaches = outer.is_none() && lead.leader.is_some() && !refreshes;
            let witness = SessionWitness::of(&parts.extensions);
            let standby = lead.visit.standby.clone();
            let soft = lead.visit.engine.settings().stale.soft_timeout.filter(|_| standby.is_some());
            let fill = async move {
                let _guard = PanicGuard::of(&lead);
                let asked =
                    lead.watched(lead.noting(service.oneshot(Request::from_parts(parts, body)))).await;
                let mut response = match lead.stood_in(asked) {
                    Stood::For(response) => return Ok(response),
                    Stood::Not(Ok(response)) => into_body(response),
                    Stood::Not(Err(error)) => return Err(error),
                };
                lead.visit.label(&mut response);
                Ok(lead.back(response, outer, witness.private()).await)
            };
            let mut fill = Detachable::new(Box::pin(fill), limit, move || detaches);
            let Some((stale, soft)) = standby.zip(soft) else { return fill.await };
            tokio::select! {
                response = &mut fill => response,
                () = clock.sleep(soft) => Ok(stale.answer(Shown::TooSlow, facts, &headers, clock.now())),
            }
        }
    }
}

/// Tells those who wait, in this process and in others, that what they wait for does not come.
fn each_for_itself(leader: Option<&Leader<Landing>>, lease: Option<&Lease>, clock: &Clock) {
    if let Some(leader) = leader {
        leader.publish(Landing::Alone);
    }
    if let Some(lease) = lease {
        lease.pass(clock.now().saturating_add(PASS_ERROR_MILLIS));
    }
}

/// A handler that panicked would panic for the next in line too: those who wait find out at once, instead of one after another.
pub(crate) struct PanicGuard {
    leader: Option<Arc<Leader<Landing>>>,
    lease: Option<Lease>,
    clock: Clock,
}

impl PanicGuard {
    pub(crate) fn of(lead: &Lead) -> Self {
        let clock = lead.visit.cache.clock().clone();
        Self { leader: lead.leader.clone(), lease: lead.lease.clone(), clock }
    }
}

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            each_for_itself(self.leader.as_deref(), self.lease.as_ref(), &self.clock);
        }
    }
}
