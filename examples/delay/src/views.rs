//! The views. Those that ask httpbin are one function: what differs is the layer that [`app`](crate::app()) puts
//! around it, or the low-level calls within.

use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Json, Redirect, Response};
use serde_json::Value;

use crate::{Delay, httpbin::Counts, render};

/// Ten minutes, as `cache.set(key, data, 10 * 60)`.
const TIMEOUT: u64 = 10 * 60;

/// Asks, waits, shows. Cached or not is not its business.
pub(crate) async fn say_hello(
    State(delay): State<Delay>,
    OriginalUri(uri): OriginalUri,
) -> Result<Html<String>, BadGateway> {
    let answer = delay.httpbin.ask(uri.path()).await.map_err(|error| BadGateway::new(&delay, &error))?;
    Ok(render::results(uri.path(), &answer))
}

/// The low-level API: look first, ask only if there is nothing, and keep what came.
pub(crate) async fn lowlevel(
    State(delay): State<Delay>,
    OriginalUri(uri): OriginalUri,
) -> Result<Html<String>, BadGateway> {
    const KEY: &str = "httpbin_result";
    // A cache that fails is a cache that has nothing: the API is still there.
    let cached: Option<Value> = delay.cache.get(KEY).await.unwrap_or_default();
    let answer = match cached {
        Some(answer) => answer,
        None => {
            let answer = delay.httpbin.ask(uri.path()).await.map_err(|e| BadGateway::new(&delay, &e))?;
            if let Err(error) = delay.cache.set(KEY, &answer).timeout(TIMEOUT).await {
                eprintln!("{KEY} is not kept: {error}");
            }
            answer
        }
    };
    Ok(render::results(uri.path(), &answer))
}

/// The same in one call; who asks while the first is waiting waits with it, and errors are never kept.
pub(crate) async fn get_or_set(
    State(delay): State<Delay>,
    OriginalUri(uri): OriginalUri,
) -> Result<Html<String>, BadGateway> {
    let answer: Value = delay
        .cache
        .try_get_or_set("httpbin_shared_result", || delay.httpbin.ask(uri.path()))
        .timeout(TIMEOUT)
        .await
        .map_err(|error| BadGateway::new(&delay, &error))?;
    Ok(render::results(uri.path(), &answer))
}

/// A page of the small site.
pub(crate) async fn about(OriginalUri(uri): OriginalUri) -> Html<String> {
    render::about(uri.path())
}

/// The page that loads the others.
pub(crate) async fn home(State(delay): State<Delay>) -> Html<String> {
    render::home(&[
        ("httpbin", delay.httpbin.base()),
        ("delay", &delay.httpbin.delay().to_string()),
        ("cache", delay.cache.name()),
    ])
}

/// Empties the cache; a browser without JavaScript comes back to the page it pressed the button on.
pub(crate) async fn clear(State(delay): State<Delay>) -> Response {
    match delay.cache.clear().await {
        Ok(()) => Redirect::to("/").into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("the cache can't be cleared: {error}\n"))
            .into_response(),
    }
}

/// What the stand-in was asked so far; a real httpbin doesn't tell.
pub(crate) async fn calls(State(delay): State<Delay>) -> Result<Json<Counts>, (StatusCode, &'static str)> {
    let calls =
        delay.calls.as_ref().ok_or((StatusCode::NOT_FOUND, "only the stand-in counts its calls\n"))?;
    Ok(Json(calls.counts()))
}

/// 502 with a readable page. It is no 200, so no layer stores it.
#[derive(Debug)]
pub(crate) struct BadGateway(Html<String>);

impl BadGateway {
    fn new(delay: &Delay, error: &impl std::fmt::Display) -> Self {
        Self(render::down(delay.httpbin.base(), &error.to_string()))
    }
}

impl IntoResponse for BadGateway {
    fn into_response(self) -> Response {
        (StatusCode::BAD_GATEWAY, self.0).into_response()
    }
}
