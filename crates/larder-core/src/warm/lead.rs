//! Who of those that share the store does the work.

use std::time::Duration;

use crate::cache::{Cache, Lock};
use crate::clock::{UnixMillis, millis};
use crate::error::ErrorKind;

/// How long the lead lasts by itself. Who dies loses it after this.
const LASTS: Duration = Duration::from_secs(60);
/// How often it is renewed, or asked for.
pub(super) const STEP: Duration = Duration::from_secs(20);

/// The lead of one warmer.
pub(super) struct Lead {
    cache: Cache,
    name: String,
    held: Option<Lock>,
    /// The backend has no locks: everybody works.
    alone: bool,
    next: UnixMillis,
}

impl Lead {
    pub(super) fn new(cache: &Cache, name: &str) -> Self {
        Self { cache: cache.clone(), name: format!("warmer:{name}"), held: None, alone: false, next: 0 }
    }

    /// Whether it is ours now; asks the store if that is due.
    pub(super) async fn is_ours(&mut self) -> bool {
        let now = self.cache.clock().now();
        if self.alone {
            return true;
        }
        if now < self.next && self.next - now <= millis(STEP) {
            return self.held.is_some();
        }
        self.next = now.saturating_add(millis(STEP));
        if let Some(lock) = &self.held {
            match lock.extend(LASTS).await {
                Ok(()) => return true,
                Err(error) => {
                    tracing::debug!(target: "larder::warm", %error, "the lead was lost");
                    self.held = None;
                }
            }
        }
        match self.cache.lock(&self.name).timeout(LASTS).try_acquire().await {
            Ok(lock) => self.held = lock,
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                tracing::warn!(target: "larder::warm", %error, "every process that shares this store keeps it warm by itself");
                self.alone = true;
            }
            // Without the store there is nothing to keep warm.
            Err(error) => tracing::debug!(target: "larder::warm", %error, "nobody can be asked for the lead"),
        }
        self.alone || self.held.is_some()
    }

    /// When to ask again.
    pub(super) fn next(&self) -> UnixMillis {
        if self.alone { UnixMillis::MAX } else { self.next }
    }

    /// Lets another process have it.
    pub(super) async fn give_up(self) {
        if let Some(lock) = self.held {
            // Else it ends by itself.
            _ = lock.release().await;
        }
    }
}
