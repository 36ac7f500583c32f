//! Both ends in one service: what `cache_page` is made of.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use axum::body::Body;
use http::request::Parts;
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
use crate::engine::{Engine, Front, Lead, Looked, Visit, has_body, into_body, say, say_bypass};
use crate::entrance::Entrance;
use crate::landing::Landing;
use crate::marks::mark;
use crate::outer::Outer;
use crate::pair::Ticket;
use crate::passes::PASS_ERROR_MILLIS;
use crate::respond;
use crate::seek::Seek;
use crate::session::{SessionWitness, Whose};
use crate::shared;
use crate::stale::{Asked, Behind, Shown, Stood};
use crate::written::Written;

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
        Pass { #[pin] inner: Through<S, B>, reason: Reason, whose: Whose, },
        Write { #[pin] inner: Through<S, B>, written: Option<Written> },
        Work { work: Boxed<S::Error> },
    }
}

pin_project_lite::pin_project! {
    /// What a request is passed on to: the service that was ready, or one that is waited for. That one lies apart, since it is the larger and the
    /// rarer.
    #[project = ThroughProjection]
    enum Through<S, B>
    where
        S: Service<Request<B>>,
    {
        Called { #[pin] response: S::Future },
        Waiting { response: Pin<Box<Oneshot<S, Request<B>>>> },
    }
}

impl<S: Cacheable<B>, B> Through<S, B> {
    /// Calls `inner` if it is ready, so that it need not be cloned. If it is not, it is waited for, and a clone takes its place: it may stand in a
    /// queue already.
    fn of(inner: &mut S, request: Request<B>) -> Self {
        match inner.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => Self::Called { response: inner.call(request) },
            waits => {
                let clone = inner.clone();
                let waiting = mem::replace(inner, clone);
                // One that failed is not to be used again.
                let waiting = if waits.is_pending() { waiting } else { inner.clone() };
                Self::Waiting { response: Box::pin(waiting.oneshot(request)) }
            }
        }
    }
}

impl<S: Cacheable<B>, B> Future for Through<S, B> {
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            ThroughProjection::Called { response } => response.poll(cx),
            ThroughProjection::Waiting { response } => response.as_mut().poll(cx),
        }
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
        let mut kind = self.project().kind;
        match kind.as_mut().project() {
            KindProjection::Hit { response } => match response.take() {
                Some(response) => Poll::Ready(Ok(response)),
                None => Poll::Pending,
            },
            KindProjection::Pass { inner, reason, whose } => {
                let mut response = into_body(ready!(inner.poll(cx))?);
                whose.say(response.headers_mut());
                passed(response.headers_mut(), *reason);
                Poll::Ready(Ok(response))
            }
            KindProjection::Write { inner, written } => {
                let mut response = into_body(ready!(inner.poll(cx))?);
                say_bypass(response.headers_mut(), Reason::Method);
                let Some(dropping) = written.take().and_then(|written| written.dropping(response.status()))
                else {
                    return Poll::Ready(Ok(response));
                };
                let mut work: Boxed<S::Error> = Box::pin(async move {
                    dropping.await;
                    Ok(response)
                });
                let done = work.as_mut().poll(cx);
                kind.set(Kind::Work { work });
                done
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
    /// Answers a request from the cache, or through `inner` or a clone of it, made ready when it is needed. So a page in the cache is served while
    /// the application is busy, and neither a hit nor a request that waits for another takes a place in a limited service. On a hit that needs
    /// no waiting, and for what passes by an application that is ready, `inner` is not even cloned.
    pub fn page<S, B>(&self, inner: &mut S, request: Request<B>) -> PageFuture<S, B>
    where
        S: Cacheable<B>,
        B: http_body::Body + Send + 'static,
    {
        if self.passes_on(request.method()) {
            return self.write_through(inner, request);
        }
        let (mut parts, body) = request.into_parts();
        self.settings().narrowing.apply(&mut parts);
        if self.asks_first(&parts) {
            let (engine, mut inner) = (self.clone(), inner.clone());
            let work = Box::pin(async move {
                engine.ask_first(&mut parts).await;
                let page = engine.page(&mut inner, Request::from_parts(parts, body));
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
            Entrance::Bypass(reason) => {
                let whose = Whose::of(&parts.extensions);
                Kind::Pass { inner: Through::of(inner, Request::from_parts(parts, body)), reason, whose }
            }
            Entrance::Seek(seek) if seek.cache.capabilities().shared => {
                // Apart from the future, which would have room for all of it twice: above a kilobyte memory is dear.
                let asked = Box::new((seek, inner.clone(), parts, body));
                Kind::Work { work: Box::pin(answered(asked)) }
            }
            Entrance::Seek(seek) => {
                let visit = seek.visit(&parts, None);
                let (inner, request) = (inner.clone(), Request::from_parts(parts, body));
                let work = Box::pin(async move {
                    match visit.lead_at_once() {
                        Ok(lead) => leading(lead, inner, request).await,
                        // What it takes to wait for others is large, and few need it.
                        Err(visit) => Box::pin(make(visit, inner, request)).await,
                    }
                });
                Kind::Work { work }
            }
        };
        PageFuture { kind }
    }

    /// The pair with nothing between its two ends. What is at hand is answered as one layer would; for the rest there are the two ends.
    pub fn site<S, B>(&self, inner: &mut S, request: Request<B>) -> PageFuture<S, B>
    where
        S: Cacheable<B>,
        B: http_body::Body + Send + 'static,
    {
        if self.passes_on(request.method()) {
            return self.write_through(inner, request);
        }
        let (mut parts, body) = request.into_parts();
        if let Some(response) = self.at_hand(&mut parts, &body) {
            return PageFuture { kind: Kind::Hit { response: Some(response) } };
        }
        let work = self.update(&mut InnerEnd(inner.clone()), Request::from_parts(parts, body));
        PageFuture { kind: Kind::Work { work } }
    }

    /// The outer end of the pair around `inner`, which must be ready. If `inner` is the inner end itself, nothing lies between that a hit would have to
    /// pass, and what is at hand is answered as one layer would.
    pub fn outer_end<S, B>(
        &self,
        inner: &mut S,
        mut request: Request<B>,
        is_inner_end: bool,
    ) -> PageFuture<S, B>
    where
        S: Cacheable<B>,
        B: http_body::Body + Send + 'static,
    {
        if !is_inner_end {
            return PageFuture { kind: Kind::Work { work: self.update(inner, request) } };
        }
        if self.passes_on(request.method()) {
            request.extensions_mut().insert(Ticket::passing());
            return self.write_through(inner, request);
        }
        let (mut parts, body) = request.into_parts();
        let kind = match self.at_hand(&mut parts, &body) {
            Some(response) => Kind::Hit { response: Some(response) },
            None => Kind::Work { work: self.update(inner, Request::from_parts(parts, body)) },
        };
        PageFuture { kind }
    }

    /// The answer to a request that is at hand, where that is for the pair to say.
    #[inline]
    fn at_hand<B: http_body::Body>(&self, parts: &mut Parts, body: &B) -> Option<Response<Body>> {
        self.settings().narrowing.apply(parts);
        let waits = self.asks_first(parts) || self.settings().policy.is_shared();
        if waits { None } else { self.at_once(parts, has_body(parts.version, body)) }
    }

    /// Whether it is a write, of which this layer's policy has no more to say than that it drops the pages of its URL.
    fn passes_on(&self, method: &Method) -> bool {
        !is_safe(method) && !self.settings().policy.is_shared()
    }

    fn write_through<S, B>(&self, inner: &mut S, request: Request<B>) -> PageFuture<S, B>
    where
        S: Cacheable<B>,
        B: http_body::Body + Send + 'static,
    {
        let written = Written::of(self, request.uri(), request.headers(), request.extensions());
        PageFuture { kind: Kind::Write { inner: Through::of(inner, request), written } }
    }
}

/// The inner end of the pair as a service.
#[derive(Clone)]
struct InnerEnd<S>(S);

impl<S, B> Service<Request<B>> for InnerEnd<S>
where
    S: Cacheable<B>,
    B: http_body::Body + Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Boxed<S::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        Engine::fetch(&self.0, request)
    }
}

pub(crate) fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
        || method.as_str() == "QUERY"
}

async fn make<S, B>(visit: Box<Visit>, service: S, request: Request<B>) -> Result<Response<Body>, S::Error>
where
    S: Cacheable<B>,
    B: http_body::Body + Send + 'static,
{
    let (facts, headers, clock) = (visit.facts, visit.headers.clone(), visit.cache.clock().clone());
    let (mut parts, body) = request.into_parts();
    let front = match visit.front().await {
        Front::Stale(stale, visit) => {
            let behind = Behind::of(&visit, &stale.page, &parts, || {
                let (engine, mut service) = (visit.engine.clone(), service.clone());
                Again::new(parts.clone(), move |request| engine.page::<S, B>(&mut service, request))
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
                Whose::of_visit(&visit).say(response.headers_mut());
                say(response.headers_mut(), Forward::Miss, Some(Reason::TooLarge));
                Ok(response)
            }
        },
        Front::Alone(visit, forward, reason) => {
            visit.prepare(&mut parts.headers, false);
            visit.pass_on_waits(&mut parts.extensions);
            let mut response = into_body(service.oneshot(Request::from_parts(parts, body)).await?);
            visit.label(&mut response);
            Whose::of_visit(&visit).say(response.headers_mut());
            say(response.headers_mut(), forward, Some(reason));
            Ok(response)
        }
        Front::Lead(lead) => {
            let soft = lead.visit.engine.settings().stale.soft_timeout;
            let standby = lead.visit.standby.clone().zip(soft);
            let mut fill = leading(lead, service, Request::from_parts(parts, body));
            let Some((stale, soft)) = standby else { return fill.await };
            tokio::select! {
                response = &mut fill => response,
                () = clock.sleep(soft) => Ok(stale.answer(Shown::TooSlow, facts, &headers, clock.now())),
            }
        }
    }
}

/// Answers from a store that has to be waited for, or with a page that is made.
async fn answered<S, B>(mut asked: Box<(Seek, S, Parts, B)>) -> Result<Response<Body>, S::Error>
where
    S: Cacheable<B>,
    B: http_body::Body + Send + 'static,
{
    let (seek, _, parts, _) = &mut *asked;
    let looked = match seek.hit(&parts.headers).await {
        Ok(page) => {
            let now = seek.cache.clock().now();
            return Ok(respond::from_stored(&page, seek.facts, &parts.headers, now));
        }
        Err(looked) => looked,
    };
    let (seek, service, parts, body) = *asked;
    making(seek, looked, service, parts, body).await
}

/// What it takes to make a page is large, and nobody needs it for a hit.
fn making<S, B>(seek: Seek, looked: Option<Looked>, service: S, parts: Parts, body: B) -> Boxed<S::Error>
where
    S: Cacheable<B>,
    B: http_body::Body + Send + 'static,
{
    let visit = seek.visit(&parts, looked);
    Box::pin(make(visit, service, Request::from_parts(parts, body)))
}

/// Makes a page, and goes on with that if nobody waits for the answer any more.
fn leading<S, B>(
    lead: Box<Lead>,
    service: S,
    request: Request<B>,
) -> Detachable<Result<Response<Body>, S::Error>, impl Fn() -> bool + Send + Unpin + 'static>
where
    S: Cacheable<B>,
    B: http_body::Body + Send + 'static,
{
    let (mut parts, body) = request.into_parts();
    lead.visit.prepare(&mut parts.headers, lead.leader.is_some());
    let outer = parts.extensions.get::<Outer>().cloned();
    mark(&mut parts.extensions, lead.enclosing());
    lead.visit.pass_on_waits(&mut parts.extensions);
    let limit = lead.visit.engine.settings().max_fill;
    // Only for a page that is to be stored is it worth finishing what nobody reads any more.
    let refreshes = lead.visit.role.renewal().is_some();
    let detaches = outer.is_none() && lead.leader.is_some() && !refreshes;
    let witness = SessionWitness::of(&parts.extensions);
    let making = lead.noting(service.oneshot(Request::from_parts(parts, body)));
    let fill = async move {
        let _guard = PanicGuard::of(&lead);
        let asked = match lead.visit.standby {
            None => Asked::Done(making.await),
            Some(_) => Box::pin(lead.watched(making)).await,
        };
        let mut response = match lead.stood_in(asked) {
            Stood::For(response) => return Ok(response),
            Stood::Not(Ok(response)) => into_body(response),
            Stood::Not(Err(error)) => return Err(error),
        };
        lead.visit.label(&mut response);
        Ok(lead.back(response, outer, witness.private()).await)
    };
    Detachable::new(Box::pin(fill), limit, move || detaches)
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use larder_core::{Cache, Timeout};

    use super::*;
    use crate::settings::{Level, Settings};

    #[test]
    fn what_a_hit_from_another_process_waits_in_is_less_than_a_kilobyte() {
        let mut settings = Settings::new(Level::Page, Timeout::secs(60));
        settings.set_cache(Cache::new(larder_memory::Memory::new()));
        let (parts, ()) = Request::new(()).into_parts();
        let Entrance::Seek(seek) = Engine::new(&settings).enter(&parts, false, false) else {
            panic!("it is admitted, and not looked for")
        };
        let service =
            tower::service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::empty())));
        let asked = Box::new((seek, service, parts, Body::empty()));
        // glibc's allocator leaves its short way above 1,032 bytes.
        assert!(size_of_val(&*asked) < 1024, "{}", size_of_val(&*asked));
        let answered = answered(asked);
        assert!(size_of_val(&answered) < 1024, "{}", size_of_val(&answered));
    }
}
