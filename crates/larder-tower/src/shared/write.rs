//! Writes: what they make invalid (RFC 9111, section 4.4; RFC 9875), and the answer to a POST that may answer later GETs (RFC 9110,
//! section 9.3.3).

use std::sync::Arc;

use axum::body::Body;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Uri, header};
use larder_core::{Cache, Tag};
use larder_http::shared::{Rules, invalidated_by};
use larder_http::{CacheControl, Forward, Reason};
use tower::ServiceExt as _;

use super::authority;
use super::plan::{Gateway, group_tag};
use crate::admit::{Facts, admit};
use crate::cacheable::Cacheable;
use crate::engine::{Engine, Visit, into_body, say_bypass};
use crate::forget::forget_whoever_waits;
use crate::identity::{Identity, Whence, url_tag};
use crate::landing::Traffic;
use crate::outer::{Enclosed, Outer};
use crate::stale::Role;

/// Writes through. If it succeeds, what it makes invalid is dropped before its answer leaves.
pub(super) async fn write<S, B>(
    engine: &Engine,
    cache: Cache,
    own_id: bool,
    rules: Arc<Rules>,
    service: S,
    request: Request<B>,
) -> Result<Response<Body>, S::Error>
where
    S: Cacheable<B>,
    B: Send + 'static,
{
    let (parts, body) = request.into_parts();
    let mut asked = Request::new(()).into_parts().0;
    (asked.method, asked.uri, asked.headers) =
        (parts.method.clone(), parts.uri.clone(), parts.headers.clone());
    asked.extensions = parts.extensions.clone();
    let mut response = into_body(service.oneshot(Request::from_parts(parts, body)).await?);
    let invalidated = invalidated_by(&asked.method, response.status(), response.headers());
    if !invalidated.target || !cache.capabilities().stores {
        say_bypass(response.headers_mut(), Reason::Method);
        return Ok(response);
    }
    let host = authority(&asked);
    let mut tags = vec![url_tag(engine.settings(), &cache, own_id, &asked.uri, &Whence::of(&asked))];
    for reference in &invalidated.references {
        tags.extend(reference_tag(engine, &cache, own_id, &asked, &host, reference));
    }
    tags.extend(invalidated.groups.iter().map(|group| group_tag(&host, group)));
    let dropped = forget_whoever_waits(cache.clone(), tags).await.is_ok();
    if dropped
        && answers_get(&rules, &asked, &host, &response)
        && let Some(get) = as_get(engine, asked)
    {
        return Ok(keep(engine, cache, own_id, rules, get, host, response).await);
    }
    say_bypass(response.headers_mut(), Reason::Method);
    Ok(response)
}

/// The tag of a URL on the same host that the response names.
fn reference_tag(
    engine: &Engine,
    cache: &Cache,
    own_id: bool,
    asked: &Parts,
    host: &str,
    reference: &str,
) -> Option<Tag> {
    let target = same_host(asked, host, reference)?;
    let mut named = asked.clone();
    named.extensions = http::Extensions::new();
    named.uri = target;
    Some(url_tag(engine.settings(), cache, own_id, &named.uri, &Whence::of(&named)))
}

/// A reference resolved against the request's own URI; `None` if it leads to another host or is none.
fn same_host(asked: &Parts, host: &str, reference: &str) -> Option<Uri> {
    let scheme = asked.uri.scheme_str().unwrap_or("http");
    let path = asked.uri.path_and_query().map_or("/", |pq| pq.as_str());
    let base = url::Url::parse(&format!("{scheme}://{host}{path}")).ok()?;
    let target = base.join(reference).ok()?;
    let alike = target.host_str() == base.host_str()
        && matches!(target.scheme(), "http" | "https")
        && (target.port() == base.port() || (target.scheme() != scheme && target.port().is_none()));
    if !alike {
        return None;
    }
    let path = match target.query() {
        Some(query) => format!("{}?{query}", target.path()),
        None => target.path().to_owned(),
    };
    match asked.uri.authority() {
        Some(authority) => format!("{scheme}://{authority}{path}").parse().ok(),
        None => path.parse().ok(),
    }
}

/// Whether the answer to a POST says that it is the current representation of its own URL, and for how long.
fn answers_get(rules: &Rules, asked: &Parts, host: &str, response: &Response<Body>) -> bool {
    let headers = response.headers();
    let cc: CacheControl = rules.policy(headers);
    let explicit = cc.max_age.or(cc.s_maxage).is_some() || headers.contains_key(header::EXPIRES);
    let location = headers.get(header::CONTENT_LOCATION).and_then(|value| value.to_str().ok());
    let own = location.and_then(|location| same_host(asked, host, location));
    let path = |uri: &Uri| uri.path_and_query().map(|pq| pq.as_str().to_owned());
    asked.method == Method::POST
        && response.status() == StatusCode::OK
        && explicit
        && own.is_some_and(|own| path(&own) == path(&asked.uri))
}

/// Makes the GET of a POST, whose page its answer may be; `None` where such a GET would pass by, by another method say.
fn as_get(engine: &Engine, mut asked: Parts) -> Option<(Parts, Facts)> {
    for name in [header::CONTENT_LENGTH, header::CONTENT_TYPE, header::TRANSFER_ENCODING] {
        asked.headers.remove(name);
    }
    asked.method = Method::GET;
    let facts = admit(&asked.method, &asked.headers, &engine.settings().identity_headers, false).ok()?;
    (!facts.solo && !facts.conditional).then_some((asked, facts))
}

/// Stores the answer to a POST as one to GET. The fill begins when the answer is there and what it replaces is gone.
async fn keep(
    engine: &Engine,
    cache: Cache,
    own_id: bool,
    rules: Arc<Rules>,
    (asked, facts): (Parts, Facts),
    host: String,
    mut response: Response<Body>,
) -> Response<Body> {
    let identity = Identity::of(engine.settings(), &cache, own_id, &asked, facts);
    if identity.is_refused() {
        say_bypass(response.headers_mut(), Reason::Method);
        return response;
    }
    let outer = asked.extensions.get::<Outer>().cloned();
    let (cache, now) = (cache.for_request(), cache.clock().now());
    let mut visit = Visit::new(engine, cache, identity, facts, Role::Ordinary, now, &asked);
    // It is a write still: no layer outside makes a page of it, nor does its route tell of those of a GET.
    (visit.enclosed, visit.route) = (Enclosed::default(), None);
    let Ok(fill) = visit.cache.begin(&visit.known_tags()).await else {
        say_bypass(response.headers_mut(), Reason::Method);
        return response;
    };
    let traffic = visit.cache.attached::<Traffic>();
    let (_, flight) = visit.flight_keys(&larder_http::VaryFields::default());
    let mut lead = visit.lead(Forward::Method, fill, traffic, flight, None);
    lead.gateway =
        Some(Gateway { rules, authority: host, held_part: None, conditional: false, asked: None, own_id });
    lead.back(response, outer, None).await
}
