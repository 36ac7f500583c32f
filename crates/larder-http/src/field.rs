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

use crate::directives::closing_quote;
use http::{HeaderMap, HeaderName, header};
use std::borrow::Cow;

/// Writes name and canonical value of one request field, in pieces, to `sink`.
///
/// The form is a pair of netstrings (`6:accept,3:a/b,`); a field that isn't there has `-,` for the second. It is
/// meant for hashing and comparing within one version of this crate, not for storage.
pub fn canonical_field(name: &HeaderName, headers: &HeaderMap, sink: &mut dyn FnMut(&[u8])) {
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
        by_weight(&list, false)
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

/// `name;q=weight` members sorted by weight; `None` when it isn't such a list.
fn by_weight(list: &[u8], order_is_meaningless: bool) -> Option<Vec<u8>> {
    let mut members = Vec::new();
    for member in list.split(|&b| b == b',').filter(|member| !member.is_empty()) {
        let mut parts = member.splitn(2, |&b| b == b';');
        let name = parts.next()?.trim_ascii_end().to_ascii_lowercase();
        let weight = parts.next().map_or(Some(1000), weight)?;
        let plain =
            !name.is_empty() && name.iter().all(|b| b.is_ascii_alphanumeric() || b"-*_.+".contains(b));
        // A name given twice has no weight that everybody would agree on.
        if !plain || members.iter().any(|(_, known)| *known == name) {
            return None;
        }
        members.push((weight, name));
    }
    members.sort_by(|(a, a_name), (b, b_name)| {
        b.cmp(a)
            .then_with(|| if order_is_meaningless { a_name.cmp(b_name) } else { std::cmp::Ordering::Equal })
    });
    let mut out = Vec::new();
    for (weight, name) in members {
        if !out.is_empty() {
            out.push(b',');
        }
        out.extend_from_slice(&name);
        match weight {
            1000 => {}
            0 => out.extend_from_slice(b";q=0"),
            _ => out.extend_from_slice(format!(";q=0.{weight:03}").trim_end_matches('0').as_bytes()),
        }
    }
    Some(out)
}

/// `q=0.5` in thousandths ([RFC 9110 §12.4.2](https://www.rfc-editor.org/rfc/rfc9110#section-12.4.2)).
fn weight(parameter: &[u8]) -> Option<u16> {
    let [b'q' | b'Q', b'=', whole @ (b'0' | b'1'), fraction @ ..] = parameter.trim_ascii() else {
        return None;
    };
    let digits = match fraction {
        [] => &[][..],
        [b'.', digits @ ..] if digits.len() <= 3 => digits,
        _ => return None,
    };
    let mut thousandths = u16::from(whole - b'0') * 1000;
    for (digit, worth) in digits.iter().zip([100, 10, 1]) {
        thousandths += digit.is_ascii_digit().then(|| u16::from(digit - b'0') * worth)?;
    }
    (thousandths <= 1000).then_some(thousandths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn canonical(name: &str, lines: &[&str]) -> String {
        let name: HeaderName = name.parse().unwrap();
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name.clone(), HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        let mut out = Vec::new();
        canonical_field(&name, &headers, &mut |bytes| out.extend_from_slice(bytes));
        String::from_utf8(out).unwrap()
    }

    fn same(name: &str, a: &[&str], b: &[&str]) -> bool {
        canonical(name, a) == canonical(name, b)
    }

    #[test]
    fn ck_09_an_absent_field_and_an_empty_one_differ() {
        assert_eq!(canonical("pony", &[]), "4:pony,-,");
        assert_eq!(canonical("pony", &[""]), "4:pony,0:,");
        assert_ne!(canonical("pony", &["-"]), canonical("pony", &[]));
        assert!(!same("cookie", &[], &[""]));
        assert!(!same("accept-language", &[], &[""]));
    }

    #[test]
    fn whitespace_around_commas_and_the_division_into_lines_make_no_difference() {
        assert!(same("x-list", &["a, b\t,c"], &["a", "b,c"]));
        assert!(same("x-list", &["a , b"], &["a,b"]));
        assert!(!same("x-list", &["a b"], &["ab"]), "other whitespace does");
        assert!(!same("x-list", &["a,b"], &["A,b"]), "so does case");
        assert!(!same("x-list", &["a,b"], &["b,a"]), "so does order");
        assert!(!same("x-list", &["a"], &["a", ""]), "so does an empty line");
    }

    #[test]
    fn quoted_strings_are_left_alone() {
        assert!(!same("x-list", &[r#""a, b""#], &[r#""a,b""#]));
        assert!(!same("x-list", &[r#""a\", b""#], &[r#""a\",b""#]));
        assert!(!same("x-list", &[r#"x="a, b"#], &[r#"x="a,b"#]), "an open quote may be one too");
        assert!(same("x-list", &[r#""a, b" , c"#], &[r#""a, b",c"#]));
    }

    #[test]
    fn fields_that_are_no_lists_keep_every_byte() {
        assert!(!same("user-agent", &["a, b"], &["a,b"]));
        assert!(!same("user-agent", &["a", "b"], &["a,b"]));
        assert!(!same("authorization", &["Digest a=1, b=2"], &["Digest a=1,b=2"]));
    }

    #[test]
    fn ck_17_cookies_are_raw_but_their_lines_are_joined() {
        assert!(same("cookie", &["a=1", "b=2"], &["a=1; b=2"]));
        assert!(!same("cookie", &["a=1; b=2"], &["b=2; a=1"]));
        assert!(!same("cookie", &["a=1, b=2"], &["a=1,b=2"]));
    }

    #[test]
    fn encodings_compare_by_weight_and_name() {
        assert!(same("accept-encoding", &["gzip, br"], &["BR", "gzip;q=1.000"]));
        assert!(same("accept-encoding", &["gzip; q=0.50, br"], &["br,gzip;Q=0.5"]));
        assert!(!same("accept-encoding", &["gzip;q=0, br"], &["br"]), "refusing is not being silent");
        assert!(!same("accept-encoding", &["gzip;q=0.5, br"], &["gzip, br"]));
        assert!(!same("accept-encoding", &["identity"], &[""]));
        assert_eq!(
            canonical("accept-encoding", &["*;q=0, gzip;q=0.001"]),
            "15:accept-encoding,18:gzip;q=0.001,*;q=0,"
        );
    }

    #[test]
    fn ck_14_languages_compare_by_weight_and_keep_the_order_of_equals() {
        assert!(same("accept-language", &["de;q=0.5, EN"], &["en,de;q=0.5"]));
        assert!(!same("accept-language", &["en, de"], &["de, en"]));
        assert!(!same("accept-language", &["en"], &["en-us"]));
    }

    #[test]
    fn what_is_no_preference_list_is_merged_with_nothing() {
        for odd in [
            "gzip;q=2",
            "gzip;q=",
            "gzip;q=0.1234",
            "gzip;level=9",
            "gzip, gzip;q=0.5",
            "gz ip",
            "gzip;q=1.001",
        ] {
            assert!(same("accept-encoding", &[odd], &[odd]));
            assert!(!same("accept-encoding", &[odd], &["gzip"]), "{odd}");
            assert!(!same("accept-encoding", &[odd], &[&odd.to_uppercase()]), "{odd}");
        }
    }

    proptest! {
        #[test]
        fn normalising_twice_is_normalising_once(
            members in proptest::collection::vec("[A-Za-z*-]{1,6}( ?; ?[qQ]=(0(\\.[0-9]{0,3})?|1))?", 0..5),
        ) {
            let list = combined(
                &header::ACCEPT_ENCODING,
                &HeaderMap::from_iter([(header::ACCEPT_ENCODING, members.join(", ").parse().unwrap())]),
            );
            for order_is_meaningless in [true, false] {
                if let Some(once) = by_weight(&list, order_is_meaningless) {
                    prop_assert_eq!(by_weight(&once, order_is_meaningless), Some(once));
                }
            }
        }

        #[test]
        fn different_lists_of_fields_never_run_together(
            a in proptest::collection::vec("[a-z0-9:,-]{0,6}", 0..4),
            b in proptest::collection::vec("[a-z0-9:,-]{0,6}", 0..4),
        ) {
            let all = |values: &[String]| {
                values.iter().map(|value| canonical("user-agent", &[value])).collect::<String>()
            };
            prop_assert_eq!(a == b, all(&a) == all(&b));
        }

        #[test]
        fn no_value_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40), which in 0usize..3) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let name = [header::ACCEPT_ENCODING, header::ACCEPT_LANGUAGE, header::ACCEPT][which].clone();
                let headers = HeaderMap::from_iter([(name.clone(), value)]);
                let mut written = 0;
                canonical_field(&name, &headers, &mut |bytes| written += bytes.len());
                prop_assert!(written > 0);
            }
        }
    }
}
