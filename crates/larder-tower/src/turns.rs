//! Whose turn it is among the processes that share a store.

use std::future::Future;
use std::pin::Pin;

use larder_core::{Fill, Key, Lease, LeaseRequest, Turn, UnixMillis};

use crate::engine::Visit;

/// Where a request stands that leads in its process.
pub(crate) enum Place {
    /// It makes the page; with a lease where there are any.
    Lead(Option<Lease>),
    /// Another process may have made it: look.
    Look,
    /// What was made can't be shared until then.
    Pass(UnixMillis),
    /// Another process makes it, and this one need not wait for that: it only makes it anew.
    Taken,
    /// It has waited for long enough.
    TooLong,
}

/// Asks for the lease of a page until it is the asker's turn.
pub(crate) struct Turns {
    request: Option<LeaseRequest>,
    waits: bool,
}

impl Turns {
    /// For a request that leads the flight of this key in its process.
    pub(crate) fn of(visit: &Visit, flight: &Key, fill: &Fill) -> Self {
        let settings = visit.engine.settings();
        let request = settings.lease.then(|| visit.cache.lease(flight, fill, settings.max_fill)).flatten();
        Self { request, waits: visit.role.renewal().is_none() }
    }

    /// For a request that leads nobody.
    pub(crate) fn none() -> Self {
        Self { request: None, waits: false }
    }

    /// Waits for the next news.
    pub(crate) async fn next(&mut self, patience: Pin<&mut (impl Future<Output = ()> + Send)>) -> Place {
        let Some(request) = &mut self.request else { return Place::Lead(None) };
        let turn = match self.waits {
            true => tokio::select! {
                turn = request.turn() => turn.map(Some),
                () = patience => return Place::TooLong,
            },
            false => request.turn_now().await,
        };
        let Some(turn) = turn.transpose() else { return Place::Taken };
        match turn {
            Ok(Turn::Lead(lease)) => Place::Lead(Some(lease)),
            Ok(Turn::Look) => Place::Look,
            Ok(Turn::Pass(until)) => Place::Pass(until),
            Err(error) => {
                // The failure itself is in the log already.
                tracing::debug!(target: "larder::decision", kind = error.kind().as_str(), %error, "the page is made without a lease");
                self.request = None;
                Place::Lead(None)
            }
        }
    }
}
