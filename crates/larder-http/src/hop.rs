//! Fields of one connection, which must not be stored
//! ([RFC 9110 §7.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1),
//! [RFC 9111 §3.1](https://www.rfc-editor.org/rfc/rfc9111#section-3.1)).
//!
//! Connection and the fields it lists, Keep-Alive, TE, Trailer, Transfer-Encoding, Upgrade and everything that
//! belongs to a proxy. A Connection field that lists what is meant for every recipient (Host, Authorization, Cookie,
//! X-Forwarded-For; Cache-Control, Vary, Set-Cookie …) is wrong and is not obeyed there: those decide who asks for what,
//! and who may see the response and how.
//!
//! ```
//! use http::{HeaderMap, header};
//!
//! let mut headers = HeaderMap::new();
//! headers.insert(header::CONNECTION, "close, X-Hop".parse()?);
//! headers.insert("x-hop", "1".parse()?);
//! headers.insert("x-end", "1".parse()?);
//! larder_http::strip_hop_by_hop(&mut headers);
//! assert!(headers.len() == 1 && headers.contains_key("x-end"));
//! # Ok::<(), http::header::InvalidHeaderValue>(())
//! ```

use http::{HeaderMap, HeaderName, header};

static HOP_BY_HOP: [HeaderName; 10] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    HeaderName::from_static("proxy-authentication-info"),
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

static END_TO_END: [HeaderName; 31] = [
    header::ACCEPT,
    header::ACCEPT_CHARSET,
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::AGE,
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_LOCATION,
    header::CONTENT_RANGE,
    header::CONTENT_SECURITY_POLICY,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::DATE,
    header::ETAG,
    header::EXPIRES,
    header::FORWARDED,
    header::HOST,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    header::LAST_MODIFIED,
    header::LOCATION,
    header::ORIGIN,
    header::RANGE,
    header::SET_COOKIE,
    header::VARY,
    header::VIA,
];

/// Removes every field that belongs to the connection a message came over.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    // Most responses have none, and their fields are fewer than these.
    if !headers.keys().any(|name| HOP_BY_HOP.contains(name)) {
        return;
    }
    let listed: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|line| line.as_bytes().split(|&b| b == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| !END_TO_END.contains(name) && !name.as_str().starts_with("x-forwarded-"))
        .collect();
    for name in listed.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(fields: &[(&str, &str)]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        strip_hop_by_hop(&mut headers);
        let mut left: Vec<_> = headers.keys().map(|name| name.as_str().to_owned()).collect();
        left.sort();
        left
    }

    #[test]
    fn all_hop_by_hop_fields_go_and_the_rest_stays() {
        let mut fields: Vec<_> = HOP_BY_HOP.iter().map(|name| (name.as_str(), "x")).collect();
        fields.extend([("content-type", "text/html"), ("x-trailer", "1")]);
        assert_eq!(stripped(&fields), ["content-type", "x-trailer"]);
    }

    #[test]
    fn what_connection_lists_goes_over_all_lines_and_in_any_case() {
        let fields = [
            ("connection", "Close, X-A"),
            ("connection", " x-b ,,not a name"),
            ("x-a", "1"),
            ("x-a", "2"),
            ("x-b", "1"),
            ("x-c", "1"),
        ];
        assert_eq!(stripped(&fields), ["x-c"]);
    }

    #[test]
    fn connection_cannot_take_away_what_decides_who_may_see_the_response() {
        let fields = [
            ("connection", "vary, cache-control, set-cookie"),
            ("vary", "a"),
            ("cache-control", "private"),
            ("set-cookie", "a=1"),
        ];
        assert_eq!(stripped(&fields), ["cache-control", "set-cookie", "vary"]);
    }
}
