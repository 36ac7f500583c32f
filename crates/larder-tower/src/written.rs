//! Writes that pass by: what a successful one makes out of date (RFC 9111, section 4.4).

use std::error::Error as StdError;
use std::future::Future;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::extract::OriginalUri;
use bytes::Bytes;
use foldhash::fast::FixedState;
use http::uri::PathAndQuery;
use http::{Extensions, HeaderMap, HeaderValue, Response, StatusCode, Uri, header};
use larder_core::Cache;
use larder_http::Reason;

use crate::engine::{Engine, into_body, say_bypass};
use crate::forget::forget_whoever_waits;
use crate::identity::{self, Whence};
use crate::labels;
use crate::which::{Chosen, choose};

/// What a write makes out of date. Taken from the request before it is passed on; most of what there is to do is done only once the write was a
/// success, and if there can be pages.
pub(crate) struct Written {
    cache: Cache,
    target: Target,
}

/// Where something is written to.
enum Target {
    /// There may be pages.
    Filled(Box<Filled>),
    /// There are none yet. Those that are made meanwhile are found by their URL alone: on all hosts.
    Unfilled { path: Noted, target: Option<PathAndQuery> },
}

struct Filled {
    engine: Engine,
    own_id: bool,
    uri: Uri,
    original: Option<Uri>,
    host: Option<HeaderValue>,
}

impl Written {
    pub(crate) fn of(
        engine: &Engine,
        inner: &Uri,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Option<Self> {
        let Chosen { cache, own_id } = choose(engine.settings(), extensions)?;
        let capabilities = cache.capabilities();
        if !capabilities.stores {
            return None;
        }
        let original = extensions.get::<OriginalUri>().map(|original| &original.0);
        let uri = original.unwrap_or(inner);
        let path = Noted::of(uri.path());
        let target = if capabilities.shared || path.is_filled() {
            Target::Filled(Box::new(Filled {
                engine: engine.clone(),
                own_id,
                uri: inner.clone(),
                original: original.cloned(),
                host: headers.get(header::HOST).cloned(),
            }))
        } else {
            // As a page that is made would have it.
            let narrowed = engine.settings().narrowing.uri(uri);
            Target::Unfilled { path, target: narrowed.as_ref().unwrap_or(uri).path_and_query().cloned() }
        };
        Some(Self { cache: cache.into_owned(), target })
    }

    /// With this answer to the write: dropping the pages of its URL, if there may be any.
    pub(crate) fn dropping(self, status: StatusCode) -> Option<impl Future<Output = ()> + Send + 'static> {
        if !status.is_success() && !status.is_redirection() {
            return None;
        }
        let Self { cache, target } = self;
        let tag = match target {
            Target::Unfilled { path, .. } if !path.is_filled() => return None,
            Target::Unfilled { target, .. } => {
                labels::url(None, target.as_ref().map_or("/", |pq| pq.as_str()))
            }
            Target::Filled(filled) => {
                let Filled { engine, own_id, uri, original, host } = *filled;
                let whence = Whence::new(&uri, original.as_ref(), host.as_ref());
                identity::url_tag(engine.settings(), &cache, own_id, &uri, &whence)
            }
        };
        // A failure is in the log, and it is tried again.
        Some(async move { _ = forget_whoever_waits(cache, vec![tag]).await })
    }
}

/// A write that passes by: if it succeeds, the pages of its own URL are dropped before its answer leaves.
pub(crate) async fn unsafe_method<R, E>(
    response: impl Future<Output = Result<Response<R>, E>>,
    written: Option<Written>,
) -> Result<Response<Body>, E>
where
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let mut response = into_body(response.await?);
    if let Some(dropping) = written.and_then(|written| written.dropping(response.status())) {
        dropping.await;
    }
    say_bypass(response.headers_mut(), Reason::Method);
    Ok(response)
}

/// For which paths a page was ever made in this process, as bits that paths may share: most writes go where there are no pages, and need not
/// make anything invalid then. It says nothing of what other processes store.
static FILLED: [AtomicU64; 1024] = [const { AtomicU64::new(0) }; 1024];

/// The place of a path's bit.
#[derive(Clone, Copy)]
struct Noted(u64);

impl Noted {
    fn of(path: &str) -> Self {
        Self(FixedState::default().hash_one(path))
    }

    fn bit(self) -> (&'static AtomicU64, u64) {
        (&FILLED[(self.0 >> 6) as usize % FILLED.len()], 1 << (self.0 % 64))
    }

    fn is_filled(self) -> bool {
        let (cell, bit) = self.bit();
        cell.load(Ordering::SeqCst) & bit != 0
    }
}

/// Notes that a page of this path is about to be made. Before the handler runs: a write that does not see the note was done before that.
pub(crate) fn note_fill(path: &str) {
    let (cell, bit) = Noted::of(path).bit();
    // Most paths were noted before, and a look does not keep others from looking.
    if cell.load(Ordering::SeqCst) & bit == 0 {
        cell.fetch_or(bit, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_counts_as_filled_from_its_note_on_and_few_others_do() {
        let paths: Vec<String> = (0..100).map(|i| format!("/written/{i}")).collect();
        let (noted, others) = paths.split_at(50);
        noted.iter().for_each(|path| note_fill(path));
        assert!(noted.iter().all(|path| Noted::of(path).is_filled()));
        assert!(others.iter().filter(|path| Noted::of(path).is_filled()).count() < 10);
    }
}
