//! A real browser: Chromium, headless, driven over WebDriver.

use std::{future::Future, panic::AssertUnwindSafe, pin::pin, task::Poll};

pub use fantoccini;
use fantoccini::{Client, ClientBuilder, wd::Capabilities};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;

use crate::env;

/// Quiet and alike everywhere: no window, no traffic of its own, and only HTTP/1.1 and HTTP/2.
///
/// No sandbox, as Chromium refuses to be root with one and containers seldom allow it; the pages are our own.
const FLAGS: [&str; 10] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
];

/// How often a browser is started that does not come up.
const TRIES: usize = 3;

/// A browser session with a profile of its own, so an empty cache and no cookies.
///
/// The profile is a temporary directory that chromedriver makes for each session and removes with it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Browser;

impl Browser {
    /// Opens a browser, hands its client to `visit` and closes the browser, also when `visit` panics.
    ///
    /// ```no_run
    /// # async fn example() {
    /// use larder_tests::browser::Browser;
    ///
    /// let title = Browser::with(async |page| {
    ///     page.goto("data:text/html,<title>hello</title>").await.unwrap();
    ///     page.title().await.unwrap()
    /// })
    /// .await;
    /// assert_eq!(title, "hello");
    /// # }
    /// ```
    ///
    /// # Panics
    /// When no chromedriver is known (the message tells how to get one), when it can't start a browser, and with
    /// whatever `visit` panics with.
    pub async fn with<T>(visit: impl AsyncFnOnce(&Client) -> T) -> T {
        let url = env::chromedriver_url();
        let client = started(&url).await;
        let outcome = catch(visit(&client)).await;
        // What was to be seen was seen; a browser that stays ends with its driver.
        _ = client.close().await;
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// A browser that runs. Its first start may take longer than chromedriver waits for, when the disk is cold and others are at work.
async fn started(url: &str) -> Client {
    let mut builder = ClientBuilder::new(HttpConnector::new());
    builder.capabilities(capabilities(env::chromium()));
    for _ in 1..TRIES {
        if let Ok(client) = builder.connect(url).await {
            return client;
        }
    }
    let client = builder.connect(url).await;
    client.unwrap_or_else(|error| panic!("chromedriver at {url} starts no browser: {error}"))
}

fn capabilities(chromium: Option<String>) -> Capabilities {
    let mut options = json!({ "args": FLAGS });
    if let Some(binary) = chromium {
        options["binary"] = binary.into();
    }
    Capabilities::from_iter([
        ("browserName".to_owned(), json!("chrome")),
        ("goog:chromeOptions".to_owned(), options),
        ("goog:loggingPrefs".to_owned(), json!({ "browser": "ALL" })),
    ])
}

/// Awaits a future and gives its panic as a value: a panicking test must not leave its browser behind.
async fn catch<F: Future>(future: F) -> std::thread::Result<F::Output> {
    let mut future = pin!(future);
    std::future::poll_fn(move |context| {
        match std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_is_named_only_when_it_is_known() {
        let named = capabilities(Some("/opt/chromium".to_owned()));
        assert_eq!(named["goog:chromeOptions"]["binary"], "/opt/chromium");
        assert!(capabilities(None)["goog:chromeOptions"].get("binary").is_none());
    }

    #[tokio::test]
    async fn a_panic_in_a_visit_comes_back_as_a_value() {
        let outcome = catch(async { panic!("half-way") }).await;
        assert_eq!(outcome.unwrap_err().downcast_ref::<&str>(), Some(&"half-way"));
    }
}
