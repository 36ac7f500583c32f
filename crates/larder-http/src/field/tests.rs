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
    for odd in
        ["gzip;q=2", "gzip;q=", "gzip;q=0.1234", "gzip;level=9", "gzip, gzip;q=0.5", "gz ip", "gzip;q=1.001"]
    {
        assert!(same("accept-encoding", &[odd], &[odd]));
        assert!(!same("accept-encoding", &[odd], &["gzip"]), "{odd}");
        assert!(!same("accept-encoding", &[odd], &[&odd.to_uppercase()]), "{odd}");
    }
}

#[test]
fn a_list_of_more_than_any_client_sends_is_taken_as_it_is() {
    let list = |n: usize| (0..n).rev().map(|n| format!("a{n:06}")).collect::<Vec<_>>().join(",");
    let sorted = |n: usize| (0..n).map(|n| format!("a{n:06}")).collect::<Vec<_>>().join(",");
    assert!(same("accept-encoding", &[&list(32)], &[&sorted(32)]));
    assert!(!same("accept-encoding", &[&list(33)], &[&sorted(33)]));
    // Each compared with all others would be 10,000,000,000 comparisons.
    assert!(!same("accept-language", &[&list(100_000)], &[&sorted(100_000)]));
}

proptest! {
    #[test]
    fn a_list_of_one_name_is_what_a_longer_way_makes_of_it(line in "[A-Za-z0-9*_ .-]{0,4}") {
        for name in ["accept-language", "accept-encoding"] {
            // An empty member more takes the longer way, and says nothing.
            let longer = match by_weight(format!("{},", line.trim()).as_bytes(), false) {
                Some(longer) if !line.trim().is_empty() => longer,
                _ => combined(line.as_bytes(), std::iter::empty()),
            };
            let whole = format!("{}:{name},{}:{},", name.len(), longer.len(), String::from_utf8_lossy(&longer));
            prop_assert_eq!(canonical(name, &[&line]), whole);
        }
    }

    #[test]
    fn normalising_twice_is_normalising_once(
        members in proptest::collection::vec("[A-Za-z*-]{1,6}( ?; ?[qQ]=(0(\\.[0-9]{0,3})?|1))?", 0..5),
    ) {
        let list = combined(members.join(", ").as_bytes(), std::iter::empty());
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
