//! Pages that are shown though they are stale, and how new ones are made behind them.
//!
//! ```text
//! fresh ── stale-while-revalidate ───────────── stale-if-error ─────────────── gone
//!   │        shown; made anew behind              the application is asked first;
//!   │                                             shown if it fails or is too slow
//!   └ early refresh: shown; made anew behind, by chance
//! ```
//!
//! A *refresh* is a request of before, run once more from the outermost Larder layer inwards, so that all that a page passes on its way out has a
//! word about it ([`again`](crate::again)). It is an ordinary fill: it joins the flight of its key, begins with a fence, and is stored or not by the
//! same rules. What is special is [`Renewal`]: one at a time for each page, bounded in number and time, with the lease of its fill in a fleet.

mod behind;
mod course;
mod renewal;
mod settings;
mod standby;

pub(crate) use behind::Behind;
pub(crate) use renewal::{Begun, Renewal, Renewals, Renewing, Role};
pub use settings::EarlyRefresh;
pub(crate) use settings::Staleness;
pub(crate) use standby::{Asked, Stood, failed_status};

use std::sync::Arc;

use axum::body::Body;
use http::{HeaderMap, Response};
use larder_core::UnixMillis;
use larder_http::{CacheStatus, Forward, Freshness, Reason, Timing};

use crate::admit::Facts;
use crate::kept::Page;
use crate::respond;

/// A stored page that is not fresh, or is to be made anew early.
#[derive(Clone, Debug)]
pub(crate) struct Stale {
    pub(crate) page: Arc<Page>,
    /// Its time as the store's marks leave it; a soft purge ends freshness before its time.
    pub(crate) timing: Timing,
}

impl Stale {
    /// What may be done with it.
    pub(crate) fn standing(&self, now: UnixMillis) -> Freshness {
        self.timing.freshness(now)
    }
}

/// Why a page is shown that is stale, or is being made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// It is being made anew behind the answer, or was not to be.
    Behind(Reason),
    /// The application failed; with its status, if it gave one.
    Failed(Option<u16>),
    /// It failed a moment ago, and was not asked again.
    Spared,
    /// The application is slower than the soft timeout.
    TooSlow,
}

impl Stale {
    /// The page as an answer.
    pub(crate) fn answer(
        &self,
        shown: Shown,
        facts: Facts,
        request: &HeaderMap,
        now: UnixMillis,
    ) -> Response<Body> {
        respond::with_status(&self.page, self.status(shown, now), facts, request, now)
    }

    pub(crate) fn status(&self, shown: Shown, now: UnixMillis) -> CacheStatus {
        let ttl = self.timing.ttl_secs(now);
        match shown {
            Shown::Behind(reason) => CacheStatus::hit(ttl).reason(reason),
            Shown::Spared => CacheStatus::hit(ttl).reason(Reason::StaleOnError),
            Shown::TooSlow => CacheStatus::forward(Forward::Stale).ttl(ttl).reason(Reason::SoftTimeout),
            Shown::Failed(status) => {
                let mut said = CacheStatus::forward(Forward::Stale).ttl(ttl).reason(Reason::StaleOnError);
                said.fwd_status = status;
                said
            }
        }
    }
}
