//! The delay example's page in a browser: what its buttons show.

#![expect(clippy::unwrap_used, reason = "helpers of tests, which may panic as tests do")]

use std::time::Duration;

use delay::httpbin::StandIn;
use delay::{Delay, Httpbin, app};
use larder_tests::browser::{Browser, fantoccini};
use larder_tests::serve;

use fantoccini::{Client, Locator};

const DELAY: f64 = 0.4;
/// A browser on a busy machine takes its time.
const PATIENT: Duration = Duration::from_secs(60);

/// What a card shows after a load.
#[derive(Debug, PartialEq)]
struct Card {
    ms: u64,
    badge: String,
    time: String,
    ttl: String,
    history: usize,
}

/// Presses a card's button and waits until it has loaded for the `loads`-th time.
async fn press(page: &Client, id: &str, loads: u32) -> Card {
    page.find(Locator::Css(&format!("#{id} button"))).await.unwrap().click().await.unwrap();
    let loaded = format!("#{id}[data-loads='{loads}']");
    page.wait().at_most(PATIENT).for_element(Locator::Css(&loaded)).await.unwrap();
    let shown = async |css: &str| {
        page.find(Locator::Css(&format!("#{id} {css}"))).await.unwrap().text().await.unwrap()
    };
    Card {
        ms: shown("[data-show=ms]").await.trim_end_matches(" ms").replace(',', "").parse().unwrap(),
        badge: shown(".badge").await,
        time: shown("[data-show=time]").await,
        ttl: shown("[data-show=ttl]").await,
        history: page.find_all(Locator::Css(&format!("#{id} .history li"))).await.unwrap().len(),
    }
}

#[tokio::test]
async fn the_page_shows_a_miss_then_a_hit_then_after_clearing_a_miss_again() {
    let api = StandIn::start().await.unwrap();
    let httpbin = Httpbin::new(&api.url(), DELAY).unwrap();
    let cache = larder::open("memory:").unwrap();
    let site = serve(app(Delay { cache, httpbin, calls: Some(api.calls()) })).await;

    Browser::with(async |page| {
        page.goto(&site.url("/")).await.unwrap();

        let first = press(page, "hello", 1).await;
        assert_eq!((first.badge.as_str(), first.ttl.as_str(), first.history), ("miss, stored", "900 s", 1));
        assert!(first.ms >= 400, "the first load waits for the API: {first:?}");

        let second = press(page, "hello", 2).await;
        assert_eq!((second.badge.as_str(), second.history), ("hit", 2));
        assert_eq!(second.time, first.time);
        assert_eq!(api.calls().counts().total, 1, "a hit doesn't wait for the API");

        let (one, two) = (press(page, "uncached", 1).await, press(page, "uncached", 2).await);
        assert_eq!((one.badge.as_str(), two.badge.as_str()), ("no layer", "no layer"));
        assert_ne!(one.time, two.time);

        page.find(Locator::Id("clear")).await.unwrap().click().await.unwrap();
        let cleared = Locator::XPath("//button[@id='clear'][text()='Cleared']");
        page.wait().at_most(PATIENT).for_element(cleared).await.unwrap();
        let third = press(page, "hello", 3).await;
        assert_eq!((third.badge.as_str(), third.history), ("miss, stored", 3));
        assert_ne!(third.time, first.time);

        let calls = Locator::XPath("//*[@id='calls'][text()='4']");
        page.wait().at_most(PATIENT).for_element(calls).await.unwrap();
    })
    .await;
    assert_eq!(api.calls().counts().total, 4);
}

#[tokio::test]
async fn a_load_that_fails_says_so_and_the_page_goes_on() {
    // Nobody listens at this port: it was had and given back.
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let httpbin = Httpbin::new(&format!("http://{gone}"), DELAY).unwrap();
    let site = serve(app(Delay { cache: larder::open("memory:").unwrap(), httpbin, calls: None })).await;

    Browser::with(async |page| {
        page.goto(&site.url("/")).await.unwrap();
        let failed = press(page, "hello", 1).await;
        assert_eq!(failed.badge, "502, not stored");
        let about = press(page, "about", 1).await;
        assert_eq!(about.badge, "miss, stored");
        let counter = page.find(Locator::Id("origin")).await.unwrap();
        assert!(!counter.is_displayed().await.unwrap(), "a real httpbin doesn't count its calls");
    })
    .await;
}
