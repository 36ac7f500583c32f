//! Removing values for good: what is being made in their place began before, and must not bring them back.

use bytes::Bytes;

use super::{Cache, Lease, Standing};
use crate::backend::Backend;
use crate::error::Error;
use crate::events::Operation;
use crate::key::Key;
use crate::pack;

impl Cache {
    /// Removes values, and takes back the leases of what is made in their place: what comes of that is not stored, or not for long. How many there
    /// were.
    ///
    /// The leases go first, or a value could be stored between the two. That costs no step of its own: both are sent at once, in this order, and
    /// only where somebody did hold one, the values are removed once more.
    pub(super) async fn take_out(&self, keys: &[Key]) -> Result<usize, Error> {
        let inner = &*self.inner;
        let values = || async {
            let now = inner.clock.now();
            match keys {
                [key] => inner.backend.remove(key, now).await.map(usize::from),
                keys => inner.backend.remove_many(keys, now).await,
            }
        };
        if !self.shares_fills() || inner.leases.get() == Some(&false) {
            return self.within(Operation::Remove, values()).await;
        }
        let leases: Vec<Key> = keys.iter().map(|key| self.lease_key(key)).collect();
        let both = async {
            let taken = inner.backend.remove_many(&leases, inner.clock.now());
            let (taken, removed) = tokio::try_join!(biased; taken, values())?;
            match taken {
                0 => Ok(removed),
                _ => Ok((removed + values().await?).min(keys.len())),
            }
        };
        self.within(Operation::Remove, both).await
    }

    /// Whether somebody has taken a lease away from who holds it. That it may have expired does not count.
    pub(super) async fn is_taken_back(&self, lease: &Lease) -> Result<bool, Error> {
        let inner = &*self.inner;
        let found = self.within(Operation::Get, inner.backend.get(lease.key(), inner.clock.now())).await?;
        Ok(match lease.standing(found.as_ref()) {
            Standing::Held => false,
            Standing::Expired => lease.must_stand(self),
            Standing::TakenOver => true,
        })
    }

    /// Removes a value if it is still this one.
    pub(super) async fn take_out_if(&self, key: &Key, value: &Bytes) -> Result<(), Error> {
        let there = self.lookup_one(key).await?;
        if there.and_then(|entry| pack::bytes(entry.value()).ok()).as_ref() == Some(value)
            && let Some(there) = self.stored(key).await?
        {
            self.swap_lease(key, &there, None).await?;
        }
        Ok(())
    }
}
