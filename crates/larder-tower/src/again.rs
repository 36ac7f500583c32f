//! A request of before, to be run once more from the outermost Larder layer inwards.
//!
//! Only there a page passes all that has a word about it: what is made further in could carry what a layer further out adds for one visitor
//! alone. So the outermost layer keeps, for the time of a request, what is needed to run one like it, once a layer inside has said
//! that it may want that; most never do, and pay nothing.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};

use crate::shared::convert;

/// Whether a layer inside may want to run requests again. Clones are one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wants(Arc<AtomicBool>);

impl Wants {
    pub(crate) fn want(&self) {
        // Read first: a line that all write is one that all wait for.
        if !self.0.load(Ordering::Relaxed) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One run, to the end of the response's body.
pub(crate) struct Again {
    pub(crate) parts: Parts,
    run: Box<dyn FnOnce(Parts) -> Running + Send>,
}

impl Again {
    /// A run of a request like this one by `service`; `None` for requests whose type of body can't be made.
    pub(crate) fn new<B, R, E, F>(
        parts: Parts,
        service: impl FnOnce(Request<B>) -> F + Send + 'static,
    ) -> Option<Self>
    where
        B: Send + 'static,
        R: http_body::Body<Data = Bytes> + Send + 'static,
        F: Future<Output = Result<Response<R>, E>> + Send + 'static,
    {
        let body = no_body::<B>()?;
        let run = |parts| -> Running {
            Box::pin(async move {
                let response = service(Request::from_parts(parts, body)).await.ok();
                if let Some(response) = response {
                    read(response.into_body()).await;
                }
            })
        };
        Some(Self { parts, run: Box::new(run) })
    }

    pub(crate) fn run(self) -> Running {
        (self.run)(self.parts)
    }
}

/// The head of a request, for another one like it.
pub(crate) fn head_of<B>(request: &Request<B>) -> Parts {
    let mut parts = Request::new(()).into_parts().0;
    parts.method.clone_from(request.method());
    parts.uri.clone_from(request.uri());
    parts.version = request.version();
    parts.headers.clone_from(request.headers());
    parts.extensions.clone_from(request.extensions());
    parts
}

impl fmt::Debug for Again {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Again").field("uri", &self.parts.uri).finish_non_exhaustive()
    }
}

/// Reads a body to its end. What it says is for the store.
async fn read<R: http_body::Body<Data = Bytes>>(body: R) {
    let mut body = std::pin::pin!(body);
    while let Some(Ok(frame)) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        drop(frame);
    }
}

/// A body without content, where the type of bodies is known to have one.
pub(crate) fn no_body<B: 'static>() -> Option<B> {
    let own = convert::<Body, B>(Body::empty());
    own.ok()
        .or_else(|| convert(http_body_util::Empty::<Bytes>::new()).ok())
        .or_else(|| convert(http_body_util::Full::<Bytes>::default()).ok())
}
