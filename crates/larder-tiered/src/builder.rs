//! Settings of a [`Tiered`].

use std::sync::Arc;
use std::time::Duration;

use larder_core::backplane::{Backplane, DynBackplane};
use larder_core::{Backend, DynBackend, Error, Timeout};

use crate::far::Far;
use crate::near::Near;
use crate::outbox::Outbox;
use crate::shared::Shared;
use crate::trust::Trust;
use crate::{Inner, Tiered};

const HEARTBEAT: Duration = Duration::from_secs(1);
const L1_TIMEOUT: Timeout = Timeout::secs(60);
/// After how many heartbeats that did not happen L1 stops answering.
const MISSED: u32 = 3;

/// Settings of a [`Tiered`].
#[derive(Debug)]
#[must_use = "call build()"]
pub struct TieredBuilder {
    l1: DynBackend,
    l2: DynBackend,
    backplane: Option<DynBackplane>,
    l1_timeout: Timeout,
    heartbeat: Duration,
}

impl TieredBuilder {
    pub(crate) fn new(l1: DynBackend, l2: DynBackend) -> Self {
        Self { l1, l2, backplane: None, l1_timeout: L1_TIMEOUT, heartbeat: HEARTBEAT }
    }

    /// By what the processes on this L2 tell each other what has changed. Without one L1 is not used at all: each read goes to L2.
    pub fn backplane(mut self, backplane: impl Backplane) -> Self {
        self.backplane = Some(DynBackplane::new(backplane));
        self
    }

    /// The longest that a copy lives in L1; 60 s unless said otherwise. An entry that expires sooner does so in L1 as well.
    pub fn l1_timeout(mut self, timeout: impl Into<Timeout>) -> Self {
        self.l1_timeout = timeout.into().or(L1_TIMEOUT);
        self
    }

    /// How often the namespace's records in L2 are compared with what they held, and lost messages are looked for; 1 s unless said otherwise.
    /// See [the crate](crate) for what depends on it.
    pub fn heartbeat(mut self, heartbeat: Duration) -> Self {
        self.heartbeat = heartbeat;
        self
    }

    /// The backend. Nothing is connected and no task is started yet.
    ///
    /// # Errors
    /// [`Config`](larder_core::ErrorKind::Config) if L1 is not in this process or does not check stamps itself, or a time is zero.
    pub fn build(self) -> Result<Tiered, Error> {
        let near = self.l1.capabilities();
        if near.shared || !near.verifies {
            return Err(Error::config(format!(
                "the first tier has to be in this process, as memory: is, and {} is not; exchange the two, or leave it out",
                near.name
            )));
        }
        if self.heartbeat.is_zero() || self.l1_timeout.is_zero() {
            return Err(Error::config(
                "heartbeat and l1_timeout must be more than 0; leave them out for 1 s and 60 s",
            ));
        }
        if self.backplane.is_none() {
            tracing::warn!(target: "larder::backend", "a tiered cache has no backplane: its first tier is not used");
        }
        let trust = Trust::new(self.heartbeat.saturating_mul(MISSED));
        let longest = self.l1_timeout.as_millis().unwrap_or(u64::MAX);
        let near = Near::new(self.l1, trust, longest);
        let patience = self.heartbeat.max(Duration::from_secs(1));
        let outbox = self.backplane.map(|backplane| Outbox::new(backplane, patience));
        let shared = Arc::new(Shared::new(near, Far::new(self.l2), outbox, self.heartbeat));
        Ok(Tiered { inner: Arc::new(Inner::new(shared)) })
    }
}

impl Tiered {
    /// Settings of `l1`, a backend in this process, in front of `l2`, any backend.
    pub fn builder(l1: impl Backend, l2: impl Backend) -> TieredBuilder {
        TieredBuilder::new(DynBackend::new(l1), DynBackend::new(l2))
    }
}
