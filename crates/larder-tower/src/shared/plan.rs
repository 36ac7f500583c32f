//! What becomes of a response by the rules of a shared cache.

use std::sync::Arc;

use axum::body::Body;
use http::response::Parts;
use http::{HeaderMap, Method, StatusCode, header};
use larder_core::{Entry, Tag, UnixMillis};
use larder_http::shared::{Received, Rules, cache_groups};
use larder_http::{
    CacheControl, NoVarySearch, Reason, Vary, VaryFields, format_date, patch_vary, strip_hop_by_hop,
};

use super::{ASKED_RANGE, SearchRules};
use crate::back::{MOST_FIELDS, Plan, is_event_stream};
use crate::engine::{Lead, Visit, known_length};
use crate::identity::Identity;
use crate::kept::Page;
use crate::landing;
use crate::outer::Added;
use crate::parts::PageTags;

/// What a lead has to know besides, under the rules of a shared cache.
pub(crate) struct Gateway {
    pub(crate) rules: Arc<Rules>,
    /// Whose groups a response may join.
    pub(crate) authority: String,
    /// The part that a part may be joined with, and the entry that it was read from.
    pub(crate) held_part: Option<(Arc<Page>, Option<Entry>)>,
    /// The client's own conditions were taken from the request.
    pub(crate) conditional: bool,
    /// The request as the client sent it; `None` if the key is not to be made anew.
    pub(crate) asked: Option<Arc<http::request::Parts>>,
    pub(crate) own_id: bool,
}

/// The same, decided for one response.
pub(crate) struct GatewayPlan {
    pub(crate) is_part: bool,
    pub(crate) shareable: bool,
    pub(crate) keep: UnixMillis,
    /// The fields for this client; those stored lack what must not be stored.
    pub(crate) client: HeaderMap,
    rules: Arc<Rules>,
    held_part: Option<(Arc<Page>, Option<Entry>)>,
    /// Where it is stored if its own rule for the query is another than the one by which it was looked for.
    pub(crate) identity: Option<Identity>,
}

impl GatewayPlan {
    /// What a part is joined with when it is stored.
    pub(crate) fn parts(&self, visit: &Visit, fields: &VaryFields) -> Option<landing::Parts> {
        let (held, entry) = self.held_part.as_ref().filter(|_| self.is_part)?;
        let whole = visit.identity.variant(fields, &visit.headers, true);
        Some(landing::Parts {
            rules: Arc::clone(&self.rules),
            held: Arc::clone(held),
            entry: entry.clone(),
            whole: (visit.identity.clone(), whole),
        })
    }
}

/// The tag of a cache group, which belongs to one origin (RFC 9875).
pub(crate) fn group_tag(authority: &str, group: &str) -> Tag {
    let origin = blake3::hash(authority.to_ascii_lowercase().as_bytes()).to_hex();
    Tag::from(format!("larder.group:{}:{group}", &origin[..16]))
}

/// The fields to store and the fields for the client.
pub(crate) fn fields(
    headers: &HeaderMap,
    without: &[header::HeaderName],
    now: UnixMillis,
) -> (HeaderMap, HeaderMap) {
    let mut client = headers.clone();
    // A response without Date gets one when it is received (RFC 9110, section 6.6.1).
    client.entry(header::DATE).or_insert_with(|| format_date(now));
    let mut stored = client.clone();
    strip_hop_by_hop(&mut stored);
    for name in without {
        stored.remove(name);
    }
    (stored, client)
}

impl Lead {
    /// The identity under the response's own rule for the query, if that is news.
    fn renamed(&self, gateway: &Gateway, headers: &HeaderMap) -> Option<Identity> {
        let asked = gateway.asked.as_ref()?;
        let (host, path) = Identity::place(asked);
        let rules = self.visit.cache.attached::<SearchRules>();
        let news = rules.learn(host, path, NoVarySearch::from_headers(headers));
        let settings = self.visit.engine.settings();
        news.then(|| Identity::of(settings, &self.visit.cache, gateway.own_id, asked, self.visit.facts))
    }

    /// Is it storable, how long, with what?
    pub(crate) fn plan_shared(
        &self,
        gateway: &Gateway,
        parts: &Parts,
        body: &Body,
        now: UnixMillis,
    ) -> Result<Plan, Reason> {
        let settings = self.visit.engine.settings();
        if parts.extensions.get::<Added>().is_some_and(|inside| inside.inner_hit) {
            return Err(Reason::InnerHit);
        }
        let method = if self.visit.facts.head { Method::HEAD } else { Method::GET };
        let received = Received {
            method: &method,
            request: &self.visit.headers,
            status: parts.status,
            headers: &parts.headers,
            at: now,
        };
        let storing = gateway.rules.storing(&received)?;
        let Vary::Fields(mut fields) = Vary::from_headers(&parts.headers) else {
            return Err(Reason::VaryStar);
        };
        fields.extend(settings.vary_on.iter().cloned());
        // What a handler read from its session came by the cookie, though the response may not say so.
        let by_session = self.visit.facts.session && !CacheControl::from_headers(&parts.headers).public;
        if by_session {
            fields.extend([header::COOKIE]);
        }
        if fields.len() > MOST_FIELDS || fields.iter().any(|name| name.as_str().len() > 255) {
            return Err(Reason::VaryStar);
        }
        if is_event_stream(&parts.headers) {
            return Err(Reason::EventStream);
        }
        let expected = known_length(body, &parts.headers);
        if !self.visit.facts.head && expected.is_some_and(|length| length > settings.max_body as u64) {
            return Err(Reason::TooLarge);
        }
        let identity = self.renamed(gateway, &parts.headers);
        if let Some(reason) = self.attachment_refusal() {
            return Err(reason);
        }
        let timing = storing.timing(&parts.headers, self.visit.began, now);
        let mut tags = self.visit.known_tags();
        tags.extend(identity.as_ref().map(Identity::url_tag));
        tags.extend(cache_groups(&parts.headers).iter().map(|group| group_tag(&gateway.authority, group)));
        if let Some(PageTags(more)) = parts.extensions.get() {
            tags.extend(more.iter().cloned());
        }
        let (mut headers, mut client) = self::fields(&parts.headers, &storing.without, now);
        if by_session {
            patch_vary(&mut headers, ["Cookie"]);
            patch_vary(&mut client, ["Cookie"]);
        }
        let is_part = parts.status == StatusCode::PARTIAL_CONTENT;
        headers.remove(ASKED_RANGE);
        if is_part && let Some(range) = self.visit.headers.get(header::RANGE) {
            headers.insert(ASKED_RANGE, range.clone());
        }
        let plan = GatewayPlan {
            is_part,
            shareable: !is_part && timing.age_ms(now) < timing.fresh_for_ms,
            keep: timing.usable_until().saturating_add(gateway.rules.keep_stale_ms),
            client,
            rules: Arc::clone(&gateway.rules),
            held_part: gateway.held_part.clone(),
            identity,
        };
        Ok(Plan {
            fields,
            widened: true,
            timing,
            tags,
            headers,
            added: Added::default(),
            expected,
            gateway: Some(Box::new(plan)),
        })
    }
}
