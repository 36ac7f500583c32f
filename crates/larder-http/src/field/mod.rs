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
use smallvec::SmallVec;
use std::borrow::Cow;

/// A field's canonical value. Most are short, and every look at a variant makes one.
type Text = SmallVec<[u8; 128]>;

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
    with_canonical_value(name, headers, unordered, |value| match value {
        Some(value) => netstring(value, sink),
        None => sink(b"-,"),
    });
}

/// What `with` makes of the canonical value of one request field, without its name; of `None` if it isn't there. With `unordered`, languages of
/// equal weight are in one order, as for [`canonical_field_unordered`].
///
/// ```
/// # use http::{HeaderMap, header};
/// let headers = HeaderMap::from_iter([(header::ACCEPT_LANGUAGE, "en-US, en;q=0.90".parse()?)]);
/// let value = |name| larder_http::with_canonical_value(&name, &headers, false, |value| value.map(<[u8]>::to_vec));
/// assert_eq!(value(header::ACCEPT_LANGUAGE).as_deref(), Some(&b"en-us,en;q=0.9"[..]));
/// assert_eq!(value(header::ACCEPT), None);
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
pub fn with_canonical_value<R>(
    name: &HeaderName,
    headers: &HeaderMap,
    unordered: bool,
    with: impl FnOnce(Option<&[u8]>) -> R,
) -> R {
    let mut lines = headers.get_all(name).iter().map(|line| line.as_bytes());
    let Some(first) = lines.next() else { return with(None) };
    let second = lines.next();
    let is_preference = *name == header::ACCEPT_LANGUAGE || *name == header::ACCEPT_ENCODING;
    if second.is_none() && is_preference && is_one_name(first) {
        return with(Some(first));
    }
    let others = second.into_iter().chain(lines);
    if *name == header::COOKIE {
        return with(joined_cookies(headers).as_deref());
    }
    if SINGLETONS.contains(name) {
        let mut all = Text::from_slice(first);
        for line in others {
            // A line feed can't be part of a value, so two lines never look like one.
            all.push(b'\n');
            all.extend_from_slice(line);
        }
        return with(Some(&all));
    }
    let list = combined(first, others);
    let preferences = match is_preference {
        true => by_weight(&list, unordered || *name == header::ACCEPT_ENCODING),
        false => None,
    };
    with(Some(preferences.as_deref().unwrap_or(&list)))
}

/// Whether it is one name in lower case: a list of it alone is as it should be.
fn is_one_name(line: &[u8]) -> bool {
    !line.is_empty()
        && line.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'*'))
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
    let mut digits = [b'0'; 20];
    let (mut at, mut rest) = (digits.len(), bytes.len());
    while at == digits.len() || rest > 0 {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    sink(&digits[at..]);
    sink(b":");
    sink(bytes);
    sink(b",");
}

/// All lines joined with commas, without whitespace around commas outside quotes.
fn combined<'a>(first: &'a [u8], others: impl Iterator<Item = &'a [u8]>) -> Text {
    let mut list = Text::new();
    tighten(first.trim_ascii(), &mut list);
    for line in others {
        list.push(b',');
        tighten(line.trim_ascii(), &mut list);
    }
    list
}

fn tighten(line: &[u8], out: &mut Text) {
    if !line.iter().any(|byte| matches!(byte, b'"' | b' ' | b'\t')) {
        return out.extend_from_slice(line);
    }
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
