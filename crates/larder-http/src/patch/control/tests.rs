use super::*;
use proptest::prelude::*;

fn patched(before: Option<&str>, patch: &CacheControlPatch) -> String {
    let mut headers = HeaderMap::new();
    if let Some(before) = before {
        headers.insert(header::CACHE_CONTROL, before.parse().unwrap());
    }
    patch.apply(&mut headers);
    assert_eq!(headers.get_all(header::CACHE_CONTROL).iter().count(), 1);
    headers[header::CACHE_CONTROL].to_str().unwrap().to_owned()
}

fn patch() -> CacheControlPatch {
    CacheControlPatch::default()
}

#[test]
fn django_rows_come_out_as_in_django() {
    let both = "must-revalidate, max-age=60, public";
    let rows = [
        ("none", None, patch().private(), "private"),
        ("empty", Some(""), patch().private(), "private"),
        ("CC-02", Some("private"), patch().private(), "private"),
        ("CC-02", Some("private"), patch().public(), "public"),
        ("CC-02", Some("public"), patch().public(), "public"),
        ("CC-02", Some("public"), patch().private(), "private"),
        ("CC-02", Some("must-revalidate,max-age=60,private"), patch().public(), both),
        ("CC-02", Some("must-revalidate,max-age=60"), patch().public(), both),
        ("CC-02", Some("public, max-age=60"), patch().private(), "max-age=60, private"),
        ("CC-02", Some("private=\"x\", a"), patch().public(), "a, public"),
        ("qualified", Some(""), patch().directive("no_cache", Some("Set-Cookie")), "no-cache=Set-Cookie"),
        ("qualified", Some("no-cache=Set-Cookie"), patch().no_cache(), "no-cache"),
        ("qualified", Some("no-cache=Set-Cookie,no-cache=Link"), patch().no_cache(), "no-cache"),
        (
            "qualified",
            Some("no-cache=Set-Cookie"),
            patch().directive("no-cache", Some("Link")),
            "no-cache=Set-Cookie, no-cache=Link",
        ),
        ("qualified", Some("no-cache"), patch().directive("no-cache", Some("Link")), "no-cache"),
        ("qualified", Some("private"), patch().directive("private", Some("x")), "private"),
        ("qualified", Some("private=a"), patch().directive("private", Some("x")), "private=a, private=x"),
        ("repeated", Some("no-store, a=1, no-store"), patch().immutable(), "no-store, a=1, immutable"),
        ("CC-04", Some("no-cache =\"Set-Cookie\""), patch().no_cache(), "no-cache"),
        ("CC-04", Some("no-cache = \"Set-Cookie\""), patch().no_cache(), "no-cache"),
        ("CC-05", Some("max-age=100"), patch().max_age(50), "max-age=50"),
        ("CC-05", Some("max-age=50"), patch().max_age(100), "max-age=50"),
        ("CC-05", Some("a, max-age=50, b"), patch().max_age(10), "a, max-age=10, b"),
        (
            "CC-06",
            None,
            patch().max_age(0).s_maxage(3).stale_while_revalidate(30).immutable(),
            "max-age=0, s-maxage=3, stale-while-revalidate=30, immutable",
        ),
        ("CC-07", None, patch().private().public(), "private, public"),
        ("CC-09", Some("MAX-AGE=5, No-Store"), patch().max_age(60), "max-age=5, no-store"),
        ("MW max-age=-5", Some("max-age=-5"), patch().max_age(60), "max-age=-5"),
        ("MW-21", Some("max-age=0"), patch().max_age(60), "max-age=0"),
        ("MW-41", Some("max-age=abc"), patch().max_age(60), "max-age=60"),
        ("MW-41", Some("max-age=\"60\""), patch().max_age(600), "max-age=600"),
    ];
    for (id, before, patch, after) in rows {
        assert_eq!(patched(before, &patch), after, "{id}: {before:?}");
    }
}

#[test]
fn all_lines_are_merged_into_one() {
    let mut headers = HeaderMap::new();
    headers.append(header::CACHE_CONTROL, "no-store".parse().unwrap());
    headers.append(header::CACHE_CONTROL, "x=\"a, b\", max-age=5".parse().unwrap());
    patch().max_age(60).apply(&mut headers);
    let lines: Vec<_> = headers.get_all(header::CACHE_CONTROL).iter().collect();
    assert_eq!(lines, ["no-store, x=\"a, b\", max-age=5"]);
}

#[test]
fn of_several_max_age_the_smallest_readable_one_stays() {
    assert_eq!(patched(Some("max-age=9, a, max-age=x, max-age=7"), &patch().max_age(60)), "max-age=7, a");
}

#[test]
fn the_patch_merges_with_itself_too() {
    assert_eq!(patched(None, &patch().max_age(60).no_store().max_age(30)), "max-age=30, no-store");
}

#[test]
fn an_empty_patch_touches_nothing() {
    let mut headers = HeaderMap::new();
    patch().apply(&mut headers);
    assert!(headers.is_empty());
}

#[test]
fn odd_arguments_are_quoted_and_impossible_ones_dropped() {
    assert_eq!(patched(None, &patch().directive("x", Some("a, \"b\""))), r#"x="a, \"b\"""#);
    assert_eq!(patched(None, &patch().directive("x", Some("\"a, b\""))), r#"x="a, b""#);
    assert_eq!(patched(None, &patch().directive("private", Some("a\r\nb"))), "private");
    assert_eq!(patch().directive("a b", None).directive("", None), patch());
}

#[test]
fn what_was_malformed_stays_malformed() {
    let after = patched(Some("public; max-age=60"), &patch().immutable());
    assert_eq!(after, "public; max-age=60, immutable");
}

proptest! {
    #[test]
    fn a_restriction_survives_every_patch_that_does_not_lift_it(
        before in "(no-store|private|no-cache|no-cache=\"a,b\")(, ?(max-age=[0-9]{1,3}|x=\"[a-z,]*\"|Public))*",
        age: u64,
    ) {
        let headers = HeaderMap::from_iter([(header::CACHE_CONTROL, HeaderValue::from_str(&before).unwrap())]);
        let mut after = headers;
        patch().max_age(age).immutable().apply(&mut after);
        prop_assert!(crate::CacheControl::from_headers(&after).is_restricted());
    }
}
