//! The way of a request by the rules of a shared cache (RFC 9111), for gateways.
//!
//! The engine's other way (`engine.rs`) decides by the operator's timeout and asks the application for whole pages only. Here the response
//! decides; what is stale is validated, parts are kept, and the request's own directives count. Identity, store, flights and bodies are the
//! same.

mod answer;
mod fetch;
mod held;
mod plan;
mod search;
mod write;

use std::any::Any;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use larder_core::UnixMillis;
use larder_core::flight::{Joined, Outcome};
use larder_http::range::{self, ByteRange, RangeSpecs};
use larder_http::shared::{Reuse, Rules, reuse};
use larder_http::{CacheStatus, Forward, NoVarySearch, Reason, RequestCacheControl};
use tower::ServiceExt as _;

use crate::admit::admit;
use crate::again::{Again, head_of};
use crate::cacheable::Cacheable;
use crate::engine::{Engine, REGROUPS, Visit, has_body, into_body, say, say_bypass};
use crate::identity::Identity;
use crate::landing::{Landing, Traffic};
use crate::marks::Marks;
use crate::outer::{Enclosed, Waits};
use crate::page::is_safe;
use crate::respond;
use crate::session::{OnRequest, Whose};
use crate::stale::{Begun, Behind, Renewal, Renewals, Role};
use crate::turns::{Place, Turns};
use crate::which::{Chosen, choose};

use answer::Asking;
use held::{Found, Held};

pub(crate) use plan::{Gateway, GatewayPlan};
pub(crate) use search::SearchRules;

/// In a stored part: the Range that it answers.
pub(crate) const ASKED_RANGE: &str = "larder-range";

/// The largest content of a QUERY that is keyed on; others pass by.
const QUERY_CONTENT: usize = 64 << 10;

/// What was asked for, besides what every visit knows.
#[derive(Clone)]
struct Ask {
    rules: Arc<Rules>,
    wishes: RequestCacheControl,
    range: Option<RangeSpecs>,
    authority: String,
    /// The rule for the query by which the key was made.
    search: Option<Arc<NoVarySearch>>,
    /// The request as the client sent it, to make the key anew where the response brings another rule.
    asked: Arc<Parts>,
    own_id: bool,
}

impl Ask {
    fn asking<'a>(&'a self, visit: &'a Visit) -> Asking<'a> {
        Asking { facts: visit.facts, headers: &visit.headers, range: self.range.as_ref() }
    }
}

/// What is to be done with a request, going by what is stored.
enum Decision {
    Serve(Held),
    ServeAndRefresh(Held, Reason),
    /// All of it, or a part of the part.
    ServePart(Held, Option<ByteRange>),
    Ask(Forward),
    /// A refresh that is not needed any more.
    Idle,
}

impl Role {
    /// What a refresh does with what it finds; what another layer's refresh finds stale, it has made anew too.
    fn decide(&self, reuse: Reuse, held: &Held) -> Decision {
        match (self, reuse) {
            (Self::Renewal(refresh), _) if !refresh.is_for(&held.page) => Decision::Idle,
            (Self::Renewal(_), _) | (_, Reuse::ServeAndRefresh) => Decision::Ask(Forward::Stale),
            (_, Reuse::Serve) => Decision::Serve(held.clone()),
            (_, Reuse::Validate(forward)) => Decision::Ask(forward),
        }
    }
}

/// Answers a request by the rules of a shared cache.
pub(crate) async fn serve<S, B>(
    engine: Engine,
    service: S,
    request: Request<B>,
) -> Result<Response<Body>, S::Error>
where
    S: Cacheable<B>,
    B: http_body::Body + Send + 'static,
{
    let (mut parts, mut body) = request.into_parts();
    let settings = engine.settings();
    let chosen = choose(settings, &parts.extensions);
    let chosen = chosen.map(|Chosen { cache, own_id }| (cache.into_owned(), own_id));
    let (Some(rules), Some((cache, own_id))) = (settings.policy.rules().cloned(), chosen) else {
        return pass(service, parts, body, Reason::NoSuchCache).await;
    };
    if !is_safe(&parts.method) {
        return write::write(&engine, cache, own_id, rules, service, Request::from_parts(parts, body)).await;
    }
    let mut content = None;
    let admitted = if parts.method.as_str() == "QUERY" {
        match read_query::<B>(body).await {
            Ok((bytes, again)) => {
                (content, body) = (Some(bytes), again);
                let mut headers = parts.headers.clone();
                headers.remove(header::CONTENT_LENGTH);
                headers.remove(header::TRANSFER_ENCODING);
                admit(&Method::GET, &headers, &settings.identity_headers, false)
            }
            Err(Some(again)) => {
                body = again;
                Err(Reason::Method)
            }
            // The client broke off in the middle of its request.
            Err(None) => return Ok(plain(StatusCode::BAD_REQUEST)),
        }
    } else {
        admit(&parts.method, &parts.headers, &settings.identity_headers, has_body(parts.version, &body))
    };
    let mut facts = match admitted {
        Ok(facts) if facts.precondition => return pass(service, parts, body, Reason::Precondition).await,
        Ok(facts) => facts,
        Err(reason) => return pass(service, parts, body, reason).await,
    };
    let marks = Marks::of(&parts.extensions);
    (facts.nested, facts.refresh, facts.session) = (marks.nested, marks.refresh, marks.session);
    let mut identity = Identity::of(settings, &cache, own_id, &parts, facts);
    if identity.is_refused() {
        return pass(service, parts, body, Reason::KeyFnRefused).await;
    }
    if marks.session && OnRequest::of(&parts.extensions).is_new {
        return pass(service, parts, body, Reason::SessionModified).await;
    }
    if let Some(content) = &content {
        identity = identity.with_content(&described(&parts.headers), blake3::hash(content).as_bytes());
    }
    let began = cache.clock().now();
    let ask = Ask {
        rules,
        wishes: wishes(&parts.headers, facts.refresh),
        range: range::requested(&parts.headers).filter(|_| parts.method == Method::GET),
        authority: authority(&parts),
        search: search_rule(&cache, &parts),
        asked: Arc::new(parts.clone()),
        own_id,
    };
    let cache = Waits::handle(&parts.extensions, &cache);
    let role = Role::marked(marks.renewing, settings);
    let visit = Visit::new(&engine, cache, identity, facts, role, began, &parts);
    parts.extensions.remove::<Enclosed>();
    visit_store(visit, ask, service, Request::from_parts(parts, body)).await
}

/// What a request says about being answered from the cache. Who has a page made anew says it for everybody, whatever the rules let clients say.
fn wishes(headers: &HeaderMap, refresh: bool) -> RequestCacheControl {
    if !refresh {
        return RequestCacheControl::from_headers(headers);
    }
    let mut wishes = RequestCacheControl::default();
    wishes.no_cache = true;
    wishes
}

/// The rule for the query that is known for a request's path.
fn search_rule(cache: &larder_core::Cache, parts: &Parts) -> Option<Arc<NoVarySearch>> {
    let (host, path) = Identity::place(parts);
    cache.attached::<SearchRules>().of(host, path)
}

/// The host that a request names, in lower case.
fn authority(parts: &Parts) -> String {
    let host = || parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = parts.uri.authority().map(|authority| authority.as_str()).or_else(host);
    authority.unwrap_or("").to_ascii_lowercase()
}

async fn pass<S, B>(service: S, parts: Parts, body: B, reason: Reason) -> Result<Response<Body>, S::Error>
where
    S: Cacheable<B>,
    B: Send + 'static,
{
    let whose = Whose::of(&parts.extensions);
    let mut response = into_body(service.oneshot(Request::from_parts(parts, body)).await?);
    whose.say(response.headers_mut());
    say_bypass(response.headers_mut(), reason);
    Ok(response)
}

/// Reads the content of a QUERY, which is part of its key (RFC 10008). `Err`: it is too large or of a type that can't be put together again;
/// `None`: it broke.
async fn read_query<B>(body: B) -> Result<(Bytes, B), Option<B>>
where
    B: http_body::Body + Send + 'static,
{
    let known = body.size_hint().upper().is_some_and(|length| length <= QUERY_CONTENT as u64);
    if !known {
        return Err(Some(body));
    }
    let mut body = match convert::<B, Body>(body) {
        Ok(body) => body,
        Err(body) => return Err(Some(body)),
    };
    let bytes = Limited::new(&mut body, QUERY_CONTENT).collect().await.map_err(|_| None)?.to_bytes();
    match convert::<Body, B>(Body::from(bytes.clone())) {
        Ok(again) => Ok((bytes, again)),
        Err(_) => Err(None),
    }
}

/// The fields that say what the content of a QUERY means, every line of them.
fn described(headers: &HeaderMap) -> Vec<(&'static str, &[u8])> {
    let names = ["content-type", "content-encoding", "content-language", "content-location", "content-range"];
    let lines = |name| headers.get_all(name).iter().map(move |line| (name, line.as_bytes()));
    names.into_iter().flat_map(lines).collect()
}

/// A value as one of another type, if it is of that type.
pub(crate) fn convert<A: 'static, B: 'static>(value: A) -> Result<B, A> {
    let mut value = Some(value);
    match (&mut value as &mut dyn Any).downcast_mut::<Option<B>>().and_then(Option::take) {
        Some(same) => Ok(same),
        None => match value {
            Some(value) => Err(value),
            // Taken only in the arm above.
            None => unreachable!("a value that was not taken is there"),
        },
    }
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// What is to be done, going by what is stored.
fn decide(found: &Found, visit: &Visit, ask: &Ask, now: UnixMillis) -> Decision {
    let candidates = if visit.facts.head && found.whole.is_empty() { &found.head } else { &found.whole };
    if let Some(held) = candidates.first() {
        return match reuse(&ask.rules, &held.page.fields(), &held.page.meta.timing, &ask.wishes, now) {
            reuse if !visit.role.is_ordinary() => visit.role.decide(reuse, held),
            Reuse::Serve if visit.engine.settings().stale.is_early(&held.page.meta, now) => {
                Decision::ServeAndRefresh(held.clone(), Reason::EarlyRefresh)
            }
            Reuse::Serve => Decision::Serve(held.clone()),
            Reuse::ServeAndRefresh => Decision::ServeAndRefresh(held.clone(), Reason::StaleWhileRevalidate),
            Reuse::Validate(forward) => Decision::Ask(forward),
        };
    }
    if let Some(specs) = &ask.range {
        for held in &found.parts {
            let fresh = reuse(&ask.rules, &held.page.fields(), &held.page.meta.timing, &ask.wishes, now)
                == Reuse::Serve;
            if !fresh || !range::if_range_holds(&visit.headers, &held.page.fields(), now) {
                continue;
            }
            if held.page.fields().get(ASKED_RANGE) == visit.headers.get(header::RANGE) {
                return Decision::ServePart(held.clone(), None);
            }
            let Some((has, complete)) = range::content_range(&held.page.fields()) else { continue };
            // Of what it says it has, only what is there.
            let last = has.last.min((has.first + held.page.body.len() as u64).saturating_sub(1));
            let wanted = specs.single(complete).filter(|part| has.first <= part.first && part.last <= last);
            if wanted.is_some() {
                return Decision::ServePart(held.clone(), wanted);
            }
        }
    }
    Decision::Ask(match () {
        () if !found.parts.is_empty() => Forward::Partial,
        () if found.others => Forward::VaryMiss,
        () => Forward::UriMiss,
    })
}

async fn visit_store<S, B>(
    mut visit: Box<Visit>,
    ask: Ask,
    service: S,
    mut request: Request<B>,
) -> Result<Response<Body>, S::Error>
where
    S: Cacheable<B>,
    B: http_body::Body + Send + 'static,
{
    let clock = visit.cache.clock().clone();
    let mut patience = std::pin::pin!(clock.sleep(visit.engine.settings().max_wait));
    let mut forward = Forward::Miss;
    let (mut first, mut fields) = (true, larder_http::VaryFields::default());
    for _ in 0..REGROUPS {
        let found = match held::look(&visit, ask.search.as_deref()).await {
            Ok(found) => found,
            Err(error) => {
                report(&visit, &error);
                return alone(visit, service, request, Forward::Miss, Reason::BackendError).await;
            }
        };
        let now = clock.now();
        match decide(&found, &visit, &ask, now) {
            Decision::Serve(held) => {
                let status = CacheStatus::hit(held.page.meta.timing.ttl_secs(now));
                return Ok(answer::whole(&held.page, ask.asking(&visit), status, now));
            }
            Decision::ServePart(held, wanted) => {
                let status = CacheStatus::hit(held.page.meta.timing.ttl_secs(now));
                return Ok(answer::part(&held.page, wanted, ask.asking(&visit), status, now));
            }
            Decision::ServeAndRefresh(held, reason) => {
                let behind = behind(&visit, &held, &service, &mut request);
                if let Some(shown) = visit.refresh_shared(&held, behind, reason) {
                    let status = CacheStatus::hit(held.page.meta.timing.ttl_secs(now));
                    let status = CacheStatus { detail: shown.map(Reason::as_str), ..status };
                    return Ok(answer::whole(&held.page, ask.asking(&visit), status, now));
                }
                forward = Forward::Stale;
            }
            Decision::Idle => return Ok(respond::idle()),
            Decision::Ask(why) if first || why != Forward::UriMiss => forward = why,
            Decision::Ask(_) => {}
        }
        if ask.wishes.only_if_cached {
            return Ok(plain(StatusCode::GATEWAY_TIMEOUT));
        }
        let fill = match visit.cache.begin(&visit.known_tags()).await {
            Ok(fill) => fill,
            Err(error) => {
                report(&visit, &error);
                return alone(visit, service, request, forward, Reason::BackendError).await;
            }
        };
        visit.began = clock.now();
        let traffic = visit.cache.attached::<Traffic>();
        if first {
            fields = found.fields.clone();
        }
        let (get_flight, own_flight) = visit.flight_keys(&fields);
        // An answer to these is for nobody else.
        let passes = traffic.passes.key(&own_flight, visit.began)
            || (visit.facts.head && traffic.passes.key(&get_flight, visit.began))
            || traffic.passes.route(visit.route(), visit.began);
        let solo = visit.facts.solo
            || ask.wishes.no_store
            || (visit.facts.conditional && found.whole.is_empty())
            || !found.parts.is_empty()
            || visit.enclosed.flights.contains(&own_flight)
            || passes;
        let leader = match solo {
            true => None,
            false => {
                match traffic.flights.join(&own_flight, fill.fence(), visit.engine.settings().max_waiters) {
                    // Somebody makes it already.
                    Joined::Full | Joined::Wait(_) if visit.role.renewal().is_some() => {
                        return Ok(respond::idle());
                    }
                    Joined::Full => return alone(visit, service, request, forward, Reason::WaitLimit).await,
                    Joined::Lead(leader) => Some(Arc::new(leader)),
                    Joined::Wait(mut waiter) => {
                        let waited = tokio::select! {
                            outcome = waiter.wait() => outcome,
                            () = &mut patience => return alone(visit, service, request, forward, Reason::WaitLimit).await,
                        };
                        drop(waiter);
                        first = false;
                        match waited {
                            Outcome::Value(Landing::Page(landed)) => {
                                let usable = visit.is_ours(&landed) && serves(&landed, &ask, clock.now());
                                if usable
                                    && let Some(response) =
                                        landed.answer(visit.facts, &visit.headers, clock.now())
                                {
                                    return Ok(response);
                                }
                                fields = landed.fields.clone();
                                continue;
                            }
                            Outcome::Value(Landing::Alone | Landing::Failed(_)) => None,
                            // Its own look says whether that is for it.
                            Outcome::Value(Landing::Stored(_) | Landing::Vary(_)) | Outcome::Abandoned => {
                                continue;
                            }
                        }
                    }
                }
            }
        };
        let mut turns = match &leader {
            Some(_) => Turns::of(&visit, &own_flight, &fill),
            None => Turns::none(),
        };
        let (mut leader, mut passes) = (leader, passes);
        // After the fill began: what is found now was not invalidated before, and what is invalidated from now on is not stored.
        let (found, lease) = loop {
            let place = turns.next(patience.as_mut()).await;
            if matches!(place, Place::TooLong) {
                return alone(visit, service, request, forward, Reason::WaitLimit).await;
            }
            let found = match held::look(&visit, ask.search.as_deref()).await {
                Ok(found) => found,
                Err(error) => {
                    report(&visit, &error);
                    return alone(visit, service, request, forward, Reason::BackendError).await;
                }
            };
            let now = clock.now();
            match decide(&found, &visit, &ask, now) {
                Decision::Serve(held) => {
                    if let Some(leader) = &leader {
                        leader.publish(Landing::Stored(Arc::clone(&held.page)));
                    }
                    let status = CacheStatus::hit(held.page.meta.timing.ttl_secs(now));
                    return Ok(answer::whole(&held.page, ask.asking(&visit), status, now));
                }
                Decision::Idle => return Ok(respond::idle()),
                _ => {}
            }
            match place {
                Place::Lead(lease) => break (found, lease),
                Place::Pass(until) => {
                    traffic.passes.note(&own_flight, until);
                    if let Some(leader) = leader.take() {
                        leader.publish(Landing::Alone);
                    }
                    passes = true;
                    break (found, None);
                }
                Place::Taken => return Ok(respond::idle()),
                Place::Look | Place::TooLong => {}
            }
        };
        let mut lead = visit.lead(forward, fill, traffic, own_flight, leader);
        (lead.lease, lead.passed) = (lease, passes);
        return fetch::lead(lead, found, ask, service, request).await;
    }
    alone(visit, service, request, forward, Reason::WaitLimit).await
}

/// Whether one who waited may be answered with what came. Its rule for the query may be another than that by which they met.
fn serves(landed: &crate::landing::Landed, ask: &Ask, now: UnixMillis) -> bool {
    let rule = NoVarySearch::from_headers(&landed.headers);
    ask.search.as_deref().map_or(rule.is_default(), |met| *met == rule)
        && reuse(&ask.rules, &landed.headers, &landed.meta.timing, &ask.wishes, now) == Reuse::Serve
}

/// What it takes to make a stale response anew behind the answer.
fn behind<S, B>(visit: &Visit, held: &Held, service: &S, request: &mut Request<B>) -> Option<Behind>
where
    S: Cacheable<B>,
    B: http_body::Body + Send + 'static,
{
    let parts = head_of(request);
    Behind::of(visit, &held.page, &parts, || {
        let (engine, mut service) = (visit.engine.clone(), service.clone());
        Again::new(head_of(request), move |request: Request<B>| engine.page(&mut service, request))
    })
}

impl Visit {
    /// Begins to make a stale response anew behind the answer. `None`: it can't be, and the origin has to be asked first; else what is to be said
    /// of it.
    fn refresh_shared(&self, held: &Held, behind: Option<Behind>, reason: Reason) -> Option<Option<Reason>> {
        let (early, now) = (reason == Reason::EarlyRefresh, self.cache.clock().now());
        let Some(behind) = behind else { return early.then_some(None) };
        if self.cache.attached::<Renewals>().rests(&held.page.meta.key, now) {
            return Some((!early).then_some(Reason::StaleOnError));
        }
        match Renewal::begin(self.engine.settings(), &self.cache, &held.page) {
            Begun::New(refresh) => behind.begin(self, refresh),
            Begun::UnderWay(_) => {}
            Begun::Full => return Some((!early).then_some(Reason::RefreshLimit)),
        }
        Some(Some(reason))
    }
}

async fn alone<S, B>(
    visit: Box<Visit>,
    service: S,
    mut request: Request<B>,
    forward: Forward,
    reason: Reason,
) -> Result<Response<Body>, S::Error>
where
    S: Cacheable<B>,
    B: Send + 'static,
{
    visit.pass_on_waits(request.extensions_mut());
    let mut response = into_body(service.oneshot(request).await?);
    visit.label(&mut response);
    Whose::of_visit(&visit).say(response.headers_mut());
    say(response.headers_mut(), forward, Some(reason));
    Ok(response)
}

fn report(visit: &Visit, error: &larder_core::Error) {
    // The failure itself is in the log already.
    tracing::debug!(target: "larder::decision", cache = visit.cache.name(), kind = error.kind().as_str(), %error, "the page is made without the store");
}
