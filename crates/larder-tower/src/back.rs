//! The back: what becomes of a response on its way out.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use larder_core::{Cache, Tag, Timeout, UnixMillis};
use larder_http::{
    CACHE_STATUS, CacheControl, CacheControlPatch, CacheStatus, FieldRule, Forward, Reason, StoredFlags,
    StoredMeta, Timing, Vary, VaryFields, format_date, get_max_age, initial_age_ms, patch_response_headers,
    patch_vary, storable_origin, strip_hop_by_hop,
};

use crate::attach;
use crate::body::{Drained, Resumed, SharedBody, drain_now};
use crate::coded;
use crate::cookies::CookieRule;
use crate::detach;
use crate::engine::{Lead, known_length, say};
use crate::labels;
use crate::landing::{Gate, Landed, LandedBody, Landing, Store, run_beside, run_soon};
use crate::made::{Made, is_lasting};
use crate::outer::{Added, Outer};
use crate::parts::{PageTags, PageTimeout, shorter};
use crate::passes::{PASS_ERROR_MILLIS, PASS_MILLIS};
use crate::respond;
use crate::settings::Level;
use crate::shared::GatewayPlan;

/// A year: what "for ever" is called in `max-age`.
const YEAR_SECS: u64 = 31_536_000;
/// More fields than this in a `Vary` are not worth keeping variants of.
pub(crate) const MOST_FIELDS: usize = 32;

/// What was decided at the head of a response that can be stored.
pub(crate) struct Plan {
    pub(crate) fields: VaryFields,
    pub(crate) widened: bool,
    pub(crate) timing: Timing,
    pub(crate) tags: Vec<Tag>,
    pub(crate) headers: HeaderMap,
    pub(crate) added: Added,
    pub(crate) expected: Option<u64>,
    /// Only by the rules of a shared cache.
    pub(crate) gateway: Option<GatewayPlan>,
}

impl Lead {
    /// Decides about a response, stores it as it streams, and gives what the client gets. `private_elsewhere`: something other than the response
    /// itself says that it is for this visitor alone.
    pub(crate) async fn back(
        mut self: Box<Self>,
        response: Response<Body>,
        outer: Option<Outer>,
        private_elsewhere: Option<Reason>,
    ) -> Response<Body> {
        let (mut parts, body) = response.into_parts();
        std::mem::take(&mut self.beside).put_back(&mut parts.extensions);
        let read = self.notes.close();
        if !read.is_empty() {
            patch_vary(&mut parts.headers, read.iter().map(header::HeaderName::as_str));
        }
        let now = self.visit.cache.clock().now();
        let named = labels::named(self.visit.engine.settings(), &mut parts.headers);
        let named = named.map(|tags| PageTags(tags).add_to(&mut parts.extensions));
        let untaggable = self.visit.labels.refusal().or(named.err());
        let plan = match private_elsewhere.or(untaggable) {
            Some(reason) => Err(reason),
            None => match &self.gateway {
                None => self.plan(&parts, &body, now),
                Some(gateway) => self.plan_shared(gateway, &parts, &body, now),
            },
        };
        let refusal = || self.attachment.as_ref()?.refusal(&self.visit.cache).map(attach::reason);
        let plan = plan.and_then(|plan| refusal().map_or(Ok(plan), Err));
        match plan {
            Err(reason) => {
                self.release(reason, parts.status);
                if self.gateway.is_none()
                    && (reason == Reason::ZeroTimeout || parts.status == StatusCode::NOT_MODIFIED)
                {
                    self.patch_unstored(&mut parts, now);
                }
                if reason == Reason::SessionModified {
                    patch_vary(&mut parts.headers, ["Cookie"]);
                }
                let said = if self.passed { Reason::HitForMiss } else { reason };
                say(&mut parts.headers, self.forward, Some(said));
                self.unstored(parts, body, now)
            }
            Ok(plan) => {
                parts.headers = match &plan.gateway {
                    None => plan.headers.clone(),
                    Some(gateway) => gateway.client.clone(),
                };
                self.land(parts, body, plan, outer, now).await
            }
        }
    }

    /// Is it storable, how long, for whom?
    fn plan(&self, parts: &Parts, body: &Body, now: UnixMillis) -> Result<Plan, Reason> {
        let settings = self.visit.engine.settings();
        let identity = &self.visit.identity;
        let inside = parts.extensions.get::<Added>().copied().unwrap_or_default();
        if inside.inner_hit {
            return Err(Reason::InnerHit);
        }
        let mut headers = parts.headers.clone();
        let mut cc = CacheControl::from_headers(&headers);
        // What an inner Larder layer said for the credentials that this one keys on too is not the application's word.
        if inside.private.is_some() && inside.private == identity.digest() {
            cc.private = FieldRule::Absent;
        }
        patch_vary(&mut headers, settings.vary_on.iter().map(header::HeaderName::as_str));
        let vary = Vary::from_headers(&headers);
        let status = match settings.cache_errors && is_lasting(parts.status) {
            true => StatusCode::OK,
            false => parts.status,
        };
        storable_origin(status, &headers, &cc, &vary)?;
        let Vary::Fields(fields) = vary else { return Err(Reason::VaryStar) };
        let fields: VaryFields = match inside.vary_cookie {
            true => fields.iter().filter(|name| **name != header::COOKIE).cloned().collect(),
            false => fields,
        };
        if fields.len() > MOST_FIELDS || fields.iter().any(|name| name.as_str().len() > 255) {
            return Err(Reason::VaryStar);
        }
        if is_event_stream(&headers) {
            return Err(Reason::EventStream);
        }
        let expected = known_length(body, &headers);
        if !self.visit.facts.head {
            match expected {
                None if !settings.streaming && !self.known_length => return Err(Reason::Streaming),
                Some(length) if length > settings.max_body as u64 => return Err(Reason::TooLarge),
                _ => {}
            }
        }
        let timeout = self.timeout(parts);
        if timeout.is_zero() {
            return Err(Reason::ZeroTimeout);
        }
        let widened = cc.public;
        // The application made it now, however long it took; only what came from further away has aged on the way (its Age and Date say so).
        let initial_age_ms = initial_age_ms(&headers, now, now);
        let windows = settings.stale.windows.for_response(&cc, self.own_counts());
        let timing = Timing {
            request_time: self.visit.began,
            response_time: now,
            initial_age_ms,
            fresh_for_ms: timeout.as_millis().map_or(u64::MAX, |ms| ms.saturating_add(initial_age_ms)),
            stale_while_revalidate_ms: windows.while_revalidate_ms,
            stale_if_error_ms: windows.if_error_ms,
        };
        strip_hop_by_hop(&mut headers);
        // A response without Date gets one when it is received (RFC 9110, section 6.6.1): the server in front adds today's otherwise.
        headers.entry(header::DATE).or_insert_with(|| format_date(now));
        patch_response_headers(&mut headers, secs(timeout), now);
        let mut added = Added { inner_hit: false, ..inside };
        if identity.is_credentialed() && !widened {
            CacheControlPatch::default().private().apply(&mut headers);
            added.private = identity.digest();
        }
        let by_cookie = match self.visit.facts.session {
            true => true,
            false => !identity.is_credentialed() && settings.cookies != CookieRule::IgnoreAll,
        };
        if by_cookie && !widened {
            added.vary_cookie |= !larder_http::has_vary(&headers, "cookie");
            patch_vary(&mut headers, ["Cookie"]);
        }
        if settings.precompress && coded::is_compressible(&headers) {
            patch_vary(&mut headers, ["Accept-Encoding"]);
        }
        let mut tags = self.visit.known_tags();
        if let Some(PageTags(more)) = parts.extensions.get() {
            tags.extend(more.iter().cloned());
        }
        Ok(Plan { fields, widened, timing, tags, headers, added, expected, gateway: None })
    }

    /// How long the page lives: the layer's timeout or the response's `max-age`, in the order that Django has for each level, and never
    /// longer than the handler's `PageTimeout`.
    fn timeout(&self, parts: &Parts) -> Timeout {
        let settings = self.visit.engine.settings();
        let own = get_max_age(&parts.headers).map(Timeout::secs);
        let told = settings.timeout_fn.as_ref().map_or(Timeout::DEFAULT, |timeout| {
            timeout(&Made { uri: &self.visit.uri, request: &self.visit.headers, response: parts })
        });
        let timeout = match (told.is_default(), self.own_counts()) {
            (false, _) => told,
            (true, false) => settings.timeout,
            (true, true) => own.unwrap_or(settings.timeout).or(self.visit.cache.default_timeout()),
        };
        match parts.extensions.get::<PageTimeout>() {
            Some(PageTimeout(shortest)) => shorter(timeout, *shortest),
            None => timeout,
        }
    }

    /// Whether the response's own word beats the layer's timeout.
    fn own_counts(&self) -> bool {
        let settings = self.visit.engine.settings();
        settings.level == Level::Site || settings.timeout.is_default()
    }

    /// Django tells clients how long to keep two kinds of responses that it does not store: a 304, and a page whose timeout came to zero
    /// without a word of its own about it.
    fn patch_unstored(&self, parts: &mut Parts, now: UnixMillis) {
        let restricted = CacheControl::from_headers(&parts.headers).is_restricted();
        if !restricted && get_max_age(&parts.headers) != Some(0) {
            let timeout = secs(self.timeout(parts));
            patch_response_headers(&mut parts.headers, timeout, now);
        }
    }

    /// Lets those who wait go each for itself, and remembers the key if that will not change soon.
    fn release(&self, reason: Reason, status: StatusCode) {
        if let Some(leader) = &self.leader {
            leader.publish(Landing::Alone);
        }
        let millis = match reason {
            Reason::InnerHit | Reason::ClientGone | Reason::Partial | Reason::MadeOfStale => return,
            Reason::Status if status == StatusCode::NOT_MODIFIED => return,
            Reason::Status if status.is_server_error() => PASS_ERROR_MILLIS,
            _ if self.visit.facts.solo => return,
            _ => PASS_MILLIS,
        };
        let until = self.visit.cache.clock().now().saturating_add(millis);
        self.traffic.passes.note(&self.flight, until);
        // What is wrong with one key (404) says nothing of its route.
        if reason != Reason::Status {
            self.traffic.passes.note_route(self.visit.route(), until);
        }
        if let Some(lease) = &self.lease {
            lease.pass(until);
        }
    }

    /// A response that is not stored goes on as it is, except that a condition we took from the request is evaluated on it.
    fn unstored(&self, mut parts: Parts, body: Body, now: UnixMillis) -> Response<Body> {
        let facts = self.visit.facts;
        let taken = self.leader.is_some() || self.gateway.as_ref().is_some_and(|gateway| gateway.conditional);
        if facts.conditional && taken && parts.status == StatusCode::OK {
            let (status, headers) =
                respond::conditioned(parts.status, &parts.headers, facts, &self.visit.headers, now);
            if status == StatusCode::NOT_MODIFIED {
                (parts.status, parts.headers) = (status, with_status(headers, &parts.headers));
                let body = respond::bare(&parts.headers);
                return Response::from_parts(parts, body);
            }
        }
        Response::from_parts(parts, body)
    }

    async fn land(
        self: Box<Self>,
        parts: Parts,
        body: Body,
        plan: Plan,
        outer: Option<Outer>,
        now: UnixMillis,
    ) -> Response<Body> {
        let Self { visit, forward, fill, traffic, flight, leader, attachment, lease, passed, .. } = *self;
        let body = attach::body(attachment.as_ref(), body);
        let (facts, settings) = (visit.facts, visit.engine.settings().clone());
        let is_part = plan.gateway.as_ref().is_some_and(|gateway| gateway.is_part);
        let own =
            plan.gateway.as_ref().and_then(|gateway| gateway.identity.as_ref()).unwrap_or(&visit.identity);
        let identity = match (facts.head, is_part) {
            (true, _) => own.head_twin(),
            (false, true) => own.part_twin(),
            (false, false) => own.clone(),
        };
        let variant = identity.variant(&plan.fields, &visit.headers, plan.widened);
        let meta = StoredMeta {
            key: Bytes::copy_from_slice(variant.key().identity()),
            vary: plan.fields.iter().cloned().collect(),
            flags: StoredFlags {
                head_only: facts.head,
                widened: plan.widened,
                credentialed: identity.is_credentialed() && !plan.widened,
            },
            timing: plan.timing,
            fill_ms: u32::try_from(now.saturating_sub(visit.began)).unwrap_or(u32::MAX),
            forms: Vec::new(),
        };
        let mut status = CacheStatus::forward(forward);
        (status.stored, status.ttl) = (true, Some(plan.timing.ttl_secs(now)));
        status.detail = meta.flags.credentialed.then(|| facts.keyed());

        // What the store keeps carries no cache's status of this very response; a gateway's keeps those of caches before it.
        let mut stored = plan.headers;
        if plan.gateway.is_none() {
            stored.remove(CACHE_STATUS);
        }
        let shareable = plan.gateway.as_ref().is_none_or(|gateway| gateway.shareable);
        let landed = |body: LandedBody| {
            let (fields, variant, headers) = (plan.fields.clone(), variant.clone(), stored.clone());
            Arc::new(Landed {
                status: parts.status,
                headers,
                fields,
                variant,
                widened: plan.widened,
                meta: meta.clone(),
                body,
                shareable,
            })
        };
        let gate = |landed: &Arc<Landed>| {
            let store = Store {
                cache: visit.cache.beside_requests(),
                identity: identity.clone(),
                fill: fill.clone(),
                tags: plan.tags.clone(),
                attachment: attachment.clone(),
                limit: settings.max_variants,
                landed: Arc::clone(landed),
                leader: leader.clone(),
                lease: lease.clone(),
                passed,
                route: visit.route(),
                keep: plan.gateway.as_ref().map(|gateway| gateway.keep),
                precompress: settings.precompress && plan.gateway.is_none() && !facts.head,
                parts: plan.gateway.as_ref().and_then(|gateway| gateway.parts(&visit, &plan.fields)),
                refresh: visit.role.renewal().cloned(),
                drives: visit.role.renewal().is_none().then_some(settings.max_fill),
            };
            Gate::new(store, Arc::clone(&traffic), flight.clone())
        };
        let client =
            Client { parts: parts.clone(), status, facts, request: &visit.headers, now, added: plan.added };

        if facts.head {
            let gate = gate(&landed(LandedBody::Whole(Bytes::new())));
            // An empty body without a word about its length may be what a server left of one whose length nobody knew.
            let length = plan.expected.filter(|length| *length > 0);
            drop(body);
            let stored = pass_gate(&gate, &visit.cache, Some(Ok(Bytes::new())), outer).await;
            return client.told(stored).head(length);
        }
        // Found out at once that it can't be stored: as in `release`.
        let each_for_itself = |reason| {
            if let Some(leader) = &leader {
                leader.publish(Landing::Alone);
            }
            if !facts.solo {
                let millis = if reason == Reason::Trailers { PASS_MILLIS } else { PASS_ERROR_MILLIS };
                let until = now.saturating_add(millis);
                traffic.passes.note(&flight, until);
                if let Some(lease) = &lease {
                    lease.pass(until);
                }
            }
        };
        match drain_now(body, settings.max_body) {
            Drained::Whole(bytes) if plan.expected.is_none_or(|expected| expected == bytes.len() as u64) => {
                let gate = gate(&landed(LandedBody::Whole(bytes.clone())));
                let stored = pass_gate(&gate, &visit.cache, Some(Ok(bytes.clone())), outer).await;
                client.told(stored).whole(bytes)
            }
            Drained::Whole(bytes) => {
                // Shorter or longer than it announced. It must not claim the length that it has: a server that believes it leaves the
                // connection open, and the client takes the next answer for the rest of this one.
                each_for_itself(Reason::Truncated);
                let error = Some(axum::Error::new("the body is not as long as it announced"));
                let broken = Resumed { begun: [bytes].into(), trailer: None, error, rest: None };
                client.unstored(Reason::Truncated, forward, Body::new(broken))
            }
            Drained::Unfit(reason, begun, rest, trailer, error) => {
                each_for_itself(reason);
                let rest = Resumed { begun: begun.into(), trailer, error, rest: Some(rest) };
                client.unstored(reason, forward, Body::new(rest))
            }
            Drained::Partly(begun, rest) => {
                // The gate knows the page, the page knows the body, the body tells the gate: a circle, cut when the body ends or is given up.
                let slot: Arc<std::sync::OnceLock<Arc<Gate>>> = Arc::default();
                let (on_end, on_orphan) = {
                    let slot = Arc::clone(&slot);
                    let on_end = Box::new(move |outcome: Result<Bytes, Reason>| {
                        if let Some(gate) = slot.get() {
                            run_soon(gate.ended(outcome));
                        }
                    });
                    // Whoever makes a page behind an answer reads it themselves, for as long as that may take.
                    let limit = visit.role.renewal().is_none().then_some(settings.max_fill);
                    let on_orphan = Box::new(move |body: SharedBody| match limit {
                        Some(limit) => detach::spawn(limit, body.finish()),
                        None => body.abandon(),
                    });
                    (on_end, on_orphan)
                };
                let shared =
                    SharedBody::new(rest, begun, settings.max_body, plan.expected, on_end, on_orphan);
                let reader = shared.reader();
                let gate = gate(&landed(LandedBody::Coming(shared)));
                // Before anybody can read, so before the end can come.
                let _ = slot.set(Arc::clone(&gate));
                let stored = pass_gate(&gate, &visit.cache, None, outer).await;
                match reader {
                    Some(reader) => client.told(stored).streamed(Body::new(reader)),
                    // It broke at once; never a clean end.
                    None => {
                        let error = Some(axum::Error::new("the body broke off"));
                        client.streamed(Body::new(Resumed { error, ..Resumed::default() }))
                    }
                }
            }
        }
    }
}

/// Brings a page before the gate: approved at once, or when the outermost layer says so. Says why it was not stored, if that is known
/// already.
async fn pass_gate(
    gate: &Arc<Gate>,
    cache: &Cache,
    body: Option<Result<Bytes, Reason>>,
    outer: Option<Outer>,
) -> Result<(), Reason> {
    if let Some(body) = body {
        run_soon(gate.ended(body));
    }
    match outer {
        None => match gate.approve() {
            // A store that takes longer than the request has time for goes on beside it, and what comes of it nobody can say yet.
            Some(mut task) => match cache.while_patient(&mut task).await {
                Some(stored) => stored,
                None => {
                    run_beside(task);
                    Err(Reason::BackendError)
                }
            },
            None => Ok(()),
        },
        Some(outer) => {
            let gate = Arc::clone(gate);
            outer.defer(Box::new(move |verdict| match verdict {
                Ok(()) => run_soon(gate.approve()),
                Err(reason) => gate.refuse(reason),
            }));
            Ok(())
        }
    }
}

/// What the client gets of a page that is being stored.
struct Client<'a> {
    parts: Parts,
    status: CacheStatus,
    facts: crate::admit::Facts,
    request: &'a HeaderMap,
    now: UnixMillis,
    added: Added,
}

impl Client<'_> {
    /// What came of the store, where that is known before the head leaves.
    fn told(mut self, stored: Result<(), Reason>) -> Self {
        if let Err(reason) = stored {
            (self.status.stored, self.status.ttl) = (false, None);
            self.status.detail = Some(reason.as_str());
        }
        self
    }

    fn head(mut self, length: Option<u64>) -> Response<Body> {
        if let Some(length) = length {
            self.parts.headers.entry(header::CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
        }
        let body = respond::bare(&self.parts.headers);
        self.finish(body)
    }

    fn whole(self, bytes: Bytes) -> Response<Body> {
        self.finish(Body::from(bytes))
    }

    fn streamed(self, body: Body) -> Response<Body> {
        self.finish(body)
    }

    fn finish(mut self, body: Body) -> Response<Body> {
        let (status, mut headers) =
            respond::conditioned(self.parts.status, &self.parts.headers, self.facts, self.request, self.now);
        let body = if status == StatusCode::NOT_MODIFIED && self.parts.status != status {
            respond::bare(&headers)
        } else {
            body
        };
        self.status.append_to(&mut headers);
        (self.parts.status, self.parts.headers) = (status, headers);
        if self.facts.nested {
            self.parts.extensions.insert(self.added);
        }
        Response::from_parts(self.parts, body)
    }

    fn unstored(mut self, reason: Reason, forward: Forward, body: Body) -> Response<Body> {
        say(&mut self.parts.headers, forward, Some(reason));
        Response::from_parts(self.parts, body)
    }
}

/// A 304's fields with the `Cache-Status` of the full response.
fn with_status(mut headers: HeaderMap, full: &HeaderMap) -> HeaderMap {
    for value in full.get_all(CACHE_STATUS) {
        headers.append(CACHE_STATUS, value.clone());
    }
    headers
}

fn secs(timeout: Timeout) -> u64 {
    timeout.as_millis().map_or(YEAR_SECS, |ms| ms.div_ceil(1000))
}

pub(crate) fn is_event_stream(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|v| {
        v.as_bytes().trim_ascii_start().to_ascii_lowercase().starts_with(b"text/event-stream")
    })
}
