//! Garbage in every field that a shared cache reads: no panic, and nothing that a restriction forbids.

use super::*;
use crate::stored::{StoredMeta, StoredResponse};
use crate::{CacheStatus, NoVarySearch, RequestCacheControl, Timing, Vary, evaluate_cached, range};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use proptest::prelude::*;

const NOW: u64 = 1_800_000_000_000;

const FIELDS: [&str; 26] = [
    "cache-control",
    "cdn-cache-control",
    "larder-cache-control",
    "expires",
    "date",
    "age",
    "pragma",
    "etag",
    "last-modified",
    "vary",
    "if-none-match",
    "if-modified-since",
    "if-range",
    "range",
    "content-range",
    "content-length",
    "content-location",
    "location",
    "connection",
    "authorization",
    "set-cookie",
    "cache-groups",
    "cache-group-invalidation",
    "no-vary-search",
    "cache-status",
    "expect",
];

/// What such fields are made of; put together at random it is nearly right, which is where parsers err.
const PIECES: [&str; 44] = [
    "no-store",
    "private",
    "no-cache",
    "max-age",
    "s-maxage",
    "public",
    "must-revalidate",
    "stale-if-error",
    "=",
    "=",
    ",",
    ",",
    ";",
    " ",
    "\t",
    "\"",
    "\\",
    "*",
    "0",
    "60",
    "-1",
    "99999999999999999999",
    "1.5",
    "abc",
    "W/",
    "\"a\"",
    "bytes",
    "bytes=",
    "bytes ",
    "0-4",
    "-5",
    "/",
    "10",
    "Fri, 15 Jan 2027 08:01:00 GMT",
    "Friday, 15-Jan-94 08:01:00 GMT",
    "Fri Jan 15 08:01:00 2027",
    "?0",
    "?1",
    "(",
    ")",
    "params",
    "except",
    "key-order",
    "x",
];

fn value() -> impl Strategy<Value = HeaderValue> {
    let pieces = proptest::collection::vec(
        prop_oneof![
            9 => prop::sample::select(&PIECES[..]).prop_map(|piece| piece.as_bytes().to_vec()),
            1 => proptest::collection::vec(any::<u8>(), 0..4),
        ],
        0..8,
    );
    pieces.prop_filter_map("no field value", |pieces| HeaderValue::from_bytes(&pieces.concat()).ok())
}

fn fields() -> impl Strategy<Value = HeaderMap> {
    proptest::collection::vec((prop::sample::select(&FIELDS[..]), value()), 0..8).prop_map(|lines| {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, value);
        }
        headers
    })
}

fn part(headers: &HeaderMap, length: usize) -> StoredResponse {
    StoredResponse {
        status: StatusCode::PARTIAL_CONTENT,
        headers: headers.clone(),
        body: Bytes::from(vec![b'x'; length]),
        meta: StoredMeta::default(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_fields_say_nothing_panics_and_what_is_forbidden_is_not_done(
        request in fields(),
        response in fields(),
        news in fields(),
        status in 100u16..600,
        (later, length) in (0u64..1_000_000_000, 0usize..12),
    ) {
        let (rules, later) = (Rules::default(), NOW + later);
        let status = StatusCode::from_u16(status).unwrap();
        let received = Received { method: &Method::GET, request: &request, status, headers: &response, at: NOW };
        let (cc, wishes) = (rules.policy(&response), RequestCacheControl::from_headers(&request));
        let storing = rules.storing(&received);
        if let Ok(storing) = &storing {
            prop_assert!(!cc.no_store || cc.must_understand);
            prop_assert!(!wishes.no_store && Vary::from_headers(&response) != Vary::Any);
            prop_assert!(!status.is_informational() && status != StatusCode::NOT_MODIFIED);
            prop_assert!(!response.contains_key(header::SET_COOKIE) || storing.without.contains(&header::SET_COOKIE));
            let authorized = cc.public || cc.must_revalidate || cc.s_maxage.is_some();
            prop_assert!(!request.contains_key(header::AUTHORIZATION) || authorized);
            let timing = storing.timing(&response, NOW, NOW);
            prop_assert!(storing.fresh_for_ms == 0 || storing.explicit || response.contains_key(header::LAST_MODIFIED));
            let decision = reuse(&rules, &response, &timing, &wishes, later);
            if matches!(decision, Reuse::Serve | Reuse::ServeAndRefresh) {
                prop_assert!(!wishes.no_cache);
                let fresh = timing.age_ms(later) < timing.fresh_for_ms;
                prop_assert!(fresh || !(cc.must_revalidate || cc.proxy_revalidate || cc.s_maxage.is_some()));
            }
            for failure in [StaleOnError::Status, StaleOnError::Disconnected] {
                let stands_in = stale_on_error(&rules, &response, &timing, &wishes, failure, later);
                prop_assert!(!(stands_in && (cc.must_revalidate || cc.proxy_revalidate)));
            }
        }
        let mut conditions = request.clone();
        validation(&mut conditions, [&response, &news]);
        let _ = answers(&news, &[&response, &request], NOW);
        prop_assert!(!freshen(&response, &news, &[header::ETAG]).contains_key(header::CONNECTION)
            || response.contains_key(header::CONNECTION));
        if let Some(joined) = combine(&rules, &part(&response, length), &part(&news, 5), NOW) {
            prop_assert!(range::same_strong_validator(&response, &news, NOW));
            prop_assert!(joined.body.len() <= length + 5);
        }
        prop_assert_eq!(invalidated_by(&Method::GET, status, &response), Invalidated::default());
        let _ = invalidated_by(&Method::POST, status, &response);
        let _ = (cache_groups(&response), NoVarySearch::from_headers(&response).canonical("a=1&b"));
        let _ = evaluate_cached(&Method::GET, &request, &response, NOW);
        if let Some(specs) = range::requested(&request) {
            let _ = (specs.resolve(length as u64), specs.single(None), range::if_range_holds(&request, &response, NOW));
        }
        let mut answer = response.clone();
        CacheStatus::hit(Timing::default().ttl_secs(later)).append_to(&mut answer);
    }
}
