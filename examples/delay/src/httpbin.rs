//! A stand-in for httpbin on loopback, so that the example needs no network and no container.
//!
//! It answers as httpbin does, as far as this example goes, and counts: [`Calls`] is how a page, a test and the load
//! test know what caching has spared.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{ConnectInfo, OriginalUri, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header::HOST};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Response};
use axum::{Router, routing::any};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

/// The longest that `/delay/{n}` waits, as at httpbin.
pub const LONGEST_DELAY: Duration = Duration::from_secs(10);

/// Views counted one by one; calls for any more only enter the total.
const MOST_VIEWS: usize = 64;

/// What a stand-in was asked so far. A clone counts along.
#[derive(Clone, Debug, Default)]
pub struct Calls(Arc<Mutex<Counts>>);

/// The counts at one moment.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Counts {
    /// All calls.
    pub total: u64,
    /// Calls by the view that made them: the query's `for`.
    pub views: BTreeMap<String, u64>,
}

impl Calls {
    /// The counts now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count(&self, view: Option<&String>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.total += 1;
        let Some(view) = view else { return };
        if let Some(known) = counts.views.get_mut(view) {
            *known += 1;
        } else if counts.views.len() < MOST_VIEWS {
            counts.views.insert(view.clone(), 1);
        }
    }
}

/// A stand-in that runs on a free port of 127.0.0.1 until this is dropped.
#[derive(Debug)]
#[must_use = "the stand-in stops when this is dropped"]
pub struct StandIn {
    addr: SocketAddr,
    calls: Calls,
    task: JoinHandle<io::Result<()>>,
}

impl StandIn {
    /// Starts one.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let addr = listener.local_addr()?;
        let calls = Calls::default();
        let service = router(calls.clone()).into_make_service_with_connect_info::<SocketAddr>();
        let task = tokio::spawn(async move { axum::serve(listener, service).await });
        Ok(Self { addr, calls, task })
    }

    /// Its address as a URL, as `--httpbin` takes it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// What it was asked so far.
    #[must_use]
    pub fn calls(&self) -> Calls {
        self.calls.clone()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn router(calls: Calls) -> Router {
    Router::new()
        .route("/delay/{seconds}", any(delay))
        .route("/get", any(get))
        .route("/headers", any(headers))
        .route("/status/{code}", any(status))
        .layer(middleware::from_fn_with_state(calls, count))
}

type Args = Query<BTreeMap<String, String>>;

async fn count(State(calls): State<Calls>, Query(args): Args, request: Request, next: Next) -> Response {
    calls.count(args.get("for"));
    next.run(request).await
}

async fn delay(Path(seconds): Path<String>, echo: Echo) -> Response {
    // What is no number, NaN included, is not at least 0 either.
    let Some(seconds) = seconds.parse().ok().filter(|n: &f64| *n >= 0.0) else {
        return (StatusCode::BAD_REQUEST, "delay takes a number of seconds\n").into_response();
    };
    tokio::time::sleep(Duration::from_secs_f64(seconds.min(LONGEST_DELAY.as_secs_f64()))).await;
    let mut body = echo.0;
    for (field, empty) in [("data", json!("")), ("files", json!({})), ("form", json!({}))] {
        body.insert(field.to_owned(), empty);
    }
    Json(body).into_response()
}

async fn get(echo: Echo) -> Json<Map<String, Value>> {
    Json(echo.0)
}

async fn headers(mut echo: Echo) -> Json<Value> {
    Json(json!({ "headers": echo.0.remove("headers") }))
}

async fn status(Path(code): Path<u16>) -> Result<StatusCode, (StatusCode, &'static str)> {
    // The 1xx are no final answers.
    StatusCode::from_u16(code)
        .ok()
        .filter(|status| !status.is_informational())
        .ok_or((StatusCode::BAD_REQUEST, "Invalid status code\n"))
}

/// The request as httpbin tells it back: `args`, `headers`, `origin`, `url`.
struct Echo(Map<String, Value>);

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Echo {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, state: &S) -> Result<Self, Response> {
        let Query(args) =
            Args::from_request_parts(parts, state).await.map_err(IntoResponse::into_response)?;
        let OriginalUri(uri) =
            OriginalUri::from_request_parts(parts, state).await.map_err(IntoResponse::into_response)?;
        let origin = ConnectInfo::<SocketAddr>::from_request_parts(parts, state).await.ok();
        let host = parts.headers.get(HOST).map_or_else(String::new, |host| text(host.as_bytes()));
        let fields = [
            ("args", json!(args)),
            ("headers", titled(&parts.headers)),
            ("origin", json!(origin.map(|ConnectInfo(addr)| addr.ip().to_string()))),
            ("url", json!(format!("http://{host}{uri}"))),
        ];
        Ok(Self(fields.into_iter().map(|(field, value)| (field.to_owned(), value)).collect()))
    }
}

/// The headers with names in Title-Case, as httpbin shows them; lines of one name are joined.
fn titled(headers: &HeaderMap) -> Value {
    let mut fields = BTreeMap::<String, String>::new();
    for (name, value) in headers {
        let name: Vec<String> = name.as_str().split('-').map(capitalised).collect();
        let value = text(value.as_bytes());
        fields.entry(name.join("-")).and_modify(|lines| *lines = format!("{lines},{value}")).or_insert(value);
    }
    json!(fields)
}

fn capitalised(word: &str) -> String {
    let (first, rest) = word.split_at(word.len().min(1));
    first.to_ascii_uppercase() + rest
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_waits_as_long_as_it_is_asked_to_and_never_longer_than_httpbin() {
        for (path, waits) in
            [("/delay/0", 0), ("/delay/2", 2000), ("/delay/0.5", 500), ("/delay/1e300", 10_000)]
        {
            let begun = tokio::time::Instant::now();
            let request = Request::get(path).body(Body::empty()).unwrap();
            let answer = router(Calls::default()).oneshot(request).await.unwrap();
            assert_eq!(answer.status(), 200, "{path}");
            // Tokio's timers are exact to the millisecond.
            let waited = begun.elapsed().as_millis();
            assert!((waits..=waits + 1).contains(&waited), "{path}: {waited}");
        }
    }

    #[test]
    fn views_are_counted_one_by_one_up_to_a_bound() {
        let calls = Calls::default();
        for view in 0..2 * MOST_VIEWS {
            calls.count(Some(&format!("/{view}/")));
        }
        calls.count(Some(&"/0/".to_owned()));
        calls.count(None);
        let counts = calls.counts();
        assert_eq!((counts.total, counts.views.len()), (2 * MOST_VIEWS as u64 + 2, MOST_VIEWS));
        assert_eq!(counts.views["/0/"], 2);
    }
}
