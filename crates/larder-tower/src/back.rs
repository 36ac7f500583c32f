//! The back: what becomes of a response on its way out.

use axum::body::Body;
use http::header::{self, Entry};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use larder_core::{Tag, Timeout, UnixMillis};
use larder_http::{
    CACHE_STATUS, CacheControl, CacheControlPatch, FieldRule, Reason, Timing, Vary, VaryFields, format_date,
    get_max_age, initial_age_ms, patch_response_headers, patch_vary, storable_origin, strip_hop_by_hop,
};

use crate::attach;
use crate::coded;
use crate::cookies::CookieRule;
use crate::engine::{Lead, known_length, say};
use crate::ground::Settled;
use crate::labels;
use crate::landing::Landing;
use crate::made::{Made, is_lasting};
use crate::outer::{Added, Outer};
use crate::parts::{PageTags, PageTimeout, shorter};
use crate::passes::{PASS_ERROR_MILLIS, PASS_MILLIS};
use crate::respond;
use crate::session::Whose;
use crate::settings::Level;
use crate::shared::GatewayPlan;

/// A year: what "for ever" is called in `max-age`.
const YEAR_SECS: u64 = 31_536_000;
/// A page with more field lines is not worth storing: a map has room for hardly more, and none for what is said below.
const MOST_LINES: usize = 16_384;
/// More fields than this in a `Vary` are not worth keeping variants of.
pub(crate) const MOST_FIELDS: usize = 32;

/// What was decided at the head of a response that can be stored.
pub(crate) struct Plan {
    pub(crate) fields: VaryFields,
    pub(crate) widened: bool,
    pub(crate) timing: Timing,
    /// Those that were not known when the fill began.
    pub(crate) tags: Vec<Tag>,
    /// What is stored. What the client gets has been made of the response's own.
    pub(crate) headers: HeaderMap,
    pub(crate) added: Added,
    pub(crate) expected: Option<u64>,
    /// Only by the rules of a shared cache.
    pub(crate) gateway: Option<Box<GatewayPlan>>,
}

impl Lead {
    /// Decides about a response, stores it as it streams, and gives what the client gets. `private_elsewhere`: something other than the response
    /// itself says that it is for this visitor alone.
    pub(crate) async fn back(
        self: Box<Self>,
        response: Response<Body>,
        outer: Option<Outer>,
        private_elsewhere: Option<Reason>,
    ) -> Response<Body> {
        match self.settle(response, outer, private_elsewhere) {
            Settled::Done(response) => response,
            Settled::Storing(storing) => Box::pin(storing.done()).await,
        }
    }

    fn settle(
        mut self: Box<Self>,
        response: Response<Body>,
        outer: Option<Outer>,
        private_elsewhere: Option<Reason>,
    ) -> Settled {
        let (mut parts, body) = response.into_parts();
        std::mem::take(&mut self.beside).put_back(&mut parts.extensions);
        let read = self.notes.close();
        if !read.is_empty() {
            patch_vary(&mut parts.headers, read.iter().map(header::HeaderName::as_str));
        }
        let now = self.visit.cache.clock().now();
        let named = labels::named(self.visit.engine.settings(), &mut parts.headers);
        let named = named.map(|tags| {
            if !tags.is_empty() {
                PageTags(tags).add_to(&mut parts.extensions);
            }
        });
        let untaggable = self.visit.labels.refusal().or(named.err());
        let plan = match private_elsewhere.or(untaggable) {
            Some(reason) => Err(reason),
            None => match &self.gateway {
                None => self.plan(&mut parts, &body, now),
                Some(gateway) => self.plan_shared(gateway, &parts, &body, now),
            },
        };
        match plan {
            Err(reason) => {
                self.release(reason, parts.status);
                if self.gateway.is_none()
                    && (reason == Reason::ZeroTimeout || parts.status == StatusCode::NOT_MODIFIED)
                {
                    self.patch_unstored(&mut parts, now);
                }
                if reason == Reason::SessionModified {
                    Whose::changed().say(&mut parts.headers);
                    // Django's sessions say it whatever the page says.
                    patch_vary(&mut parts.headers, ["Cookie"]);
                } else {
                    Whose::of_visit(&self.visit).say(&mut parts.headers);
                }
                let said = if self.passed { Reason::HitForMiss } else { reason };
                say(&mut parts.headers, self.forward, Some(said));
                Settled::Done(self.unstored(parts, body, now))
            }
            Ok(plan) => self.land(parts, body, plan, outer, now),
        }
    }

    /// Why what was read while the page was made can't guard it, if that is so.
    pub(crate) fn attachment_refusal(&self) -> Option<Reason> {
        self.attachment.as_ref()?.refusal(&self.visit.cache).map(attach::reason)
    }

    /// Is it storable, how long, for whom? If it is, the response says so from here on.
    fn plan(&self, parts: &mut Parts, body: &Body, now: UnixMillis) -> Result<Plan, Reason> {
        let settings = self.visit.engine.settings();
        let identity = &self.visit.identity;
        let inside = parts.extensions.get::<Added>().copied().unwrap_or_default();
        if inside.inner_hit {
            return Err(Reason::InnerHit);
        }
        let headers = &parts.headers;
        if headers.len() > MOST_LINES {
            return Err(Reason::TooLarge);
        }
        let mut cc = CacheControl::from_headers(headers);
        // What an inner Larder layer said for the credentials that this one keys on too is not the application's word.
        if inside.private.is_some() && inside.private == identity.digest() {
            cc.private = FieldRule::Absent;
        }
        let mut vary = Vary::from_headers(headers);
        if let Vary::Fields(fields) = &mut vary {
            fields.extend(settings.vary_on.iter().cloned());
        }
        let status = match settings.cache_errors && is_lasting(parts.status) {
            true => StatusCode::OK,
            false => parts.status,
        };
        storable_origin(status, headers, &cc, &vary)?;
        let Vary::Fields(fields) = vary else { return Err(Reason::VaryStar) };
        let fields: VaryFields = match inside.vary_cookie {
            true => fields.iter().filter(|name| **name != header::COOKIE).cloned().collect(),
            false => fields,
        };
        if fields.len() > MOST_FIELDS || fields.iter().any(|name| name.as_str().len() > 255) {
            return Err(Reason::VaryStar);
        }
        if is_event_stream(headers) {
            return Err(Reason::EventStream);
        }
        let expected = known_length(body, headers);
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
        if let Some(reason) = self.attachment_refusal() {
            return Err(reason);
        }
        let widened = cc.public;
        // The application made it now, however long it took; only what came from further away has aged on the way (its Age and Date say so).
        let initial_age_ms = initial_age_ms(headers, now, now);
        let windows = settings.stale.windows.for_response(&cc, self.own_counts());
        let timing = Timing {
            request_time: self.visit.began,
            response_time: now,
            initial_age_ms,
            fresh_for_ms: timeout.as_millis().map_or(u64::MAX, |ms| ms.saturating_add(initial_age_ms)),
            stale_while_revalidate_ms: windows.while_revalidate_ms,
            stale_if_error_ms: windows.if_error_ms,
        };
        let headers = &mut parts.headers;
        // Room for what is said below and in `Cache-Status`, and for the length that a server adds, at once.
        headers.reserve(6);
        if !settings.vary_on.is_empty() {
            patch_vary(headers, settings.vary_on.iter().map(header::HeaderName::as_str));
        }
        strip_hop_by_hop(headers);
        // A response without Date gets one when it is received (RFC 9110, section 6.6.1): the server in front adds today's otherwise.
        headers.entry(header::DATE).or_insert_with(|| format_date(now));
        patch_response_headers(headers, secs(timeout), now);
        let mut added = Added { inner_hit: false, ..inside };
        if !widened {
            let said = self.say_whose(headers);
            added.private = said.private.or(added.private);
            added.vary_cookie |= said.vary_cookie;
        }
        if settings.precompress && coded::is_compressible(headers) {
            patch_vary(headers, ["Accept-Encoding"]);
        }
        // What the store keeps carries no cache's status of this very response.
        let mut headers = headers.clone();
        headers.remove(CACHE_STATUS);
        // What was known before is in the fill.
        let tags = parts.extensions.get().map_or_else(Vec::new, |PageTags(more)| more.clone());
        Ok(Plan { fields, widened, timing, tags, headers, added, expected, gateway: None })
    }

    /// Says of a page that is not `public` whose it is, and what of that was not there.
    fn say_whose(&self, headers: &mut HeaderMap) -> Added {
        let (identity, mut added) = (&self.visit.identity, Added::default());
        if identity.is_credentialed() {
            CacheControlPatch::default().private().apply(headers);
            added.private = identity.digest();
        }
        let by_cookie = match self.visit.facts.session {
            true => true,
            false => {
                !identity.is_credentialed() && self.visit.engine.settings().cookies != CookieRule::IgnoreAll
            }
        };
        if by_cookie {
            added.vary_cookie = !larder_http::has_vary(headers, "cookie");
            match headers.entry(header::VARY) {
                Entry::Vacant(place) => _ = place.insert(HeaderValue::from_static("Cookie")),
                Entry::Occupied(_) => patch_vary(headers, ["Cookie"]),
            }
        }
        added
    }

    /// How long the page lives: the layer's timeout or the response's `max-age`, in the order that Django has for each level, and never
    /// longer than the handler's `PageTimeout`.
    fn timeout(&self, parts: &Parts) -> Timeout {
        let settings = self.visit.engine.settings();
        let own = get_max_age(&parts.headers).map(Timeout::secs);
        let told = settings.timeout_fn.as_ref().map_or(Timeout::DEFAULT, |timeout| {
            timeout(&Made { uri: self.visit.labels.uri(), request: &self.visit.headers, response: parts })
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
        let said = CacheControl::from_headers(&parts.headers);
        let restricted = said.is_restricted();
        if !restricted && get_max_age(&parts.headers) != Some(0) {
            let timeout = secs(self.timeout(parts));
            patch_response_headers(&mut parts.headers, timeout, now);
            if parts.status == StatusCode::NOT_MODIFIED && !said.public {
                self.say_whose(&mut parts.headers);
            }
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
                let body = respond::unchanged(facts.coded);
                return Response::from_parts(parts, body);
            }
        }
        Response::from_parts(parts, body)
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
    const NAME: &[u8] = b"text/event-stream";
    headers.get(header::CONTENT_TYPE).is_some_and(|value| {
        value.as_bytes().trim_ascii_start().get(..NAME.len()).is_some_and(|is| is.eq_ignore_ascii_case(NAME))
    })
}
