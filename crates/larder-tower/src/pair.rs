//! The two ends apart: what the per-site pair is made of.
//!
//! `UpdateCacheLayer` sorts the request out and puts a [`Ticket`] on it; `FetchFromCacheLayer`, inside, looks the page up or leads its making,
//! and notes on the ticket what it did. `UpdateCacheLayer` keeps its own copy of the ticket, so nothing that a middleware between
//! does to extensions can break the pair.

use std::fmt;
use std::future::Future;
use std::mem;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use http::request::Parts;
use http::{HeaderMap, Request, Response, Uri, header};
use http_body::Body as _;
use larder_core::{Attachment, Clock};
use larder_http::{CACHE_STATUS, CacheControlPatch, Forward, Reason};
use parking_lot::Mutex;
use tower::ServiceExt as _;

use crate::again::Again;
use crate::attach::{self, noting};
use crate::cacheable::Cacheable;
use crate::detach::Detachable;
use crate::engine::{Engine, Front, Lead, Visit, has_body, into_body, say, say_bypass};
use crate::entrance::Entrance;
use crate::kept::Page;
use crate::landing::Landed;
use crate::marks::mark;
use crate::outer::{Judge, Outer};
use crate::page::{PanicGuard, is_safe};
use crate::parts::Beside;
use crate::respond;
use crate::session::{OnRequest, SessionWitness, Whose};
use crate::stale::{Asked, Behind, Shown, Stale, Stood};
use crate::written::{Written, unsafe_method};

type Boxed<E> = Pin<Box<dyn Future<Output = Result<Response<Body>, E>> + Send>>;

/// What connects the two ends of the pair. On the request; only `larder-site` has a use for it.
#[derive(Clone)]
pub struct Ticket(Arc<Mutex<State>>);

enum State {
    /// By the rules of a shared cache the inner end does everything.
    Gateway(Engine),
    /// Sorted out; nobody has fetched yet.
    Open(Box<Visit>, Uri),
    /// Being fetched.
    Fetching,
    Hit(Arc<Page>),
    /// The same, after it was waited for.
    Renewed(Arc<Page>),
    Show(Stale, Shown),
    Joined(Arc<Landed>),
    Lead(Box<Lead>),
    /// Made, and on its way into the store.
    Landing,
    Alone(Forward, Reason),
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").finish_non_exhaustive()
    }
}

impl Ticket {
    /// For a request that passes by: the inner end knows by it that there is an outer one.
    pub(crate) fn passing() -> Self {
        Self(Arc::new(Mutex::new(State::Fetching)))
    }

    fn set(&self, state: State) {
        *self.0.lock() = state;
    }

    fn take(&self) -> State {
        mem::replace(&mut *self.0.lock(), State::Fetching)
    }

    fn leads(&self) -> bool {
        match &*self.0.lock() {
            State::Lead(lead) => lead.leader.is_some(),
            State::Landing => true,
            _ => false,
        }
    }

    /// Whether a stale page can stand in for what it leads to.
    fn stands_in(&self) -> bool {
        matches!(&*self.0.lock(), State::Lead(lead) if lead.visit.standby.is_some())
    }
}

impl Ticket {
    /// Waits for what lies inside; what a stale page can stand in for, no longer than a fill may take, and a panic is caught.
    async fn watched<T>(&self, clock: &Clock, limit: Duration, work: impl Future<Output = T>) -> Asked<T> {
        let mut work = std::pin::pin!(work);
        let mut late = std::pin::pin!(clock.sleep(limit));
        let caught = std::future::poll_fn(|cx| {
            let poll = match std::panic::catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
                Ok(poll) => poll,
                Err(panic) => match self.stands_in() {
                    true => return Poll::Ready(Asked::Gone),
                    false => std::panic::resume_unwind(panic),
                },
            };
            match poll {
                Poll::Ready(done) => Poll::Ready(Asked::Done(done)),
                Poll::Pending if self.stands_in() && late.as_mut().poll(cx).is_ready() => {
                    Poll::Ready(Asked::Gone)
                }
                Poll::Pending => Poll::Pending,
            }
        });
        caught.await
    }
}

impl Engine {
    /// What it takes to run a request once more from here, if this layer or one inside may want it.
    fn again<S, B>(&self, inner: &S, parts: &Parts) -> Option<Again>
    where
        S: Cacheable<B>,
        B: http_body::Body + Send + 'static,
    {
        let stale = &self.settings().stale;
        if !stale.refreshes() && !stale.wants.is_wanted() {
            return None;
        }
        let (engine, mut inner) = (self.clone(), inner.clone());
        Again::new(parts.clone(), move |request: Request<B>| async move {
            std::future::poll_fn(|cx| inner.poll_ready(cx)).await?;
            engine.update(&mut inner, request).await
        })
    }

    /// The outer end. `inner` must be ready.
    pub fn update<S, B>(&self, inner: &mut S, request: Request<B>) -> Boxed<S::Error>
    where
        S: Cacheable<B>,
        B: http_body::Body + Send + 'static,
    {
        let (mut parts, body) = request.into_parts();
        self.settings().narrowing.apply(&mut parts);
        if self.asks_first(&parts) {
            let clone = inner.clone();
            let (engine, mut ready) = (self.clone(), mem::replace(inner, clone));
            return Box::pin(async move {
                engine.ask_first(&mut parts).await;
                engine.update(&mut ready, Request::from_parts(parts, body)).await
            });
        }
        let judge = if parts.extensions.get::<Outer>().is_some() {
            None
        } else {
            Some(Judge::new(&self.settings().stale.wants, self.again::<S, B>(inner, &parts)))
        };
        let outside = parts.extensions.get::<Outer>().cloned();
        if let Some(judge) = &judge {
            mark(&mut parts.extensions, judge.ear());
        }
        if self.settings().policy.is_shared() {
            parts.extensions.insert(Ticket(Arc::new(Mutex::new(State::Gateway(self.clone())))));
            let response = inner.call(Request::from_parts(parts, body));
            return Box::pin(judged(judge, async move { response.await.map(into_body) }));
        }
        let visit = match self.enter(&parts, has_body(parts.version, &body), false) {
            Entrance::Bypass(Reason::Method) if !is_safe(&parts.method) => {
                let written = Written::of(self, &parts.uri, &parts.headers, &parts.extensions);
                parts.extensions.insert(Ticket::passing());
                let response = inner.call(Request::from_parts(parts, body));
                return Box::pin(judged(judge, unsafe_method(response, written)));
            }
            Entrance::Bypass(reason) => {
                parts.extensions.insert(Ticket::passing());
                let response = inner.call(Request::from_parts(parts, body));
                return Box::pin(judged(judge, async move {
                    let mut response = into_body(response.await?);
                    say_bypass(response.headers_mut(), reason);
                    Ok(response)
                }));
            }
            // `enter` was told not to answer.
            Entrance::Hit(response) => return Box::pin(async move { Ok(response) }),
            Entrance::Seek(seek) => seek.visit(&parts, None),
        };
        // What lies between is to depend on no more than the application: the page is made by both.
        visit.prepare(&mut parts.headers, false);
        let limit = self.settings().max_fill;
        let uri = parts.uri.clone();
        let (facts, asked, clock) = (visit.facts, Arc::clone(&visit.headers), visit.cache.clock().clone());
        let refreshes = visit.role.renewal().is_some();
        let ticket = Ticket(Arc::new(Mutex::new(State::Open(visit, uri))));
        parts.extensions.insert(ticket.clone());
        let witness = SessionWitness::of(&parts.extensions);
        let response = inner.call(Request::from_parts(parts, body));
        let (own, detaches) = (ticket.clone(), outside.is_none() && !refreshes);
        let attaches = self.settings().attach;
        let work = judged(judge, async move {
            let came = own.watched(&clock, limit, response).await;
            let mut response = match (own.take(), came) {
                (State::Lead(lead), came) => match lead.stood_in(came) {
                    Stood::For(response) => return Ok(response),
                    Stood::Not(answer) => {
                        own.set(State::Lead(lead));
                        into_body(answer?)
                    }
                },
                (state, Asked::Done(answer)) => {
                    own.set(state);
                    into_body(answer?)
                }
                // What is gone is gone with a lead.
                (_, Asked::Gone) => respond::idle(),
            };
            let state = own.take();
            Ok(match state {
                State::Hit(page) if page.status == response.status() => {
                    with_cookies(respond::from_stored(&page, facts, &asked, clock.now()), &response)
                }
                State::Renewed(page) if page.status == response.status() => {
                    with_cookies(respond::renewed(&page, facts, &asked, clock.now()), &response)
                }
                State::Show(stale, shown) if stale.page.status == response.status() => {
                    with_cookies(stale.answer(shown, facts, &asked, clock.now()), &response)
                }
                State::Joined(landed) if landed.status == response.status() => {
                    match landed.answer(facts, &asked, clock.now()) {
                        Some(answer) => with_cookies(answer, &response),
                        None => response,
                    }
                }
                State::Lead(mut lead) => {
                    if lead.leader.is_some() {
                        own.set(State::Landing);
                    }
                    lead.attachment = attach::both(lead.attachment.take());
                    lead.visit.label(&mut response);
                    Box::pin(lead.back(response, outside, witness.private())).await
                }
                state => {
                    match state {
                        State::Alone(forward, reason) => say(response.headers_mut(), forward, Some(reason)),
                        // A middleware between answered itself, or made something else of a hit.
                        State::Open(..) | State::Fetching => {
                            say_bypass(response.headers_mut(), Reason::NoFetch);
                        }
                        _ => say_bypass(response.headers_mut(), Reason::Replaced),
                    }
                    response
                }
            })
        });
        // What lies between makes the page too.
        let work: Boxed<S::Error> = match attaches {
            true => Box::pin(Attachment::lazily(work)),
            false => Box::pin(work),
        };
        Box::pin(Detachable::new(work, limit, move || detaches && ticket.leads()))
    }

    /// The inner end; a clone of `inner` is made ready when it is needed.
    pub fn fetch<S, B>(inner: &S, request: Request<B>) -> Boxed<S::Error>
    where
        S: Cacheable<B>,
        B: http_body::Body + Send + 'static,
    {
        let (mut parts, body) = request.into_parts();
        let Some(ticket) = parts.extensions.remove::<Ticket>() else {
            let response = inner.clone().oneshot(Request::from_parts(parts, body));
            return Box::pin(async move {
                let mut response = into_body(response.await?);
                if !response.headers().contains_key(CACHE_STATUS) {
                    say_bypass(response.headers_mut(), Reason::NoUpdateLayer);
                }
                Ok(response)
            });
        };
        let (mut visit, uri) = match ticket.take() {
            State::Open(visit, uri) => (visit, uri),
            State::Gateway(engine) => {
                return Box::pin(engine.page(&mut inner.clone(), Request::from_parts(parts, body)));
            }
            // It passes by; or this is a second Fetch inside the first, which leads.
            _ => return Box::pin(passed(inner.clone(), Request::from_parts(parts, body))),
        };
        let headers = mem::take(&mut visit.headers);
        let Visit { engine, identity, facts, .. } = &mut *visit;
        identity.seen_inside(engine.settings(), &headers, &uri, &parts);
        // The session layer may stand between the two ends.
        let session = OnRequest::of(&parts.extensions);
        identity.see_session(&session, facts);
        visit.headers = headers;
        // Between here and the other end, nothing evaluates conditions: that end does, on the final page.
        let plain = crate::admit::Facts { conditional: false, solo: false, nested: false, ..visit.facts };
        let now = visit.cache.clock().now();
        if !session.is_new
            && let Some(page) = visit.hit_at_once()
        {
            let response = placeholder(&page, plain, now);
            ticket.set(State::Hit(page));
            return Box::pin(async move { Ok(response) });
        }
        let service = inner.clone();
        Box::pin(async move {
            if session.is_new {
                ticket.set(State::Alone(Forward::Bypass, Reason::SessionModified));
                return passed(service, Request::from_parts(parts, body)).await;
            }
            // What few requests need is large, and lies apart: all of them would have to carry it around.
            let front = match Box::pin(visit.front()).await {
                Front::Stale(stale, visit) => {
                    // Without the layer outside there is no outer end to pass: the page could not be stored.
                    let behind = Behind::of(&visit, &stale.page, &parts, || None);
                    visit.course(stale, behind).await
                }
                front => front,
            };
            match front {
                Front::Hit(page) => {
                    let response = placeholder(&page, plain, now);
                    ticket.set(State::Hit(page));
                    Ok(response)
                }
                Front::Renewed(page) => {
                    let response = placeholder(&page, plain, now);
                    ticket.set(State::Renewed(page));
                    Ok(response)
                }
                Front::Show(stale, shown) => {
                    let response = placeholder(&stale.page, plain, now);
                    ticket.set(State::Show(stale, shown));
                    Ok(response)
                }
                // Nobody is there to be answered; `course` never gives a stale page back.
                Front::Idle | Front::Stale(..) => Ok(respond::idle()),
                Front::Joined(landed, _) => match landed.answer(plain, &HeaderMap::new(), now) {
                    Some(response) => {
                        ticket.set(State::Joined(landed));
                        Ok(response)
                    }
                    None => {
                        ticket.set(State::Alone(Forward::Miss, Reason::TooLarge));
                        passed(service, Request::from_parts(parts, body)).await
                    }
                },
                Front::Alone(visit, forward, reason) => {
                    visit.pass_on_waits(&mut parts.extensions);
                    ticket.set(State::Alone(forward, reason));
                    passed(service, Request::from_parts(parts, body)).await
                }
                Front::Lead(lead) => {
                    lead.visit.prepare(&mut parts.headers, lead.leader.is_some());
                    mark(&mut parts.extensions, lead.enclosing());
                    lead.visit.pass_on_waits(&mut parts.extensions);
                    let _guard = PanicGuard::of(&lead);
                    let attachment = lead.attachment.clone();
                    ticket.set(State::Lead(lead));
                    let making = noting(attachment, service.oneshot(Request::from_parts(parts, body)));
                    let response = into_body(making.await?);
                    if let State::Lead(lead) = &mut *ticket.0.lock() {
                        lead.known_length = response.body().size_hint().exact().is_some();
                        lead.beside = Beside::of(response.extensions());
                    }
                    Ok(response)
                }
            }
        })
    }
}

/// A response that is not stored, with the word whose it is.
async fn passed<S, B>(service: S, request: Request<B>) -> Result<Response<Body>, S::Error>
where
    S: Cacheable<B>,
    B: http_body::Body + Send + 'static,
{
    let whose = match is_safe(request.method()) {
        true => Whose::of(request.extensions()),
        false => Whose::default(),
    };
    let mut response = into_body(service.oneshot(request).await?);
    whose.say(response.headers_mut());
    Ok(response)
}

/// Gives the verdict on the final head to the layers inside, if this is the outermost.
pub(crate) async fn judged<E>(
    judge: Option<Judge>,
    response: impl Future<Output = Result<Response<Body>, E>>,
) -> Result<Response<Body>, E> {
    let mut response = response.await?;
    if let Some(judge) = judge {
        judge.judge(&mut response);
    }
    Ok(response)
}

/// What the middleware between sees of a hit: the page as it was stored.
fn placeholder(page: &Page, facts: crate::admit::Facts, now: u64) -> Response<Body> {
    let mut response = respond::from_stored(page, facts, &HeaderMap::new(), now);
    response.headers_mut().remove(CACHE_STATUS);
    response
}

/// Adds the cookies that a middleware between set on the way back: they are this visitor's, and so is the answer that carries them.
fn with_cookies(mut answer: Response<Body>, came_back: &Response<Body>) -> Response<Body> {
    if !came_back.headers().contains_key(header::SET_COOKIE) {
        return answer;
    }
    let headers = answer.headers_mut();
    for cookie in came_back.headers().get_all(header::SET_COOKIE) {
        headers.append(header::SET_COOKIE, cookie.clone());
    }
    CacheControlPatch::default().private().apply(headers);
    answer
}
