//! Is this a request that the cache may answer or learn from at all? Decided before anything is allocated.

use http::{HeaderMap, HeaderValue, Method, header};
use larder_http::Reason;

/// What one pass over a request's headers found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) head: bool,
    /// There is a `Cookie`.
    pub(crate) cookie: bool,
    /// There is an `Authorization` or another header that names the user.
    pub(crate) credentials: bool,
    /// There are fields by which some frameworks reroute a request (`X-Forwarded-Host` and its like).
    pub(crate) routing: bool,
    /// `If-None-Match` or `If-Modified-Since`: what a cache may answer itself.
    pub(crate) conditional: bool,
    /// `Range`, `If-Match` and their like: the answer may be for this request alone, so nobody waits for it.
    pub(crate) solo: bool,
    /// `Accept-Encoding`: a middleware outside may compress what is answered.
    pub(crate) coded: bool,
    /// Another Larder layer stands outside.
    pub(crate) nested: bool,
    /// `If-Match`, `If-Unmodified-Since`: only the origin may answer.
    pub(crate) precondition: bool,
    /// A session stands on the request.
    pub(crate) session: bool,
    /// Nothing but its session's id names the user.
    pub(crate) only_session: bool,
    /// The page is to be made anew though there is one ([`Refresh`](crate::Refresh)).
    pub(crate) refresh: bool,
}

impl Facts {
    /// Whether a stored page is the answer just as it is.
    #[inline]
    pub(crate) fn is_plain(self) -> bool {
        !(self.head || self.conditional || self.solo || self.nested)
    }

    /// On what a page is keyed that is for this visitor only, for `Cache-Status`.
    pub(crate) fn keyed(self) -> &'static str {
        let reason = match (self.credentials, self.only_session) {
            (true, _) => Reason::CredentialKeyed,
            (false, true) => Reason::SessionKeyed,
            (false, false) => Reason::CookieKeyed,
        };
        reason.as_str()
    }
}

/// Fields that change which page a framework makes of the same URL. They are keyed wherever they are sent, so that nobody can have a page
/// made with them that is then shown to those who did not send them.
pub(crate) const ROUTING_FIELDS: [&str; 21] = [
    "forwarded",
    "front-end-https",
    "x-envoy-original-path",
    "x-forwarded-host",
    "x-forwarded-path",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-protocol",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-forwarded-uri",
    "x-host",
    "x-http-host-override",
    "x-original-host",
    "x-original-uri",
    "x-original-url",
    "x-rewrite-url",
    "x-script-name",
    "x-url-scheme",
];

/// What Connection may list though the request carries it: fields that no page is made by.
const OF_THE_CONNECTION: [&str; 9] = [
    "close",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
];

/// Fields that [`admit`] has a word of its own about and goes on, so that it does not see that one names the user too. The routing fields aside.
const SORTED_OUT: [&str; 13] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "connection",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "range",
    "upgrade",
    "user-agent",
];

/// Whether `admit` would not see that this field names the user.
pub(crate) fn is_sorted_out(name: &header::HeaderName) -> bool {
    SORTED_OUT.contains(&name.as_str()) || ROUTING_FIELDS.contains(&name.as_str())
}

/// Sorts a request out; `identity` are the headers that name the user, in alphabetical order. `Err` says why it passes by.
pub(crate) fn admit(
    method: &Method,
    headers: &HeaderMap,
    identity: &[header::HeaderName],
    has_body: bool,
) -> Result<Facts, Reason> {
    admit_noting(method, headers, identity, has_body, &mut Hosts::default())
}

/// The lines of Host.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hosts<'a> {
    pub(crate) first: Option<&'a HeaderValue>,
    pub(crate) more: bool,
}

impl<'a> Hosts<'a> {
    pub(crate) fn see(&mut self, line: &'a HeaderValue) {
        self.more = self.first.is_some();
        self.first = self.first.or(Some(line));
    }
}

/// The same; notes the lines of Host, which it passes anyhow.
pub(crate) fn admit_noting<'a>(
    method: &Method,
    headers: &'a HeaderMap,
    identity: &[header::HeaderName],
    has_body: bool,
    hosts: &mut Hosts<'a>,
) -> Result<Facts, Reason> {
    let head = match *method {
        Method::GET => false,
        Method::HEAD => true,
        _ => return Err(Reason::Method),
    };
    if has_body {
        return Err(Reason::FatGet);
    }
    let mut facts = Facts { head, ..Facts::default() };
    for (name, value) in headers {
        match name.as_str() {
            // The usual ones first: most requests end here for each of their fields.
            "connection" => connection(value.as_bytes(), headers)?,
            "host" => hosts.see(value),
            "user-agent" | "accept" | "accept-language" => {}
            "accept-encoding" => facts.coded = true,
            "cookie" => facts.cookie = true,
            "authorization" => facts.credentials = true,
            "if-none-match" | "if-modified-since" => facts.conditional = true,
            "range" | "if-range" => facts.solo = true,
            "if-match" | "if-unmodified-since" => (facts.solo, facts.precondition) = (true, true),
            "upgrade" => {}
            "content-length" if value.as_bytes() != b"0" => return Err(Reason::FatGet),
            "transfer-encoding" => return Err(Reason::FatGet),
            "x-http-method-override" | "x-http-method" | "x-method-override" => {
                return Err(Reason::MethodOverride);
            }
            other if other.starts_with(['f', 'x']) && ROUTING_FIELDS.contains(&other) => facts.routing = true,
            other if identity.binary_search_by(|known| known.as_str().cmp(other)).is_ok() => {
                facts.credentials = true;
            }
            _ => {}
        }
    }
    Ok(facts)
}

/// A field that Connection lists may be taken away behind the cache (RFC 9110, section 7.6.1): what is then made without it must not be kept
/// under a key that has it.
fn connection(value: &[u8], headers: &HeaderMap) -> Result<(), Reason> {
    for option in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
        let is = |name: &&str| option.eq_ignore_ascii_case(name.as_bytes());
        if is(&"upgrade") {
            return Err(Reason::Upgrade);
        }
        let lists = || header::HeaderName::from_bytes(option).is_ok_and(|name| headers.contains_key(name));
        if !OF_THE_CONNECTION.iter().any(is) && lists() {
            return Err(Reason::ConnectionListed);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn facts(method: &Method, fields: &[(&'static str, &'static str)]) -> Result<Facts, Reason> {
        let headers =
            fields.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect();
        admit(method, &headers, &[HeaderName::from_static("x-api-key")], false)
    }

    #[test]
    fn only_get_and_head_without_a_body_are_admitted() {
        assert!(facts(&Method::GET, &[("content-length", "0")]).is_ok());
        assert!(facts(&Method::HEAD, &[]).is_ok_and(|f| f.head));
        for method in
            [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH, Method::TRACE]
        {
            assert_eq!(facts(&method, &[]).unwrap_err(), Reason::Method);
        }
        let lower = Method::from_bytes(b"get").unwrap();
        assert_eq!(facts(&lower, &[]).unwrap_err(), Reason::Method, "methods are case-sensitive");
        assert_eq!(facts(&Method::GET, &[("content-length", "3")]).unwrap_err(), Reason::FatGet);
        assert_eq!(facts(&Method::GET, &[("transfer-encoding", "chunked")]).unwrap_err(), Reason::FatGet);
        assert_eq!(admit(&Method::GET, &HeaderMap::new(), &[], true).unwrap_err(), Reason::FatGet);
    }

    #[test]
    fn upgrades_and_method_overrides_pass_by() {
        assert_eq!(
            facts(&Method::GET, &[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")])
                .unwrap_err(),
            Reason::Upgrade
        );
        assert_eq!(
            facts(&Method::GET, &[("x-http-method-override", "DELETE")]).unwrap_err(),
            Reason::MethodOverride
        );
        assert!(
            facts(&Method::GET, &[("upgrade", "h2c")]).is_ok(),
            "an upgrade nobody connects to is an offer only"
        );
    }

    #[test]
    fn what_a_proxy_would_take_away_passes_by() {
        for listed in ["host", "Cookie", "close, x-api-key", ",x-other ,"] {
            let fields = [
                ("connection", listed),
                ("host", "a"),
                ("cookie", "a"),
                ("x-api-key", "a"),
                ("x-other", "a"),
            ];
            assert_eq!(facts(&Method::GET, &fields).unwrap_err(), Reason::ConnectionListed, "{listed}");
        }
        for harmless in ["close", "keep-alive, TE", "x-other", "", ",,", "?"] {
            let fields = [("connection", harmless), ("te", "trailers"), ("keep-alive", "1"), ("host", "a")];
            assert!(facts(&Method::GET, &fields).is_ok(), "{harmless}");
        }
    }

    #[test]
    fn what_is_sorted_out_is_not_seen_to_name_the_user_and_all_else_is() {
        let seen = |name: HeaderName| {
            let headers = HeaderMap::from_iter([(name.clone(), HeaderValue::from_static("0"))]);
            admit(&Method::GET, &headers, &[name], false).map(|facts| facts.credentials)
        };
        for name in SORTED_OUT.into_iter().chain(ROUTING_FIELDS) {
            assert_eq!(seen(HeaderName::from_static(name)), Ok(false), "{name} need not be listed");
        }
        for name in ["accept-charset", "dnt", "keep-alive", "referer", "te", "x-mine", "fax"] {
            assert_eq!(seen(HeaderName::from_static(name)), Ok(true), "{name}");
        }
    }

    #[test]
    fn what_names_the_user_and_what_reroutes_is_seen() {
        assert!(facts(&Method::GET, &[("cookie", "a=1")]).unwrap().cookie);
        assert!(facts(&Method::GET, &[("x-api-key", "a")]).unwrap().credentials);
        assert!(facts(&Method::GET, &[("x-forwarded-host", "evil")]).unwrap().routing);
        let plain = facts(&Method::GET, &[("host", "a"), ("accept", "*/*")]).unwrap();
        assert!(!plain.credentials && !plain.routing && !plain.conditional);
    }
}
