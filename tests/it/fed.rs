//! Bodies that a test feeds piece by piece, and waiting that ends.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::mpsc;
use tower::ServiceExt;

use crate::support::Runs;

/// The end of a body that a test feeds. Dropped, it ends the body.
pub(crate) type Feed = mpsc::UnboundedSender<Result<Frame<Bytes>, std::io::Error>>;

/// A body of unknown length that a test feeds.
pub(crate) fn fed() -> (Feed, Body) {
    let (feed, fed) = mpsc::unbounded_channel();
    let frames =
        futures_util::stream::unfold(fed, |mut fed| async { fed.recv().await.map(|frame| (frame, fed)) });
    (feed, Body::new(StreamBody::new(frames)))
}

/// A piece of a body.
pub(crate) fn piece(bytes: impl Into<Bytes>) -> Result<Frame<Bytes>, std::io::Error> {
    Ok(Frame::data(bytes.into()))
}

/// A body of unknown length whose pieces are all there.
pub(crate) fn at_hand(pieces: Vec<Result<Frame<Bytes>, std::io::Error>>) -> Body {
    Body::new(StreamBody::new(futures_util::stream::iter(pieces)))
}

/// The next piece of a body that is coming, as text; `None` at its end.
pub(crate) async fn next_piece(body: &mut Body) -> Option<Result<String, axum::Error>> {
    let frame = soon(body.frame()).await?;
    Some(frame.map(|frame| String::from_utf8(frame.into_data().expect("data").to_vec()).expect("text")))
}

/// Waits for what is to come at once, so that a test that would hang fails instead.
pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work).await.expect("nobody hangs")
}

/// Lets every task that can go on do so, on the single thread of a test.
pub(crate) async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// A response whose body is still to be read.
pub(crate) async fn head(app: &Router, request: Request<Body>) -> Response<Body> {
    soon(app.clone().oneshot(request)).await.expect("infallible")
}

/// All lines of a response's `Cache-Status`, joined.
pub(crate) fn status_of<B>(response: &Response<B>) -> String {
    let lines: Vec<_> =
        response.headers().get_all("cache-status").iter().map(HeaderValue::as_bytes).collect();
    String::from_utf8_lossy(&lines.join(&b", "[..])).into_owned()
}

/// An application that answers every path and method by `answer`, which gets the number of the run, from 1.
pub(crate) fn slowly<F, R>(answer: F) -> (Router, Runs)
where
    F: Fn(usize, Request<Body>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    let runs = Runs::default();
    let seen = runs.clone();
    let app = Router::new().fallback(move |request: Request<Body>| {
        let (answer, run) = (answer.clone(), seen.next());
        async move { answer(run, request).await }
    });
    (app, runs)
}

/// An application whose runs each wait until the test answers them.
pub(crate) fn asking() -> (Router, mpsc::UnboundedReceiver<Asked>, Runs) {
    let (asks, asked) = mpsc::unbounded_channel();
    let (app, runs) = slowly(move |_, request| {
        let (answer, answered) = tokio::sync::oneshot::channel();
        let sent = asks.send(Asked { request: request.into_parts().0, answer });
        async move {
            sent.expect("the test still listens");
            answered.await.expect("the test answers")
        }
    });
    (app, asked, runs)
}

/// A run of the handler that waits for the test.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) request: http::request::Parts,
    answer: tokio::sync::oneshot::Sender<Response<Body>>,
}

impl Asked {
    /// Whether nobody is there any more who would hear the answer.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    /// Answers it; false if nobody is there any more.
    pub(crate) fn answer(self, response: Response<Body>) -> bool {
        self.answer.send(response).is_ok()
    }

    /// Answers it with these fields and this body.
    pub(crate) fn say(self, fields: &[(&'static str, &'static str)], body: impl Into<Body>) -> bool {
        self.answer(saying(fields, body))
    }
}

/// A response with these fields and this body.
pub(crate) fn saying(fields: &[(&'static str, &'static str)], body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    for (name, value) in fields {
        response.headers_mut().append(*name, HeaderValue::from_static(value));
    }
    response
}
