//! What may be stored.
//!
//! The origin policy is Django's `UpdateCacheMiddleware`, made safe. The first of these that holds is the reason:
//!
//! 1. 1xx: [`Reason::NotFinal`].
//! 2. 206 or Content-Range: [`Reason::Partial`].
//! 3. Any other status than 200: [`Reason::Status`].
//! 4. Set-Cookie: [`Reason::SetCookie`]. Django stores it unless the page varies on Cookie, and sends one visitor's
//!    cookie to all others.
//! 5. `private`, `no-store`, `no-cache` in any form, in this order: [`Reason::Private`], [`Reason::NoStore`],
//!    [`Reason::NoCache`].
//! 6. `Vary: *`, or a Vary that can't be read: [`Reason::VaryStar`].
//!
//! Whether the *request* may be answered from a cache at all (method, body, upgrade) is decided before, and how long
//! a response is kept after.
//!
//! ```
//! use http::{HeaderMap, StatusCode, header};
//! use larder_http::{CacheControl, Reason, Vary, storable_origin};
//!
//! let mut headers = HeaderMap::new();
//! let storable = |headers: &HeaderMap| {
//!     let (cc, vary) = (CacheControl::from_headers(headers), Vary::from_headers(headers));
//!     storable_origin(StatusCode::OK, headers, &cc, &vary)
//! };
//! assert_eq!(storable(&headers), Ok(()));
//! headers.insert(header::SET_COOKIE, "session=1".parse()?);
//! assert_eq!(storable(&headers), Err(Reason::SetCookie));
//! # Ok::<(), http::header::InvalidHeaderValue>(())
//! ```

use crate::{cache_control::CacheControl, reason::Reason, vary::Vary};
use http::{HeaderMap, Method, StatusCode, header};

/// The methods that are answered from the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MethodClass {
    /// GET; its entry may answer HEAD too.
    Get,
    /// HEAD; its entry answers only HEAD.
    Head,
}

impl MethodClass {
    /// The class of a method; `None` for all that pass the cache by.
    #[must_use]
    pub fn of(method: &Method) -> Option<MethodClass> {
        match *method {
            Method::GET => Some(MethodClass::Get),
            Method::HEAD => Some(MethodClass::Head),
            _ => None,
        }
    }

    /// The method's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            MethodClass::Get => "GET",
            MethodClass::Head => "HEAD",
        }
    }
}

/// Which rules decide what is stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct StorePolicy(Rules);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
enum Rules {
    #[default]
    Origin,
}

impl StorePolicy {
    /// Django's rules made safe, for a cache that belongs to the application.
    #[must_use]
    pub const fn origin() -> StorePolicy {
        StorePolicy(Rules::Origin)
    }

    /// Whether a response may be stored under this policy.
    ///
    /// # Errors
    ///
    /// The first reason against it.
    pub fn storable(
        self,
        status: StatusCode,
        headers: &HeaderMap,
        cc: &CacheControl,
        vary: &Vary,
    ) -> Result<(), Reason> {
        match self.0 {
            Rules::Origin => storable_origin(status, headers, cc, vary),
        }
    }
}

/// Whether a response may be stored by the origin policy; `cc` and `vary` are those of `headers`.
///
/// # Errors
///
/// The first reason against it, in the order of the [module](self).
pub fn storable_origin(
    status: StatusCode,
    headers: &HeaderMap,
    cc: &CacheControl,
    vary: &Vary,
) -> Result<(), Reason> {
    if status.is_informational() {
        return Err(Reason::NotFinal);
    }
    if status == StatusCode::PARTIAL_CONTENT || headers.contains_key(header::CONTENT_RANGE) {
        return Err(Reason::Partial);
    }
    if status != StatusCode::OK {
        return Err(Reason::Status);
    }
    if headers.contains_key(header::SET_COOKIE) {
        return Err(Reason::SetCookie);
    }
    match restriction(cc).or_else(|| (*vary == Vary::Any).then_some(Reason::VaryStar)) {
        Some(reason) => Err(reason),
        None => Ok(()),
    }
}

/// Whether a response that was storable where it was made turned private on its way out, and by what: Set-Cookie,
/// `private`, `no-store`, `no-cache` or `Vary: *` from a middleware outside.
///
/// `ignore_cache_control` is for an application that marks pages for its clients only, as Django's `never_cache`
/// outside `cache_page` does: the page stays stored while clients are told not to keep it.
#[must_use]
pub fn became_private(headers: &HeaderMap, ignore_cache_control: bool) -> Option<Reason> {
    if headers.contains_key(header::SET_COOKIE) {
        return Some(Reason::SetCookie);
    }
    if !ignore_cache_control && let Some(reason) = restriction(&CacheControl::from_headers(headers)) {
        return Some(reason);
    }
    (Vary::from_headers(headers) == Vary::Any).then_some(Reason::VaryStar)
}

fn restriction(cc: &CacheControl) -> Option<Reason> {
    if cc.private.is_present() {
        Some(Reason::Private)
    } else if cc.no_store {
        Some(Reason::NoStore)
    } else if cc.no_cache.is_present() {
        Some(Reason::NoCache)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        headers
    }

    fn verdict(status: u16, fields: &[(&str, &str)]) -> Result<(), Reason> {
        let headers = headers(fields);
        let (cc, vary) = (CacheControl::from_headers(&headers), Vary::from_headers(&headers));
        let status = StatusCode::from_u16(status).unwrap();
        let by_policy = StorePolicy::origin().storable(status, &headers, &cc, &vary);
        assert_eq!(by_policy, storable_origin(status, &headers, &cc, &vary));
        by_policy
    }

    #[test]
    fn mw_02_only_get_and_head_have_a_class() {
        assert_eq!(MethodClass::of(&Method::GET), Some(MethodClass::Get));
        assert_eq!(MethodClass::of(&Method::HEAD), Some(MethodClass::Head));
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "get", "QUERY"] {
            assert_eq!(MethodClass::of(&method.parse().unwrap()), None, "{method}");
        }
    }

    #[test]
    fn django_rows_are_stored_or_not() {
        type Row = (&'static str, u16, &'static [(&'static str, &'static str)], Result<(), Reason>);
        let rows: &[Row] = &[
            ("plain", 200, &[], Ok(())),
            ("MW-04", 201, &[], Err(Reason::Status)),
            ("MW-04", 203, &[], Err(Reason::Status)),
            ("MW-04", 204, &[], Err(Reason::Status)),
            ("MW-04", 206, &[], Err(Reason::Partial)),
            ("MW-04", 301, &[], Err(Reason::Status)),
            ("MW-04", 302, &[], Err(Reason::Status)),
            ("MW-04", 404, &[], Err(Reason::Status)),
            ("MW-04", 410, &[], Err(Reason::Status)),
            ("MW-04", 500, &[], Err(Reason::Status)),
            ("MW-05", 304, &[], Err(Reason::Status)),
            ("interim", 103, &[], Err(Reason::NotFinal)),
            ("range", 200, &[("content-range", "bytes 0-1/2")], Err(Reason::Partial)),
            ("MW-08", 200, &[("cache-control", "private=\"Set-Cookie\"")], Err(Reason::Private)),
            ("MW-08", 200, &[("cache-control", "no-cache = \"Set-Cookie\"")], Err(Reason::NoCache)),
            ("MW-08", 200, &[("cache-control", "no-store=\"x\"")], Err(Reason::NoStore)),
            ("case", 200, &[("cache-control", "PRIVATE")], Err(Reason::Private)),
            (
                "second line",
                200,
                &[("cache-control", "a"), ("cache-control", "private")],
                Err(Reason::Private),
            ),
            ("MW-09", 200, &[("cache-control", "myprivate")], Ok(())),
            ("MW-09", 200, &[("cache-control", "x-private-ish=1")], Ok(())),
            ("MW-10", 200, &[("vary", "*")], Err(Reason::VaryStar)),
            ("MW-10", 200, &[("vary", " * ")], Err(Reason::VaryStar)),
            ("MW-10", 200, &[("vary", "Cookie, * , Pony")], Err(Reason::VaryStar)),
            ("MW-11", 200, &[("set-cookie", "a=1"), ("vary", "Cookie")], Err(Reason::SetCookie)),
            ("MW-12, safer", 200, &[("set-cookie", "a=1")], Err(Reason::SetCookie)),
            ("MW-12, safer", 200, &[("set-cookie", "a=1"), ("vary", "Accept")], Err(Reason::SetCookie)),
            ("MW-21", 200, &[("cache-control", "max-age=0")], Ok(())),
            ("MW-41", 200, &[("cache-control", "max-age=abc")], Ok(())),
            ("vary", 200, &[("vary", "Cookie")], Ok(())),
        ];
        for &(id, status, fields, expected) in rows {
            assert_eq!(verdict(status, fields), expected, "{id}: {status} {fields:?}");
        }
    }

    #[test]
    fn of_several_reasons_the_first_in_the_documented_order_is_given() {
        let mut fields = vec![
            ("vary", "*"),
            ("cache-control", "no-cache"),
            ("cache-control", "no-store"),
            ("cache-control", "private"),
            ("set-cookie", "a=1"),
        ];
        assert_eq!(verdict(404, &fields), Err(Reason::Status));
        for reason in [Reason::SetCookie, Reason::Private, Reason::NoStore, Reason::NoCache, Reason::VaryStar]
        {
            assert_eq!(verdict(200, &fields), Err(reason));
            fields.pop();
        }
        assert_eq!(verdict(200, &fields), Ok(()));
    }

    #[test]
    fn a_response_becomes_private_by_what_an_outer_middleware_adds() {
        let became = |fields: &[(&str, &str)], ignore| became_private(&headers(fields), ignore);
        assert_eq!(became(&[("vary", "Cookie")], false), None);
        assert_eq!(became(&[("set-cookie", "a=1")], true), Some(Reason::SetCookie));
        assert_eq!(became(&[("vary", "*")], true), Some(Reason::VaryStar));
        assert_eq!(became(&[("cache-control", "private")], false), Some(Reason::Private));
        assert_eq!(became(&[("cache-control", "no-store")], false), Some(Reason::NoStore));
    }

    #[test]
    fn mw_35_never_cache_outside_can_be_told_to_address_clients_only() {
        let mut never = HeaderMap::new();
        crate::add_never_cache_headers(&mut never, 0);
        assert_eq!(became_private(&never, false), Some(Reason::Private));
        assert_eq!(became_private(&never, true), None);
    }
}
