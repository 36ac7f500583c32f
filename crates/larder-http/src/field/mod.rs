//! What a request says in a field that a response varies on, in a form that can be compared
//! ([RFC 9111 §4.1](https://www.rfc-editor.org/rfc/rfc9111#section-4.1)).
//!
//! Two requests match when their fields are equal after combining lines, removing whitespace and normalising in
//! ways "known to have identical semantics". [`canonical_field`] does that and no more:
//!
//! | field | form |
//! |---|---|
//! | not there | differs from every value, also from an empty one |
//! | Cookie | all lines joined with `; ` (HTTP/2 splits them), nothing else touched |
//! | Accept-Encoding | lower case, sorted by weight, then name: `br, gzip` is `gzip, br` |
//! | Accept-Language | lower case, sorted by weight; those of equal weight keep their order, which may be meant |
//! | a field whose value is not a list (User-Agent, Authorization, dates, …) | as it is |
//! | any other | lines joined, whitespace around commas removed except inside quoted strings |
//!
//! A value that isn't what its grammar says is treated as in the last row, so that nothing odd is ever
//! merged with something regular. Names and values are length-prefixed: no two lists of fields run together
//! to the same bytes.
//!
//! ```
//! use http::{HeaderMap, header};
//! use larder_http::canonical_field;
//!
//! let canonical = |value: &str| {
//!     let mut out = Vec::new();
//!     let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, value.parse().unwrap())]);
//!     canonical_field(&header::ACCEPT_ENCODING, &headers, &mut |bytes| out.extend_from_slice(bytes));
//!     out
//! };
//! assert_eq!(canonical("GZIP;q=0.50 , br"), b"15:accept-encoding,13:br,gzip;q=0.5,");
//! assert_eq!(canonical("br,gzip;q=0.5"), canonical("GZIP;q=0.50 , br"));
//! assert_ne!(canonical("br,gzip"), canonical("br,gzip;q=0.5"));
//! ```

mod preferences;

use crate::directives::closing_quote;
use http::{HeaderMap, HeaderName, header};
use preferences::by_weight;
pub(crate) use preferences::weight;
use std::borrow::Cow;

/// Writes name and canonical value of one request field, in pieces, to `sink`.
///
/// The form is a pair of netstrings (`6:accept,3:a/b,`); a field that isn't there has `-,` for the second. It is
/// meant for hashing and comparing within one version of this crate, not for storage.
pub fn canonical_field(name: &HeaderName, headers: &HeaderMap, sink: &mut dyn FnMut(&[u8])) {
    canonical(name, headers, false, sink);
}

/// As [`canonical_field`], but languages of equal weight are in one order too: to the letter of
/// [RFC 9110 §12.5.4](https://www.rfc-editor.org/rfc/rfc9110#section-12.5.4) their order says nothing.
pub fn canonical_field_unordered(name: &HeaderName, headers: &HeaderMap, sink: &mut dyn FnMut(&[u8])) {
    canonical(name, headers, true, sink);
}

fn canonical(name: &HeaderName, headers: &HeaderMap, unordered: bool, sink: &mut dyn FnMut(&[u8])) {
    netstring(name.as_str().as_bytes(), sink);
    if !headers.contains_key(name) {
        return sink(b"-,");
    }
    if *name == header::COOKIE {
        return netstring(&joined_cookies(headers).unwrap_or_default(), sink);
    }
    if SINGLETONS.contains(name) {
        let lines = headers.get_all(name).iter().map(|line| line.as_bytes());
        // A line feed can't be part of a value, so two lines never look like one.
        return netstring(&lines.collect::<Vec<_>>().join(&b'\n'), sink);
    }
    let list = combined(name, headers);
    let preferences = if *name == header::ACCEPT_ENCODING {
        by_weight(&list, true)
    } else if *name == header::ACCEPT_LANGUAGE {
        by_weight(&list, unordered)
    } else {
        None
    };
    netstring(preferences.as_deref().unwrap_or(&list), sink);
}

/// All Cookie lines as one, joined with `; `: HTTP/2 and HTTP/3 let a client split them anywhere between two cookies
/// ([RFC 9113 §8.2.3](https://www.rfc-editor.org/rfc/rfc9113#section-8.2.3)). `None` when there is none.
///
/// ```
/// # use http::{HeaderMap, header};
/// let mut headers = HeaderMap::new();
/// headers.append(header::COOKIE, "a=1".parse()?);
/// headers.append(header::COOKIE, "b=2".parse()?);
/// assert_eq!(larder_http::joined_cookies(&headers).as_deref(), Some(&b"a=1; b=2"[..]));
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
#[must_use]
pub fn joined_cookies(headers: &HeaderMap) -> Option<Cow<'_, [u8]>> {
    let mut lines = headers.get_all(header::COOKIE).iter().map(|line| line.as_bytes());
    let mut joined = Cow::Borrowed(lines.next()?);
    for line in lines {
        let joined = joined.to_mut();
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(line);
    }
    Some(joined)
}

/// Request fields whose commas and spaces are their own.
static SINGLETONS: [HeaderName; 13] = [
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::DATE,
    header::FROM,
    header::HOST,
    header::IF_MODIFIED_SINCE,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    header::ORIGIN,
    header::PROXY_AUTHORIZATION,
    header::REFERER,
    header::SET_COOKIE,
    header::USER_AGENT,
];

fn netstring(bytes: &[u8], sink: &mut dyn FnMut(&[u8])) {
    sink(bytes.len().to_string().as_bytes());
    sink(b":");
    sink(bytes);
    sink(b",");
}

/// All lines joined with commas, without whitespace around commas outside quotes.
fn combined(name: &HeaderName, headers: &HeaderMap) -> Vec<u8> {
    let mut list = Vec::new();
    for (index, line) in headers.get_all(name).iter().enumerate() {
        if index > 0 {
            list.push(b',');
        }
        tighten(line.as_bytes().trim_ascii(), &mut list);
    }
    list
}

fn tighten(line: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    while let Some(&byte) = line.get(at) {
        at += 1;
        match byte {
            // A quote that is never closed may still mean one: leave all that follows alone.
            b'"' => {
                let end = closing_quote(line, at - 1).map_or(line.len(), |close| close + 1);
                out.extend_from_slice(&line[at - 1..end]);
                at = end;
            }
            b' ' | b'\t' => {
                let rest = line[at..].trim_ascii_start();
                let beside_comma = rest.first() == Some(&b',') || out.last() == Some(&b',');
                if !beside_comma {
                    out.push(byte);
                }
            }
            _ => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests;
