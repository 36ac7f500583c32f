//! Django's cache-control and vary helpers, groups CC and VAR of the list, through the layers that applications use. The tables of the pure
//! functions are in `larder-http`.

use axum::{Router, routing};
use larder::prelude::*;
use larder::{CacheControlLayer, ManualClock, http_rules};
use tower::ServiceBuilder;

use crate::support::{Answer, BEGIN, ask, clocked, get, saying};

/// What a page that says `before` says after this layer.
async fn patched(before: &[&str], layer: CacheControlLayer) -> String {
    let fields: Vec<_> = before.iter().map(|line| ("cache-control", *line)).collect();
    let answer = ask(&saying(&fields).0.layer(layer), get("/")).await;
    assert_eq!(answer.headers.get_all("cache-control").iter().count(), 1, "one line is written");
    answer.field("cache-control")
}

#[tokio::test]
async fn cc_01_directives_are_added_where_there_are_none() {
    assert_eq!(patched(&[], cache_control().private()).await, "private");
    assert_eq!(patched(&[""], cache_control().private()).await, "private");
    assert_eq!(
        patched(&["a, max-age=9"], cache_control().no_transform()).await,
        "a, max-age=9, no-transform"
    );
}

#[tokio::test]
async fn cc_02_public_and_private_replace_each_other_and_the_rest_stays() {
    for (before, after) in [
        ("private", "public"),
        ("public", "public"),
        ("must-revalidate,max-age=60,private", "must-revalidate, max-age=60, public"),
    ] {
        assert_eq!(patched(&[before], cache_control().public()).await, after);
    }
    for (before, after) in
        [("public", "private"), ("private", "private"), ("max-age=60, public", "max-age=60, private")]
    {
        assert_eq!(patched(&[before], cache_control().private()).await, after);
    }
}

#[tokio::test]
async fn cc_03_qualified_no_cache_adds_up_and_the_bare_one_replaces_it() {
    let link = || cache_control().directive("no_cache", Some("Link"));
    assert_eq!(patched(&[], link()).await, "no-cache=Link");
    assert_eq!(patched(&["no-cache=Set-Cookie"], link()).await, "no-cache=Set-Cookie, no-cache=Link");
    assert_eq!(patched(&["no-cache=Set-Cookie,no-cache=Link"], cache_control().no_cache()).await, "no-cache");
}

#[tokio::test]
async fn cc_04_spaces_around_the_equals_sign_hide_nothing() {
    for before in ["no-cache =\"Set-Cookie\"", "no-cache= \"Set-Cookie\"", "no-cache = \"Set-Cookie\""] {
        assert_eq!(patched(&[before], cache_control().no_cache()).await, "no-cache", "{before}");
    }
}

#[tokio::test]
async fn cc_05_of_two_max_age_the_smaller_one_stays() {
    assert_eq!(patched(&["max-age=100"], cache_control().max_age(50)).await, "max-age=50");
    assert_eq!(patched(&["max-age=50"], cache_control().max_age(100)).await, "max-age=50");
    assert_eq!(patched(&["max-age=50", "max-age=20"], cache_control().max_age(100)).await, "max-age=20");
}

#[tokio::test]
async fn cc_06_directives_are_written_in_the_order_they_were_given() {
    let layer = cache_control().max_age(0).s_maxage(3).stale_while_revalidate(30).immutable();
    assert_eq!(patched(&[], layer).await, "max-age=0, s-maxage=3, stale-while-revalidate=30, immutable");
}

#[tokio::test]
async fn cc_07_private_and_public_given_together_both_appear() {
    assert_eq!(patched(&[], cache_control().private().public()).await, "private, public");
}

#[tokio::test]
async fn cc_08_the_innermost_layer_speaks_first_and_the_outer_ones_are_merged_into_it() {
    let app = saying(&[])
        .0
        .layer(cache_control().public().max_age(60))
        .layer(cache_control().private().max_age(600));
    assert_eq!(ask(&app, get("/")).await.field("cache-control"), "max-age=60, private");
}

#[tokio::test]
async fn cc_09_names_are_written_in_lower_case() {
    assert_eq!(patched(&["MAX-AGE=5, No-Store"], cache_control().max_age(60)).await, "max-age=5, no-store");
}

#[tokio::test]
async fn cc_10_the_sites_timeout_is_a_readable_max_age_or_its_own() {
    for (line, age) in [
        ("max-age=60", 60),
        ("Max-Age=60", 60),
        ("public,max-age=60", 60),
        ("max-age= 60", 60),
        (" max-age=300", 300),
        ("\tmax-age=300", 300),
        ("", 77),
        ("s-maxage=5", 77),
        ("max-age=1.5", 77),
        ("max-age=abc", 77),
    ] {
        let app =
            larder::site(saying(&[("cache-control", line)]).0).timeout(77).cache(&clocked().0).into_router();
        let answer = ask(&app, get("/")).await;
        assert_eq!(answer.cache_status(), format!("larder; fwd=uri-miss; stored; ttl={age}"), "{line:?}");
    }
}

/// `cache_page(seconds)` at the second 10⁹ of the epoch.
async fn at_a_billion(seconds: u64, fields: &[(&'static str, &str)]) -> Answer {
    let (cache, hand) = clocked();
    hand.set(1_000_000_000_000);
    ask(&saying(fields).0.layer(cache_page(seconds).cache(&cache)), get("/")).await
}

#[tokio::test]
async fn cc_11_a_stored_page_gets_expires_and_max_age() {
    let answer = at_a_billion(60, &[]).await;
    assert_eq!(answer.field("expires"), "Sun, 09 Sep 2001 01:47:40 GMT");
    assert_eq!(answer.field("cache-control"), "max-age=60");
}

#[tokio::test]
async fn cc_12_an_expires_that_is_there_stays_and_max_age_is_merged_all_the_same() {
    let own = "Fri, 01 Jan 2038 00:00:00 GMT";
    let answer =
        at_a_billion(60, &[("expires", own), ("cache-control", "must-revalidate, max-age=900")]).await;
    assert_eq!(answer.field("expires"), own);
    assert_eq!(answer.field("cache-control"), "must-revalidate, max-age=60");

    let never = saying(&[("expires", own)]).0.layer(never_cache());
    assert_eq!(ask(&never, get("/")).await.field("expires"), own, "never_cache leaves it too");
}

const NEVER: &str = "max-age=0, no-cache, no-store, must-revalidate, private";

#[tokio::test]
async fn cc_13_never_cache_says_all_that_there_is_to_say() {
    let hand = ManualClock::new(1_167_616_461_000);
    let answer = ask(&saying(&[]).0.layer(never_cache().clock(hand.clock())), get("/")).await;
    assert_eq!(answer.field("expires"), "Mon, 01 Jan 2007 01:54:21 GMT");
    assert_eq!(answer.field("cache-control"), NEVER);
}

#[tokio::test]
async fn cc_14_never_cache_after_cache_control_wins() {
    let app = saying(&[]).0.layer(cache_control().public().max_age(60)).layer(never_cache());
    let told = ask(&app, get("/")).await.field("cache-control");
    assert_eq!(told, "max-age=0, no-cache, no-store, must-revalidate, private");
}

#[tokio::test]
async fn cc_15_the_header_layers_stand_wherever_tower_and_axum_allow() {
    let hello = || async { "hello" };
    let hand = ManualClock::new(BEGIN);
    let layers = || {
        ServiceBuilder::new()
            .layer(never_cache().clock(hand.clock()))
            .layer(cache_control().no_transform())
            .layer(vary_on(["accept-language"]))
            .layer(vary_on(["cookie"]))
    };
    let handler = axum::handler::Handler::layer(hello, layers());
    let apps = [
        Router::new().route("/", routing::get(hello)).layer(layers()),
        Router::new().route("/", routing::get(hello)).route_layer(layers()),
        Router::new().route("/", routing::get(hello).layer(layers())),
        Router::new().route("/", routing::get(handler)),
    ];
    for app in apps {
        let answer = ask(&app, get("/")).await;
        assert_eq!(answer.field("cache-control"), format!("no-transform, {NEVER}"));
        assert_eq!(answer.field("expires"), "Tue, 14 Nov 2023 22:13:20 GMT");
        assert_eq!(answer.field("vary"), "cookie, accept-language");
    }
}

/// What a page with these `Vary` lines says after `vary_on`.
async fn varied(before: &[&str], names: &[&str]) -> String {
    let fields: Vec<_> = before.iter().map(|line| ("vary", *line)).collect();
    let answer = ask(&saying(&fields).0.layer(vary_on(names)), get("/")).await;
    assert_eq!(answer.headers.get_all("vary").iter().count(), 1, "one line is written");
    answer.field("vary")
}

#[tokio::test]
async fn var_01_new_names_follow_those_that_are_there() {
    assert_eq!(varied(&[], &["Accept-Encoding"]).await, "Accept-Encoding");
    assert_eq!(varied(&["Cookie"], &["Accept-Encoding"]).await, "Cookie, Accept-Encoding");
    assert_eq!(varied(&["Cookie", "Accept"], &["Cookie", "Pony"]).await, "Cookie, Accept, Pony");
}

#[tokio::test]
async fn var_02_names_are_compared_without_case_and_the_first_spelling_stays() {
    assert_eq!(varied(&["Accept-Encoding"], &["ACCEPT-ENCODING"]).await, "Accept-Encoding");
    assert_eq!(varied(&[], &["Accept-Encoding", "COOKIE"]).await, "Accept-Encoding, COOKIE");
    assert_eq!(varied(&["Cookie,     Accept-Encoding"], &["cookie"]).await, "Cookie, Accept-Encoding");
}

#[tokio::test]
async fn var_04_a_star_is_all_there_is() {
    for (before, names) in
        [("*", &["Accept", "*"][..]), ("Cookie, *", &["Accept"]), ("Cookie", &["*", "Accept"]), ("*", &["*"])]
    {
        assert_eq!(varied(&[before], names).await, "*", "{before} {names:?}");
    }
}

#[tokio::test]
async fn var_05_space_and_tabs_around_names_do_not_count() {
    assert_eq!(varied(&[" * "], &["Cookie"]).await, "*");
    assert_eq!(varied(&["\tCookie\t,\tAccept"], &["Accept", "Cookie"]).await, "Cookie, Accept");
}

#[tokio::test]
async fn var_06_a_star_anywhere_is_found_and_keeps_a_page_from_being_stored() {
    for vary in ["Cookie, *", "Cookie,*", "Cookie , *", "* ", " *"] {
        let answer =
            ask(&saying(&[("vary", vary)]).0.layer(cache_page(60).cache(&clocked().0)), get("/")).await;
        assert!(http_rules::has_vary(&answer.headers, "*"), "{vary:?}");
        assert!(answer.cache_status().contains("detail=vary-star"), "{vary:?}");
    }
    let answer = ask(&saying(&[("vary", "Cookie")]).0, get("/")).await;
    assert!(!http_rules::has_vary(&answer.headers, "*") && http_rules::has_vary(&answer.headers, "cookie"));
}

#[tokio::test]
async fn var_07_an_empty_vary_leaves_no_comma_behind() {
    assert_eq!(varied(&[""], &["Cookie"]).await, "Cookie");
    assert_eq!(varied(&[" , "], &["Cookie"]).await, "Cookie");
}

#[test]
#[should_panic(expected = "is not a header name")]
fn var_a_name_that_can_be_none_is_found_out_when_the_layer_is_built() {
    let _layer = vary_on(["accept language"]);
}

#[tokio::test]
async fn cc_an_alias_that_does_not_exist_passes_requests_by_and_says_so() {
    let (app, runs) = saying(&[]);
    let app = app.layer(cache_page(60).cache("nowhere")).layer(CachesLayer::new(clocked().0));
    for _ in 0..2 {
        let answer = ask(&app, get("/")).await;
        assert_eq!(answer.cache_status(), "larder; fwd=bypass; detail=no-such-cache");
    }
    assert_eq!(runs.count(), 2);
}
