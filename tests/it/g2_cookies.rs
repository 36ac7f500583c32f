//! G2, private stays private: which cookies count, and that the page can't depend on the others.

use axum::Router;
use http::HeaderMap;
use larder::prelude::*;

use crate::g2_private::{seen, whoami};
use crate::support::{ask, get, get_with, memory};

#[tokio::test]
async fn cookies_of_analytics_are_neither_keyed_nor_seen() {
    let (app, runs) = whoami();
    let app = app.layer(cache_page(60).cache(memory()));
    for cookies in ["_ga=1; _gid=2", "_ga=GA1.1.7; _fbp=fb.1", "_pk_id.1.1fff=x; _hjSession_9=1"] {
        let answer = ask(&app, get_with("/", &[("cookie", cookies)])).await;
        assert_eq!(answer.text(), "1: ");
    }
    let hers = ask(&app, get_with("/", &[("cookie", "_ga=1; sessionid=alice; _gid=2")])).await;
    assert_eq!(hers.text(), "2: cookie=sessionid=alice");
    assert!(ask(&app, get_with("/", &[("cookie", "sessionid=alice; _ga=9")])).await.is_hit());
    assert_eq!(runs.count(), 2);
}

#[tokio::test]
async fn only_the_cookies_named_are_keyed_and_seen() {
    for site in [false, true] {
        let (app, runs) = whoami();
        let app = match site {
            true => {
                larder::site(app).cache(memory()).with(|l| l.cookies(["lang", "sessionid"])).into_router()
            }
            false => app.layer(cache_page(60).cache(memory()).cookies(["lang", "sessionid"])),
        };
        let hers = ask(&app, get_with("/", &[("cookie", "theme=dark; lang=de; cart=7")])).await;
        assert_eq!(hers.text(), "1: cookie=lang=de");
        assert!(ask(&app, get_with("/", &[("cookie", "lang=de; theme=light")])).await.is_hit());
        assert_eq!(ask(&app, get_with("/", &[("cookie", "lang=en")])).await.text(), "2: cookie=lang=en");
        assert_eq!(ask(&app, get_with("/", &[("cookie", "theme=dark")])).await.text(), "3: ");
        assert!(ask(&app, get("/")).await.is_hit(), "no cookie that counts is no cookie");
        assert_eq!(runs.count(), 3);
    }
}

#[tokio::test]
async fn without_cookies_a_page_is_one_for_all_but_still_not_for_other_credentials() {
    let (app, runs) = whoami();
    let app = app.layer(cache_page(60).cache(memory()).ignore_cookies());
    assert_eq!(ask(&app, get_with("/", &[("cookie", "sessionid=alice")])).await.text(), "1: ");
    assert!(ask(&app, get_with("/", &[("cookie", "sessionid=bob")])).await.is_hit());
    assert!(!ask(&app, get_with("/", &[("authorization", "bob")])).await.is_hit());
    assert_eq!(runs.count(), 2);
}

#[tokio::test]
async fn cookies_split_over_lines_are_the_same_cookies() {
    let cache = memory();
    let page = |headers: HeaderMap| async move { seen(&headers).contains("sessionid=alice").to_string() };
    let app = Router::new().route("/", axum::routing::get(page)).layer(cache_page(60).cache(&cache));
    let app = larder_tests::serve(app).await;
    let client = larder_tests::http2_client();
    let ask = async |lines: &[&str]| {
        let mut request = client.get(app.url("/"));
        for line in lines {
            request = request.header("cookie", *line);
        }
        let answer = request.send().await.unwrap();
        let hit = answer.headers()["cache-status"].to_str().unwrap().starts_with("larder; hit");
        (hit, answer.text().await.unwrap())
    };
    let (hers, bobs) = ("true".to_owned(), "false".to_owned());
    // As HTTP/2 sends them (RFC 9113, section 8.2.3), and in one line.
    assert_eq!(ask(&["a=1", "sessionid=alice"]).await, (false, hers.clone()));
    assert_eq!(ask(&["a=1; sessionid=alice"]).await, (true, hers));
    assert_eq!(ask(&["a=1", "sessionid=bob"]).await, (false, bobs.clone()));
    assert_eq!(ask(&["a=1"]).await, (false, bobs.clone()));
    assert_eq!(ask(&["a=1", "_ga=2", "sessionid=bob"]).await, (true, bobs));
}
