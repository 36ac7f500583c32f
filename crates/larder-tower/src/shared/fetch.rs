//! Asking the origin: conditions of our own, and what its answer means.

use std::sync::Arc;

use axum::body::Body;
use http::response::Parts as Head;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use larder_core::UnixMillis;
use larder_http::range::{self, ByteRange};
use larder_http::shared::{
    Answered, Received, Rules, StaleOnError, answers, combine, freshen, same_representation, stale_on_error,
    validation,
};
use larder_http::{CacheStatus, Reason, StoredMeta, StoredResponse, Timing, Vary, format_date};
use tower::ServiceExt as _;

use super::held::{Found, Held};
use super::plan::{Gateway, fields};
use super::{Ask, answer, plain};
use crate::again::no_body;
use crate::back::MOST_FIELDS;
use crate::cacheable::Cacheable;
use crate::detach::Detachable;
use crate::engine::{Lead, into_body, say};
use crate::kept::Page;
use crate::labels;
use crate::landing::{Landed, LandedBody, Landing, Place};
use crate::marks::mark;
use crate::outer::Outer;
use crate::page::PanicGuard;
use crate::policy::OriginUnreachable;
use crate::session::SessionWitness;
use crate::stale::failed_status;

/// What our request to the origin adds to the client's.
enum Sent {
    /// Nothing.
    Plain,
    /// Conditions on what is stored.
    Validation,
    /// The range that a stored part lacks.
    Completion(Box<Held>),
}

/// Asks the origin, and stores what may be stored.
pub(super) async fn lead<S, B>(
    mut lead: Box<Lead>,
    found: Found,
    ask: Ask,
    service: S,
    request: Request<B>,
) -> Result<Response<Body>, S::Error>
where
    S: Cacheable<B>,
    B: http_body::Body + Send + 'static,
{
    let (mut parts, body) = request.into_parts();
    let now = lead.visit.cache.clock().now();
    let sent = prepare(&mut parts.headers, &found, &lead, &ask, now);
    lead.gateway = Some(Gateway {
        rules: Arc::clone(&ask.rules),
        authority: ask.authority.clone(),
        held_part: found.parts.first().map(|held| (Arc::clone(&held.page), held.entry.clone())),
        conditional: !matches!(sent, Sent::Plain) || lead.leader.is_some(),
        // A QUERY is keyed on its content, which is not at hand any more.
        asked: (ask.asked.method.as_str() != "QUERY").then(|| Arc::clone(&ask.asked)),
        own_id: ask.own_id,
    });
    if lead.leader.is_some() && lead.visit.facts.conditional && matches!(sent, Sent::Plain) {
        // Who makes a page for many makes the whole page; the client's condition is evaluated on it afterwards.
        parts.headers.remove(header::IF_NONE_MATCH);
        parts.headers.remove(header::IF_MODIFIED_SINCE);
    }
    let outer = parts.extensions.get::<Outer>().cloned();
    mark(&mut parts.extensions, lead.enclosing());
    lead.visit.pass_on_waits(&mut parts.extensions);
    let limit = lead.visit.engine.settings().max_fill;
    let detaches = outer.is_none() && lead.leader.is_some() && lead.visit.role.renewal().is_none();
    let witness = SessionWitness::of(&parts.extensions);
    let work = async move {
        let _guard = PanicGuard::of(&lead);
        let again = again(&parts, &lead);
        let making = lead.noting(service.clone().oneshot(Request::from_parts(parts, body)));
        let response = match making.await {
            Ok(response) => into_body(response),
            Err(error) => {
                return match stand_in(&lead, &found, &ask, StaleOnError::Disconnected, None) {
                    Some(response) => Ok(response),
                    None => {
                        lead.fail(None);
                        Err(error)
                    }
                };
            }
        };
        if let Some(response) = failed(&lead, &found, &ask, &response) {
            return Ok(response);
        }
        let response = match settle(&lead, &found, &ask, sent, response).await {
            Settled::Done(response) => return Ok(response),
            Settled::New(response) => response,
            // It spoke of something we don't have: once more, without conditions.
            Settled::Again(response) => match (again, no_body::<B>()) {
                (Some(parts), Some(body)) => {
                    into_body(lead.noting(service.oneshot(Request::from_parts(parts, body))).await?)
                }
                _ => response,
            },
        };
        let (head, body) = response.into_parts();
        if lead.visit.facts.head {
            head_tells(&lead, &found, &head).await;
        }
        let mut response = Response::from_parts(head, body);
        lead.visit.label(&mut response);
        Ok(lead.back(response, outer, witness.private()).await)
    };
    Detachable::new(Box::pin(work), limit, move || detaches).await
}

/// Makes the client's request ours.
fn prepare(request: &mut HeaderMap, found: &Found, lead: &Lead, ask: &Ask, now: UnixMillis) -> Sent {
    let facts = lead.visit.facts;
    if facts.head || ask.wishes.no_store {
        return Sent::Plain;
    }
    if !found.whole.is_empty() {
        let mut conditions = request.clone();
        if validation(&mut conditions, found.fields_of_wholes().iter().map(|fields| &**fields)) {
            conditions.remove(header::RANGE);
            *request = conditions;
            return Sent::Validation;
        }
        return Sent::Plain;
    }
    // A whole is wanted and a part is there: ask for the rest.
    if request.contains_key(header::RANGE) || facts.conditional || facts.solo {
        return Sent::Plain;
    }
    for held in &found.parts {
        let Some(missing) = missing(&held.page) else { continue };
        let fields = held.page.fields();
        let strong = range::same_strong_validator(&fields, &fields, now);
        // Without a validator the rest is asked for too, and joined only if the operator trusts it.
        if !strong && !range::has_no_validator(&fields) {
            continue;
        }
        let Ok(wanted) = missing.parse() else { continue };
        request.insert(header::RANGE, wanted);
        if strong {
            let validator = [header::ETAG, header::LAST_MODIFIED].iter().find_map(|name| fields.get(name));
            if let Some(validator) = validator {
                request.insert(header::IF_RANGE, validator.clone());
            }
        }
        return Sent::Completion(Box::new(held.clone()));
    }
    Sent::Plain
}

/// The range that makes a part whole, if it is one range.
fn missing(part: &Page) -> Option<String> {
    let (ByteRange { first, last }, complete) = range::content_range(&part.fields())?;
    match (first, complete) {
        (0, Some(length)) if last + 1 < length => Some(format!("bytes={}-", last + 1)),
        (first, Some(length)) if first > 0 && last + 1 == length => Some(format!("bytes=0-{}", first - 1)),
        _ => None,
    }
}

/// The request as it would be without conditions of ours or the client's.
fn again(parts: &http::request::Parts, lead: &Lead) -> Option<http::request::Parts> {
    let mut parts = parts.clone();
    if parts.method != http::Method::GET {
        return None;
    }
    for name in [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE, header::RANGE, header::IF_RANGE] {
        parts.headers.remove(&name);
    }
    if let Some(range) = lead.visit.headers.get(header::RANGE) {
        parts.headers.insert(header::RANGE, range.clone());
    }
    Some(parts)
}

/// What the origin's answer came to.
enum Settled {
    /// The client's answer.
    Done(Response<Body>),
    /// A response to be stored or passed on.
    New(Response<Body>),
    /// Of no use; ask without conditions.
    Again(Response<Body>),
}

async fn settle(lead: &Lead, found: &Found, ask: &Ask, sent: Sent, response: Response<Body>) -> Settled {
    let now = lead.visit.cache.clock().now();
    match (sent, response.status()) {
        (Sent::Validation, StatusCode::NOT_MODIFIED) => {
            let stored = found.fields_of_wholes();
            let stored: Vec<&HeaderMap> = stored.iter().map(|fields| &**fields).collect();
            let Answered::Stored(which) = answers(response.headers(), &stored, now) else {
                return Settled::Again(response);
            };
            Settled::Done(confirmed(lead, found, ask, which, response.headers(), now).await)
        }
        (Sent::Completion(held), StatusCode::PARTIAL_CONTENT) => {
            complete(lead, ask, &held, response, now).await
        }
        (Sent::Completion(_), StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PRECONDITION_FAILED) => {
            Settled::Again(response)
        }
        _ => Settled::New(response),
    }
}

/// A 304 confirmed what is stored: it, and all that is the same representation, is updated, and the client answered with it.
async fn confirmed(
    lead: &Lead,
    found: &Found,
    ask: &Ask,
    which: usize,
    news: &HeaderMap,
    now: UnixMillis,
) -> Response<Body> {
    let served = &found.whole[which];
    let (mut stored, mut shareable) = (true, true);
    let (mut answer, mut there) = (None, served.clone());
    for (place, held) in found.whole.iter().enumerate() {
        let same = place == which || same_representation(&held.page.fields(), &served.page.fields(), now);
        if !same {
            continue;
        }
        let (page, kept) = updated(lead, &ask.rules, held, news, now);
        let place_now = placed(lead, held, &page);
        if place == which {
            shareable = matches!(kept, Kept::Until(_));
            stored = shareable;
            answer = Some(Arc::new(Page::from(page.clone())));
            there = place_now.clone();
        }
        let done = keep(lead, held, &place_now, page, kept).await;
        match done {
            Ok(true) => {}
            // It was invalidated meanwhile: the answer is right, for this request.
            Ok(false) => stored = false,
            Err(error) => {
                stored = false;
                super::report(&lead.visit, &error);
            }
        }
    }
    let page = answer.unwrap_or_else(|| Arc::clone(&served.page));
    publish(lead, &there, &page, shareable, now);
    let mut status = CacheStatus::forward(lead.forward).fwd_status(304).stored(stored);
    status.ttl = Some(page.meta.timing.ttl_secs(now));
    answer::whole(&page, ask.asking(&lead.visit), status, now)
}

/// What becomes of a stored response on news of it.
enum Kept {
    /// The news are stored.
    Until(UnixMillis),
    /// The request that brought the news allows to store nothing (`no-store`, Authorization): what is there says nothing of that.
    AsItWas,
    /// The news are that it must not be kept.
    Dropped,
}

/// Where a stored response belongs now: news may have another Vary than it was stored with.
fn placed(lead: &Lead, held: &Held, page: &StoredResponse) -> Held {
    let before = Vary::from_headers(&held.page.fields());
    let (Vary::Fields(before), Vary::Fields(mut fields)) = (before, Vary::from_headers(&page.headers)) else {
        return held.clone();
    };
    if before == fields {
        return held.clone();
    }
    // What it is kept apart by besides: the operator's `vary_on`, a session.
    fields.extend(held.fields.iter().filter(|name| !before.contains(name)).cloned());
    let variant = lead.visit.identity.variant(&fields, &lead.visit.headers, true);
    Held { fields, variant, ..held.clone() }
}

async fn keep(
    lead: &Lead,
    held: &Held,
    place: &Held,
    page: StoredResponse,
    kept: Kept,
) -> Result<bool, larder_core::Error> {
    match kept {
        Kept::Until(keep) => {
            if place.fields != held.fields {
                // Or it would still answer where the new fields differ.
                lead.visit.cache.evict(&held.key).await?;
                if place.fields.len() > MOST_FIELDS
                    || place.fields.iter().any(|name| name.as_str().len() > 255)
                {
                    return Ok(false);
                }
            }
            store(lead, place, page, keep).await
        }
        Kept::AsItWas => Ok(true),
        Kept::Dropped => lead.visit.cache.evict(&held.key).await.map(|_| true),
    }
}

/// A stored response with the news of a 304.
fn updated(
    lead: &Lead,
    rules: &Rules,
    held: &Held,
    news: &HeaderMap,
    now: UnixMillis,
) -> (StoredResponse, Kept) {
    let old = &*held.page;
    // Its age is reckoned from the news alone, which without a Date are of now (sections 4.2.3 and 4.3.4).
    let mut news = news.clone();
    news.entry(header::DATE).or_insert_with(|| format_date(now));
    let mut headers = freshen(&old.fields(), &news, &[]);
    let received = Received {
        method: &http::Method::GET,
        request: &lead.visit.headers,
        status: old.status,
        headers: &headers,
        at: now,
    };
    let nobody = HeaderMap::new();
    let (storing, for_all) = match rules.storing(&received) {
        Ok(storing) => (Ok(storing), true),
        Err(_) => (rules.storing(&Received { request: &nobody, ..received }), false),
    };
    // What is stored without a lifetime stays stored: it has just been of use.
    let (timing, kept) = match storing {
        Ok(storing) => {
            for name in &storing.without {
                headers.remove(name);
            }
            let timing = storing.timing(&headers, lead.visit.began, now);
            let until = timing.usable_until().saturating_add(rules.keep_stale_ms);
            (timing, if for_all { Kept::Until(until) } else { Kept::AsItWas })
        }
        Err(_) => (Timing { request_time: now, response_time: now, ..Timing::default() }, Kept::Dropped),
    };
    headers.remove(header::AGE);
    let meta = StoredMeta { timing, ..old.meta.clone() };
    (StoredResponse { status: old.status, headers, body: old.body.clone(), meta }, kept)
}

/// Stores an updated response in its place; false if it was invalidated meanwhile.
async fn store(
    lead: &Lead,
    held: &Held,
    page: StoredResponse,
    keep: UnixMillis,
) -> Result<bool, larder_core::Error> {
    let cache = &lead.visit.cache;
    let until = (keep != UnixMillis::MAX).then_some(keep);
    let mut tags = tags(lead, &page.headers);
    let mut fill = lead.fill.clone();
    // It stays under the tags that it was stored with. They are captured anew, since the origin has just said that it is current.
    if let Some(entry) = &held.entry {
        tags.extend(entry.stamp().tags.iter().map(|(tag, _)| tag.clone()));
    }
    if let Some(attachment) = &lead.attachment {
        match attachment.give(cache, &mut fill) {
            Ok(unpaired) => tags.extend(unpaired),
            Err(_) => return Ok(false),
        }
    }
    let Some(stamp) = cache.seal(&fill, &tags, until).await? else { return Ok(false) };
    let limit = lead.visit.engine.settings().max_variants;
    let place = Place {
        identity: &lead.visit.identity,
        variant: &held.variant,
        fields: &held.fields,
        limit,
        answers: false,
    };
    place.store(cache, page, until, stamp).await?;
    Ok(true)
}

fn tags(lead: &Lead, headers: &HeaderMap) -> Vec<larder_core::Tag> {
    let mut tags = lead.visit.known_tags();
    // What it says was found to be readable when it was stored.
    tags.extend(labels::named(lead.visit.engine.settings(), &mut headers.clone()).unwrap_or_default());
    if let Some(gateway) = &lead.gateway {
        let groups = larder_http::shared::cache_groups(headers);
        tags.extend(groups.iter().map(|group| super::plan::group_tag(&gateway.authority, group)));
    }
    tags
}

/// Those who wait get what was confirmed.
fn publish(lead: &Lead, held: &Held, page: &Arc<Page>, shareable: bool, now: UnixMillis) {
    let Some(leader) = &lead.leader else { return };
    let timing = page.meta.timing;
    leader.publish(match shareable && timing.age_ms(now) < timing.fresh_for_ms {
        false => Landing::Alone,
        true => Landing::Page(Arc::new(Landed {
            status: page.status,
            headers: page.fields().into_owned(),
            fields: held.fields.clone(),
            variant: held.variant.clone(),
            widened: true,
            meta: page.meta.clone(),
            body: LandedBody::Whole(page.body.clone()),
            shareable: true,
        })),
    });
}

/// The rest of a part came: the client wanted the whole.
async fn complete(lead: &Lead, ask: &Ask, held: &Held, response: Response<Body>, now: UnixMillis) -> Settled {
    let (head, body) = response.into_parts();
    let limit = lead.visit.engine.settings().max_body;
    let Ok(bytes) = Limited::new(body, limit).collect().await.map(|whole| whole.to_bytes()) else {
        return Settled::Again(plain(StatusCode::BAD_GATEWAY));
    };
    let (stored, _) = fields(&head.headers, &[], now);
    let timing = Timing { request_time: lead.visit.began, response_time: now, ..Timing::default() };
    let meta = StoredMeta { timing, ..held.page.meta.clone() };
    let newer = StoredResponse { status: head.status, headers: stored, body: bytes, meta };
    match combine(&ask.rules, &held.page.to_stored(), &newer, now) {
        Some(mut whole) if whole.status == StatusCode::OK => {
            whole.headers.remove(super::ASKED_RANGE);
            if let (Some(attachment), Some(entry)) = (&lead.attachment, &held.entry) {
                attachment.read(&lead.visit.cache, entry);
            }
            let mut response = Response::new(Body::from(whole.body));
            *response.headers_mut() = whole.headers;
            Settled::New(response)
        }
        _ => {
            // It can't be completed, and would be asked about each time.
            if let Err(error) = lead.visit.cache.evict(&held.key).await {
                super::report(&lead.visit, &error);
            }
            Settled::Again(plain(StatusCode::BAD_GATEWAY))
        }
    }
}

/// The origin failed: what is stale may stand in for it, or must not.
fn failed(lead: &Lead, found: &Found, ask: &Ask, response: &Response<Body>) -> Option<Response<Body>> {
    let unreachable = response.extensions().get::<OriginUnreachable>().is_some();
    if unreachable {
        return stand_in(lead, found, ask, StaleOnError::Disconnected, None).or_else(|| {
            // It would have to be validated, and can't be (RFC 9111, section 5.2.2.2).
            (!found.whole.is_empty()).then(|| {
                lead.fail(None);
                let mut response = plain(StatusCode::GATEWAY_TIMEOUT);
                say(response.headers_mut(), lead.forward, Some(Reason::OriginUnreachable));
                response
            })
        });
    }
    let status = failed_status(response.status())?;
    if let Some(refresh) = lead.visit.role.renewal() {
        refresh.failed(Some(status), lead.visit.cache.clock().now());
    }
    stand_in(lead, found, ask, StaleOnError::Status, Some(response.status()))
}

fn stand_in(
    lead: &Lead,
    found: &Found,
    ask: &Ask,
    failure: StaleOnError,
    answered: Option<StatusCode>,
) -> Option<Response<Body>> {
    let now = lead.visit.cache.clock().now();
    let held = found.whole.first()?;
    let timing = &held.page.meta.timing;
    if !stale_on_error(&ask.rules, &held.page.fields(), timing, &ask.wishes, failure, now) {
        return None;
    }
    let answered = answered.map(|status| status.as_u16());
    lead.fail(answered);
    let mut status = CacheStatus::forward(lead.forward).reason(Reason::StaleOnError);
    status.fwd_status = answered;
    status.ttl = Some(timing.ttl_secs(now));
    Some(answer::whole(&held.page, ask.asking(&lead.visit), status, now))
}

/// A HEAD that succeeded: the stored response to GET is updated if this is still it, and dropped if not (section 4.3.5).
async fn head_tells(lead: &Lead, found: &Found, head: &Head) {
    if head.status != StatusCode::OK {
        return;
    }
    let now = lead.visit.cache.clock().now();
    let Some(gateway) = lead.gateway.as_ref() else { return };
    for held in &found.whole {
        let old = &held.page.fields();
        let same = |name: &header::HeaderName| match (old.get(name), head.headers.get(name)) {
            (Some(a), Some(b)) => a == b,
            (None, Some(_)) => *name == header::CONTENT_LENGTH && length_is(&held.page, &head.headers),
            (_, None) => true,
        };
        let still = [header::ETAG, header::LAST_MODIFIED, header::CONTENT_LENGTH].iter().all(same)
            && held.page.status == StatusCode::OK;
        let done = if still {
            let (page, kept) = updated(lead, &gateway.rules, held, &head.headers, now);
            let place = placed(lead, held, &page);
            keep(lead, held, &place, page, kept).await
        } else {
            lead.visit.cache.evict(&held.key).await
        };
        if let Err(error) = done {
            super::report(&lead.visit, &error);
        }
    }
}

fn length_is(page: &Page, headers: &HeaderMap) -> bool {
    let said = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    said.is_none_or(|length| length == page.body.len() as u64)
}
