//! A stale page that stands in for an application that fails (RFC 5861, section 4).

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::task::Poll;

use axum::body::Body;
use http::{Response, StatusCode};

use super::Shown;
use super::renewal::Renewals;
use crate::engine::Lead;
use crate::landing::Landing;
use crate::passes::PASS_ERROR_MILLIS;

/// What came of asking an application for which a stale page may stand in.
pub(crate) enum Asked<T> {
    /// Its answer.
    Done(T),
    /// It panicked, or took longer than a fill may.
    Gone,
}

/// Whether a stale page stood in.
pub(crate) enum Stood<T> {
    /// With this answer.
    For(Response<Body>),
    /// The application's own answer goes on.
    Not(T),
}

/// An answer for which a stale page stands in.
pub(crate) fn failed_status(status: StatusCode) -> Option<u16> {
    matches!(status.as_u16(), 500 | 502 | 503 | 504).then(|| status.as_u16())
}

impl Lead {
    /// Waits for the application, for which a stale page can stand in: no longer than a fill may take, and a panic is caught.
    pub(crate) async fn watched<T>(&self, work: impl Future<Output = T>) -> Asked<T> {
        let mut work = std::pin::pin!(work);
        let caught = std::future::poll_fn(|cx| {
            // What panicked is not polled again.
            match std::panic::catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(done)) => Poll::Ready(Asked::Done(done)),
                Err(_) => Poll::Ready(Asked::Gone),
            }
        });
        let clock = self.visit.cache.clock();
        tokio::select! {
            asked = caught => asked,
            () = clock.sleep(self.visit.engine.settings().max_fill) => Asked::Gone,
        }
    }

    /// If the application failed: those who wait are told, and the stale page is the answer where there is one.
    pub(crate) fn stood_in<R, E>(
        &self,
        asked: Asked<Result<Response<R>, E>>,
    ) -> Stood<Result<Response<R>, E>> {
        let failed = match &asked {
            Asked::Done(Ok(response)) => match failed_status(response.status()) {
                Some(status) => Some(status),
                None => return self.passed(asked),
            },
            Asked::Done(Err(_)) | Asked::Gone => None,
        };
        match self.fail(failed) {
            Some(response) => Stood::For(response),
            None => self.passed(asked),
        }
    }

    fn passed<T>(&self, asked: Asked<T>) -> Stood<T> {
        match asked {
            Asked::Done(done) => Stood::Not(done),
            // Only where something stands in is it watched that closely.
            Asked::Gone => Stood::For(crate::respond::idle()),
        }
    }

    /// The application failed, with this status if it gave one: nobody waits for a page that does not come. Gives the stale page that stands in.
    pub(crate) fn fail(&self, status: Option<u16>) -> Option<Response<Body>> {
        let now = self.visit.cache.clock().now();
        if let Some(refresh) = self.visit.role.renewal() {
            refresh.failed(status, now);
        }
        let standby = self.visit.standby.as_ref();
        if let Some(leader) = &self.leader {
            leader.publish(Landing::Failed(status));
        }
        if let Some(lease) = &self.lease {
            lease.pass(now.saturating_add(PASS_ERROR_MILLIS));
        }
        let stale = standby?;
        self.visit.cache.attached::<Renewals>().rest(&stale.page.meta.key, now);
        Some(stale.answer(Shown::Failed(status), self.visit.facts, &self.visit.headers, now))
    }
}
