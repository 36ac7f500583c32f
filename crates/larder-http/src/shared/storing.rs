//! What may be stored (RFC 9111 §3).

use super::{Heuristics, Rules, is_understood};
use crate::cache_control::{CacheControl, FieldRule};
use crate::date::UnixMillis;
use crate::delta::Delta;
use crate::freshness::Timing;
use crate::lifetime::{explicit_lifetime, heuristic_lifetime};
use crate::range;
use crate::reason::Reason;
use crate::request_control::RequestCacheControl;
use crate::stale::StaleWindows;
use crate::{age::initial_age_ms, targeted, vary::Vary};
use http::{HeaderMap, HeaderName, Method, StatusCode, header};

/// A response with the request that it answers.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// The request's method.
    pub method: &'a Method,
    /// The request's fields, as they were sent to the origin.
    pub request: &'a HeaderMap,
    /// The response's status.
    pub status: StatusCode,
    /// The response's fields.
    pub headers: &'a HeaderMap,
    /// When it came.
    pub at: UnixMillis,
}

/// How a response is to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storing {
    /// How long it is fresh, counted from its making; 0 for what is stored for validation only.
    pub fresh_for_ms: u64,
    /// How long it may be served stale while it is refreshed.
    pub stale_while_revalidate_ms: u64,
    /// How long it may be served stale when the origin answers with an error.
    pub stale_if_error_ms: u64,
    /// Fields that must not be stored: those that `no-cache="…"` and `private="…"` list.
    pub without: Vec<HeaderName>,
    /// Whether the lifetime is the origin's word, not a guess.
    pub explicit: bool,
}

impl Storing {
    /// The timing of the stored response; the request was begun at `begun`.
    #[must_use]
    pub fn timing(&self, headers: &HeaderMap, begun: UnixMillis, at: UnixMillis) -> Timing {
        Timing {
            request_time: begun,
            response_time: at,
            initial_age_ms: initial_age_ms(headers, begun, at),
            fresh_for_ms: self.fresh_for_ms,
            stale_while_revalidate_ms: self.stale_while_revalidate_ms,
            stale_if_error_ms: self.stale_if_error_ms,
        }
    }
}

impl Rules {
    /// The policy that a response gives this cache: the first targeted field of its list, else Cache-Control.
    #[must_use]
    pub fn policy(&self, headers: &HeaderMap) -> CacheControl {
        self.targeted(headers).unwrap_or_else(|| CacheControl::from_headers(headers))
    }

    /// How long a response may be shown stale: by its own word, else, if it ever was fresh, as the operator said (§4.2.4), and not at all
    /// where it forbids that.
    fn windows(&self, cc: &CacheControl, was_fresh: bool) -> StaleWindows {
        if forbids_stale(self, cc) {
            return StaleWindows::default();
        }
        let agreed = if was_fresh { self.stale } else { StaleWindows::default() };
        let or = |own: Option<Delta>, layer| own.map_or(layer, |own| own.seconds().unwrap_or(0) * 1000);
        StaleWindows {
            while_revalidate_ms: or(cc.stale_while_revalidate, agreed.while_revalidate_ms),
            if_error_ms: or(cc.stale_if_error, agreed.if_error_ms),
        }
    }

    fn targeted(&self, headers: &HeaderMap) -> Option<CacheControl> {
        targeted::from_headers(headers, &self.targets)
    }

    /// Whether a response to GET, HEAD or QUERY may be stored, and how. A 304 is never stored by itself; see
    /// [`freshen`](super::freshen).
    ///
    /// # Errors
    ///
    /// The first reason against it.
    pub fn storing(&self, received: &Received<'_>) -> Result<Storing, Reason> {
        let Received { request, status, headers, .. } = *received;
        if status.is_informational() {
            return Err(Reason::NotFinal);
        }
        if status == StatusCode::NOT_MODIFIED || is_for_this_request_alone(status, request) {
            return Err(Reason::Status);
        }
        if status == StatusCode::PARTIAL_CONTENT
            && (range::content_range(headers).is_none() || !request.contains_key(header::RANGE))
        {
            return Err(Reason::Partial);
        }
        let targeted = self.targeted(headers);
        let uses_expires = targeted.is_none();
        let cc = targeted.unwrap_or_else(|| CacheControl::from_headers(headers));
        if cc.must_understand && !is_understood(status) {
            return Err(Reason::Status);
        }
        let forbidden = cc.no_store && !cc.must_understand;
        if forbidden || RequestCacheControl::from_headers(request).no_store {
            return Err(Reason::NoStore);
        }
        if cc.private == FieldRule::All {
            return Err(Reason::Private);
        }
        if request.contains_key(header::AUTHORIZATION)
            && !(cc.public || cc.must_revalidate || cc.s_maxage.is_some())
        {
            return Err(Reason::Authorization);
        }
        let without = listed(&cc);
        let (lifetime, explicit) = self.lifetime(received, &cc, uses_expires);
        // Nobody's cookie becomes everybody's by a guess.
        if headers.contains_key(header::SET_COOKIE)
            && !(self.store_set_cookie && explicit)
            && !without.contains(&header::SET_COOKIE)
        {
            return Err(Reason::SetCookie);
        }
        if Vary::from_headers(headers) == Vary::Any {
            return Err(Reason::VaryStar);
        }
        // What has to be validated each time is never fresh.
        let fresh_for_ms = if cc.no_cache == FieldRule::All { 0 } else { lifetime.unwrap_or(0) };
        let windows = self.windows(&cc, fresh_for_ms > 0);
        let storing = Storing {
            fresh_for_ms,
            stale_while_revalidate_ms: windows.while_revalidate_ms,
            stale_if_error_ms: windows.if_error_ms,
            without,
            explicit,
        };
        // One of these must be there (§3), and something that makes keeping it worth while.
        let permitted = explicit
            || cc.public
            || crate::is_heuristically_cacheable(status)
            || status == StatusCode::PARTIAL_CONTENT;
        let useful = storing.fresh_for_ms > 0
            || storing.stale_while_revalidate_ms > 0
            || storing.stale_if_error_ms > 0
            || !range::has_no_validator(headers);
        match (permitted, useful) {
            (true, true) => Ok(storing),
            (true, false) => Err(Reason::ZeroTimeout),
            (false, _) => Err(Reason::Status),
        }
    }

    /// The lifetime and whether the origin gave it.
    fn lifetime(
        &self,
        received: &Received<'_>,
        cc: &CacheControl,
        uses_expires: bool,
    ) -> (Option<u64>, bool) {
        let Received { status, headers, at, .. } = *received;
        let explicit = match uses_expires {
            true => explicit_lifetime(headers, cc, true, at),
            false => explicit_lifetime(&HeaderMap::new(), cc, true, at),
        };
        if let Some(lifetime) = explicit {
            return (Some(lifetime), true);
        }
        let provoked = matches!(status.as_u16(), 405 | 414 | 501);
        let guessed = match self.heuristics {
            Heuristics::Off => false,
            Heuristics::Safe => !provoked || cc.public,
            Heuristics::All => true,
        };
        // A part has the lifetime of the whole.
        let guess = if uses_expires {
            heuristic_lifetime(status, headers, cc, true, at)
        } else {
            let mut without = headers.clone();
            without.remove(header::EXPIRES);
            heuristic_lifetime(status, &without, cc, true, at)
        };
        (guess.filter(|_| guessed), false)
    }
}

/// Whether a status speaks of what this request brought, so that it would be wrong for others, whatever lifetime the response gives.
fn is_for_this_request_alone(status: StatusCode, request: &HeaderMap) -> bool {
    let has = |names: &[HeaderName]| names.iter().any(|name| request.contains_key(name));
    match status.as_u16() {
        // RFC 6585: they must not be stored.
        428 | 429 | 431 | 511 => true,
        400 | 416 => has(&[header::RANGE]),
        412 => has(&[header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE, header::IF_RANGE]),
        417 => has(&[header::EXPECT]),
        _ => false,
    }
}

/// Whether a response must not be served stale by a shared cache (§4.2.4).
pub(super) fn forbids_stale(rules: &Rules, cc: &CacheControl) -> bool {
    cc.must_revalidate
        || cc.proxy_revalidate
        || (cc.s_maxage.is_some() && !rules.stale_despite_s_maxage)
        || cc.no_cache == FieldRule::All
}

fn listed(cc: &CacheControl) -> Vec<HeaderName> {
    let mut names = Vec::new();
    for rule in [&cc.private, &cc.no_cache] {
        if let FieldRule::Fields(fields) = rule {
            names.extend(fields.iter().cloned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = 1_000_000_000_000;

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        headers
    }

    fn by(
        rules: &Rules,
        status: u16,
        request: &[(&str, &str)],
        response: &[(&str, &str)],
    ) -> Result<Storing, Reason> {
        let (request, headers) = (map(request), map(response));
        let status = StatusCode::from_u16(status).unwrap();
        rules.storing(&Received {
            method: &Method::GET,
            request: &request,
            status,
            headers: &headers,
            at: NOW,
        })
    }

    fn fresh(status: u16, request: &[(&str, &str)], response: &[(&str, &str)]) -> Result<u64, Reason> {
        by(&Rules::default(), status, request, response).map(|storing| storing.fresh_for_ms / 1000)
    }

    #[test]
    fn the_rows_of_section_3() {
        type Row<'a> =
            (&'a str, u16, &'a [(&'a str, &'a str)], &'a [(&'a str, &'a str)], Result<u64, Reason>);
        let rows: &[Row<'_>] = &[
            ("explicit", 200, &[], &[("cache-control", "max-age=5")], Ok(5)),
            ("any final status", 599, &[], &[("cache-control", "max-age=5")], Ok(5)),
            ("nothing said", 200, &[], &[], Err(Reason::ZeroTimeout)),
            ("nothing said, a validator", 200, &[], &[("etag", "\"a\"")], Ok(0)),
            (
                "stale but with a validator",
                200,
                &[],
                &[("cache-control", "max-age=0"), ("etag", "\"a\"")],
                Ok(0),
            ),
            ("not heuristically cacheable", 302, &[], &[("etag", "\"a\"")], Err(Reason::Status)),
            ("public", 302, &[], &[("etag", "\"a\""), ("cache-control", "public")], Ok(0)),
            ("interim", 103, &[], &[("cache-control", "max-age=5")], Err(Reason::NotFinal)),
            ("304", 304, &[], &[("cache-control", "max-age=5")], Err(Reason::Status)),
            ("no-store", 200, &[], &[("cache-control", "max-age=5, no-store")], Err(Reason::NoStore)),
            (
                "no-store asked for",
                200,
                &[("cache-control", "no-store")],
                &[("cache-control", "max-age=5")],
                Err(Reason::NoStore),
            ),
            ("understood", 200, &[], &[("cache-control", "max-age=5, no-store, must-understand")], Ok(5)),
            (
                "not understood",
                599,
                &[],
                &[("cache-control", "max-age=5, no-store, must-understand")],
                Err(Reason::Status),
            ),
            ("private", 200, &[], &[("cache-control", "max-age=5, private")], Err(Reason::Private)),
            ("no-cache", 200, &[], &[("cache-control", "max-age=5, no-cache"), ("etag", "\"a\"")], Ok(0)),
            (
                "authorization",
                200,
                &[("authorization", "x")],
                &[("cache-control", "max-age=5")],
                Err(Reason::Authorization),
            ),
            (
                "authorization, public",
                200,
                &[("authorization", "x")],
                &[("cache-control", "max-age=5, public")],
                Ok(5),
            ),
            (
                "authorization, s-maxage",
                200,
                &[("authorization", "x")],
                &[("cache-control", "s-maxage=5")],
                Ok(5),
            ),
            (
                "authorization, must-revalidate",
                200,
                &[("authorization", "x")],
                &[("cache-control", "max-age=5, must-revalidate")],
                Ok(5),
            ),
            (
                "authorization, proxy-revalidate",
                200,
                &[("authorization", "x")],
                &[("cache-control", "max-age=5, proxy-revalidate")],
                Err(Reason::Authorization),
            ),
            (
                "set-cookie",
                200,
                &[],
                &[("cache-control", "max-age=5"), ("set-cookie", "a=1")],
                Err(Reason::SetCookie),
            ),
            (
                "set-cookie, not stored",
                200,
                &[],
                &[("cache-control", "max-age=5, no-cache=\"set-cookie\""), ("set-cookie", "a=1")],
                Ok(5),
            ),
            ("vary", 200, &[], &[("cache-control", "max-age=5"), ("vary", "*")], Err(Reason::VaryStar)),
            (
                "part",
                206,
                &[("range", "bytes=0-1")],
                &[("cache-control", "max-age=5"), ("content-range", "bytes 0-1/9")],
                Ok(5),
            ),
            (
                "part that nobody asked for",
                206,
                &[],
                &[("cache-control", "max-age=5"), ("content-range", "bytes 0-1/9")],
                Err(Reason::Partial),
            ),
            (
                "part without its place",
                206,
                &[("range", "bytes=0-1")],
                &[("cache-control", "max-age=5")],
                Err(Reason::Partial),
            ),
            (
                "targeted beats",
                200,
                &[],
                &[("cache-control", "no-store"), ("cdn-cache-control", "max-age=7")],
                Ok(7),
            ),
            (
                "targeted forbids",
                200,
                &[],
                &[("cache-control", "max-age=7"), ("cdn-cache-control", "no-store")],
                Err(Reason::NoStore),
            ),
            (
                "targeted silences Expires",
                200,
                &[],
                &[
                    ("expires", "Thu, 01 Jan 2099 00:00:00 GMT"),
                    ("cdn-cache-control", "immutable"),
                    ("etag", "\"a\""),
                ],
                Ok(0),
            ),
            (
                "unreadable targeted is absent",
                200,
                &[],
                &[("cache-control", "max-age=7"), ("cdn-cache-control", "max-age=")],
                Ok(7),
            ),
        ];
        for (name, status, request, response, expected) in rows {
            assert_eq!(fresh(*status, request, response), *expected, "{name}");
        }
    }

    #[test]
    fn what_is_said_of_one_request_is_not_stored_for_others() {
        let long = [("cache-control", "max-age=60, public")];
        for status in [428, 429, 431, 511] {
            assert_eq!(fresh(status, &[], &long), Err(Reason::Status), "RFC 6585: {status}");
        }
        let asked = [
            (400, ("range", "bytes=x")),
            (416, ("range", "bytes=9-")),
            (412, ("if-none-match", "\"a\"")),
            (417, ("expect", "x")),
        ];
        for (status, field) in asked {
            assert_eq!(fresh(status, &[field], &long), Err(Reason::Status), "{status}");
            assert_eq!(fresh(status, &[], &long), Ok(60), "{status}");
        }
    }

    #[test]
    fn a_lifetime_is_guessed_only_where_the_rules_say_so() {
        let changed = crate::format_date(NOW - 100_000);
        let lm = ("last-modified", changed.to_str().unwrap());
        let guess = |heuristics, status, more: &[(&str, &str)]| {
            let response: Vec<_> = [lm].iter().chain(more).copied().collect();
            by(&Rules { heuristics, ..Rules::default() }, status, &[], &response).map(|s| s.fresh_for_ms)
        };
        assert_eq!(guess(Heuristics::Safe, 200, &[]), Ok(10_000));
        assert_eq!(guess(Heuristics::Safe, 404, &[]), Ok(10_000));
        assert_eq!(guess(Heuristics::Safe, 414, &[]), Ok(0), "stored for validation only");
        assert_eq!(guess(Heuristics::All, 414, &[]), Ok(10_000));
        assert_eq!(guess(Heuristics::Off, 200, &[]), Ok(0));
        assert_eq!(guess(Heuristics::Safe, 599, &[("cache-control", "public")]), Ok(10_000));
        assert_eq!(guess(Heuristics::All, 200, &[("expires", "0")]), Ok(0));
    }

    #[test]
    fn switches_allow_what_is_lawful_but_not_safe() {
        let cookie = [("cache-control", "max-age=5"), ("set-cookie", "a=1")];
        let rules = Rules { store_set_cookie: true, ..Rules::default() };
        assert_eq!(by(&rules, 200, &[], &cookie).unwrap().fresh_for_ms, 5_000);
        let changed = crate::format_date(NOW - 100_000);
        let guessed = [("last-modified", changed.to_str().unwrap()), ("set-cookie", "a=1")];
        assert_eq!(by(&rules, 200, &[], &guessed), Err(Reason::SetCookie), "not by a guess");
        let stale = [("cache-control", "s-maxage=5, stale-while-revalidate=7, stale-if-error=9")];
        let windows = |rules: &Rules| {
            let s = by(rules, 200, &[], &stale).unwrap();
            (s.stale_while_revalidate_ms, s.stale_if_error_ms)
        };
        assert_eq!(windows(&Rules::default()), (0, 0), "s-maxage implies proxy-revalidate");
        assert_eq!(windows(&Rules { stale_despite_s_maxage: true, ..Rules::default() }), (7_000, 9_000));
    }

    #[test]
    fn listed_fields_are_left_out() {
        let s = by(
            &Rules::default(),
            200,
            &[],
            &[("cache-control", "max-age=5, private=\"x-user\", no-cache=\"x-b\"")],
        )
        .unwrap();
        assert_eq!(s.without, [HeaderName::from_static("x-user"), HeaderName::from_static("x-b")]);
    }
}
