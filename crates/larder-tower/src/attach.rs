//! A page is forgotten with what went into it: around its making, and around its body.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use futures_util::future::Either;
use http_body::{Frame, SizeHint};
use larder_core::{Attachment, Unattachable};
use larder_http::Reason;

use crate::engine::Lead;

/// Runs the making of something so that what it reads is noted, if it is to be. No `async fn`: it would have room for the making twice.
pub(crate) fn noting<F: Future>(
    attachment: Option<Attachment>,
    making: F,
) -> impl Future<Output = F::Output> + use<F> {
    match attachment {
        Some(attachment) => Either::Left(attachment.scope(making)),
        None => Either::Right(making),
    }
}

/// What was read inside together with what was read around it, where the caller runs.
pub(crate) fn both(inside: Option<Attachment>) -> Option<Attachment> {
    let inside = inside?;
    let Some(around) = Attachment::current() else { return Some(inside) };
    around.absorb(&inside);
    Some(around)
}

impl Lead {
    /// Runs the making of the page so that what it reads is noted.
    pub(crate) fn noting<F: Future>(&self, making: F) -> impl Future<Output = F::Output> + use<F> {
        noting(self.attachment.clone(), making)
    }
}

/// Why a page that is made of this is not stored.
pub(crate) fn reason(why: Unattachable) -> Reason {
    match why {
        Unattachable::Stale => Reason::MadeOfStale,
        Unattachable::TooMany => Reason::TooManyTags,
        _ => Reason::ForeignTags,
    }
}

/// A body that may read cached values while it is sent.
pub(crate) fn body(attachment: Option<&Attachment>, inner: Body) -> Body {
    match attachment {
        // One whose end is in sight reads nothing any more.
        Some(attachment) if http_body::Body::size_hint(&inner).exact().is_none() => {
            Body::new(Noting { attachment: attachment.clone(), inner })
        }
        _ => inner,
    }
}

struct Noting {
    attachment: Attachment,
    inner: Body,
}

impl http_body::Body for Noting {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Self { attachment, inner } = self.get_mut();
        attachment.sync_scope(|| Pin::new(inner).poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        http_body::Body::size_hint(&self.inner)
    }
}
