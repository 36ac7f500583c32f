use super::*;
use crate::date::parse_date;
use Precondition::{Failed, NotModified, Proceed};

// The constants of Django's conditional_processing tests.
const NOW: UnixMillis = 1_300_000_000_000;
const LAST_MODIFIED: &str = "Sun, 21 Oct 2007 23:21:47 GMT";
const NEWER: &str = "Mon, 18 Oct 2010 16:56:23 GMT";
const EXPIRED: &str = "Sat, 20 Oct 2007 23:21:47 GMT";
const INVALID: &str = "Mon, 32 Oct 2010 16:56:23 GMT";
const ETAG: &str = "\"b4246ffc4f62314ca13147c9d4f76974\"";
const OTHER: &str = "\"7fae4cd4b0f81e7d2914700043aa8ed6\"";
const WEAK: &str = "W/\"b4246ffc4f62314ca13147c9d4f76974\"";

fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    headers
}

fn at_origin(method: &str, request: &[(&str, &str)], etag: Option<&str>, modified: bool) -> Precondition {
    let validators = Validators {
        etag: etag.map(str::as_bytes),
        last_modified: parse_date(LAST_MODIFIED.as_bytes(), NOW).filter(|_| modified),
        date: None,
    };
    evaluate_conditional(&method.parse().unwrap(), &headers(request), &validators, NOW)
}

#[test]
fn django_rows_hold_at_the_origin() {
    type Row<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], Option<&'a str>, bool, Precondition);
    let (inm, ims, im, ius) = ("if-none-match", "if-modified-since", "if-match", "if-unmodified-since");
    let both = format!("{OTHER}, {ETAG}");
    let rows: &[Row<'_>] = &[
        ("none", "GET", &[], Some(ETAG), true, Proceed),
        ("CG-05", "GET", &[(inm, ETAG)], Some(ETAG), false, NotModified),
        ("CG-05", "GET", &[(inm, OTHER)], Some(ETAG), false, Proceed),
        ("CG-05", "GET", &[(inm, ETAG)], None, false, Proceed),
        ("CG-07", "GET", &[(ims, LAST_MODIFIED)], None, true, NotModified),
        ("CG-07", "GET", &[(ims, NEWER)], None, true, NotModified),
        ("CG-07", "GET", &[(ims, EXPIRED)], None, true, Proceed),
        ("CG-07", "GET", &[(ims, LAST_MODIFIED)], Some(ETAG), false, Proceed),
        ("CG-10", "GET", &[(ims, INVALID)], None, true, Proceed),
        ("IMS twice", "GET", &[(ims, NEWER), (ims, NEWER)], None, true, Proceed),
        ("IMS on PUT", "PUT", &[(ims, NEWER)], None, true, Proceed),
        ("CG-11", "GET", &[(ius, EXPIRED)], None, true, Failed),
        ("CG-11", "GET", &[(ius, LAST_MODIFIED)], None, true, Proceed),
        ("CG-11", "GET", &[(ius, NEWER)], None, true, Proceed),
        ("CG-11", "GET", &[(ius, INVALID)], None, true, Proceed),
        ("CG-12", "GET", &[(ius, NEWER)], Some(ETAG), false, Failed),
        ("CG-13", "GET", &[(inm, &both)], Some(ETAG), true, NotModified),
        ("CG-13", "HEAD", &[(inm, ETAG)], Some(ETAG), true, NotModified),
        ("CG-13", "PUT", &[(inm, ETAG)], Some(ETAG), true, Failed),
        ("CG-13", "PUT", &[(inm, OTHER)], Some(ETAG), true, Proceed),
        ("CG-13, two lines", "GET", &[(inm, OTHER), (inm, ETAG)], Some(ETAG), true, NotModified),
        ("CG-14", "GET", &[(inm, ETAG)], Some(WEAK), false, NotModified),
        ("CG-14", "GET", &[(inm, WEAK)], Some(WEAK), false, NotModified),
        ("CG-14", "GET", &[(inm, WEAK)], Some(ETAG), false, NotModified),
        ("CG-15", "GET", &[(im, WEAK)], Some(WEAK), false, Failed),
        ("CG-15", "GET", &[(im, ETAG)], Some(WEAK), false, Failed),
        ("CG-15", "GET", &[(im, WEAK)], Some(ETAG), false, Failed),
        ("CG-16", "GET", &[(inm, "*")], Some(ETAG), true, NotModified),
        ("CG-16", "PUT", &[(inm, "*")], Some(ETAG), true, Failed),
        ("CG-16", "GET", &[(inm, "*")], None, true, Proceed),
        ("CG-17", "GET", &[(im, "*")], Some(ETAG), true, Proceed),
        ("CG-17", "GET", &[(im, "*")], None, true, Failed),
        ("CG-17", "GET", &[(im, ETAG)], Some(ETAG), true, Proceed),
        ("CG-17", "PUT", &[(im, ETAG)], Some(ETAG), true, Proceed),
        ("CG-17", "GET", &[(im, OTHER)], Some(ETAG), true, Failed),
        ("CG-17", "GET", &[(im, &both)], Some(ETAG), true, Proceed),
        ("CG-18", "GET", &[(inm, ETAG), (ims, LAST_MODIFIED)], Some(ETAG), true, NotModified),
        ("CG-18", "GET", &[(inm, ETAG), (ims, EXPIRED)], Some(ETAG), true, NotModified),
        ("CG-18", "GET", &[(inm, ETAG), (ims, INVALID)], Some(ETAG), true, NotModified),
        ("CG-18", "GET", &[(inm, OTHER), (ims, LAST_MODIFIED)], Some(ETAG), true, Proceed),
        ("CG-18", "GET", &[(inm, OTHER), (ims, EXPIRED)], Some(ETAG), true, Proceed),
        ("CG-19", "GET", &[(im, ETAG), (ius, LAST_MODIFIED)], Some(ETAG), true, Proceed),
        ("CG-19", "GET", &[(im, ETAG), (ius, EXPIRED)], Some(ETAG), true, Proceed),
        ("CG-19", "GET", &[(im, OTHER), (ius, LAST_MODIFIED)], Some(ETAG), true, Failed),
        ("CG-19", "GET", &[(im, OTHER), (ius, NEWER)], Some(ETAG), true, Failed),
        ("CG-21", "GET", &[(inm, "\"\"\"")], Some(ETAG), false, Proceed),
        ("CG-21, INM silences IMS", "GET", &[(inm, "\"\"\""), (ims, NEWER)], Some(ETAG), true, Proceed),
        ("invalid If-Match, safer", "PUT", &[(im, "\"\"\"")], Some(ETAG), true, Failed),
        ("empty If-Match", "PUT", &[(im, "")], Some(ETAG), true, Proceed),
        ("both pairs", "GET", &[(im, ETAG), (inm, ETAG)], Some(ETAG), true, NotModified),
        ("both pairs", "GET", &[(im, OTHER), (inm, ETAG)], Some(ETAG), true, Failed),
    ];
    for &(id, method, request, etag, modified, expected) in rows {
        assert_eq!(
            at_origin(method, request, etag, modified),
            expected,
            "{id}: {method} {request:?} on {etag:?}"
        );
    }
}

#[test]
fn fractions_of_a_second_do_not_count() {
    let modified = parse_date(LAST_MODIFIED.as_bytes(), NOW).map(|at| at + 999);
    let validators = Validators { last_modified: modified, ..Validators::default() };
    let request = headers(&[("if-modified-since", LAST_MODIFIED)]);
    assert_eq!(evaluate_conditional(&Method::GET, &request, &validators, NOW), NotModified);
}

#[test]
fn cg_04_a_cache_evaluates_neither_if_match_nor_other_methods() {
    let stored = headers(&[("etag", ETAG), ("last-modified", LAST_MODIFIED)]);
    let cached = |method, fields: &[(&str, &str)]| evaluate_cached(&method, &headers(fields), &stored, NOW);
    assert_eq!(cached(Method::GET, &[("if-match", OTHER)]), Proceed);
    assert_eq!(cached(Method::GET, &[("if-unmodified-since", EXPIRED)]), Proceed);
    assert_eq!(cached(Method::PUT, &[("if-none-match", ETAG)]), Proceed);
    assert_eq!(cached(Method::PUT, &[("if-match", OTHER)]), Proceed);
}

#[test]
fn a_cache_answers_what_it_has_stored() {
    let stored = headers(&[("etag", WEAK), ("last-modified", LAST_MODIFIED), ("date", NEWER)]);
    let cached = |fields: &[(&str, &str)]| evaluate_cached(&Method::GET, &headers(fields), &stored, NOW);
    assert_eq!(cached(&[]), Proceed);
    assert_eq!(cached(&[("if-none-match", ETAG)]), NotModified);
    assert_eq!(cached(&[("if-none-match", "*")]), NotModified);
    assert_eq!(cached(&[("if-none-match", OTHER), ("if-modified-since", NEWER)]), Proceed);
    assert_eq!(cached(&[("if-modified-since", LAST_MODIFIED)]), NotModified);
    assert_eq!(cached(&[("if-modified-since", EXPIRED)]), Proceed);
}

#[test]
fn only_the_letter_of_the_rfc_takes_date_for_last_modified() {
    let stored = headers(&[("date", LAST_MODIFIED)]);
    let request = headers(&[("if-modified-since", LAST_MODIFIED)]);
    assert_eq!(evaluate_cached(&Method::GET, &request, &stored, NOW), Proceed);
    assert_eq!(evaluate_cached_by_date(&Method::GET, &request, &stored, NOW), NotModified);
    let both = headers(&[("date", NEWER), ("last-modified", LAST_MODIFIED)]);
    assert_eq!(
        evaluate_cached_by_date(&Method::GET, &request, &both, NOW),
        NotModified,
        "Last-Modified comes first"
    );
    let older = headers(&[("if-modified-since", EXPIRED)]);
    assert_eq!(evaluate_cached_by_date(&Method::GET, &older, &stored, NOW), Proceed);
}

#[test]
fn a_stored_validator_that_is_invalid_or_repeated_matches_nothing() {
    let any = headers(&[("if-none-match", "*")]);
    for stored in [headers(&[("etag", "abc")]), headers(&[("etag", ETAG), ("etag", ETAG)])] {
        assert_eq!(evaluate_cached(&Method::GET, &any, &stored, NOW), Proceed);
    }
}

#[test]
fn cg_08_a_304_keeps_eight_fields_and_all_their_lines() {
    let full = headers(&[
        ("cache-control", "max-age=5"),
        ("content-language", "en"),
        ("content-length", "3"),
        ("content-location", "/alternate"),
        ("content-type", "text/html"),
        ("date", NEWER),
        ("etag", ETAG),
        ("expires", NEWER),
        ("last-modified", LAST_MODIFIED),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("vary", "Cookie"),
        ("vary", "Accept"),
        ("x-other", "1"),
    ]);
    let mut expected = full.clone();
    for dropped in ["content-language", "content-length", "content-type", "x-other"] {
        expected.remove(dropped);
    }
    assert_eq!(not_modified_headers(&full), expected);
}
