//! A change of L2 that is under way: whatever becomes of it, no copy outlives it.

use larder_core::backplane::What;
use larder_core::{Entry, Error, Key, Space, UnixMillis};

use crate::near::{Copying, Ticket};
use crate::shared::Shared;
use crate::spaces::in_one_space;

/// Dropped before it was [settled](Self::settle), it takes the change for done: a deadline may have passed after L2 got the command.
pub(crate) struct Change<'a> {
    shared: &'a Shared,
    pending: Option<(Space, What)>,
}

impl<'a> Change<'a> {
    pub(crate) fn new(shared: &'a Shared, space: Space, what: What) -> Self {
        Self { shared, pending: Some((space, what)) }
    }

    /// Of keys of one namespace, as those of one cache are.
    pub(crate) fn of_keys(shared: &'a Shared, keys: Vec<Key>) -> Self {
        let space = keys.first().map(Key::space).unwrap_or_default();
        Self::new(shared, space, What::Keys(keys))
    }

    /// L2 has answered. If it did change something, or may have, the others are told as well.
    pub(crate) async fn settle<T>(
        mut self,
        answer: Result<T, Error>,
        changed: impl FnOnce(&T) -> bool,
    ) -> Result<T, Error> {
        if let Some((space, what)) = self.pending.take() {
            // Even if nothing changed: what L2 says is newer than any copy.
            self.shared.near.drop_what(&space, &what, self.shared.now());
            if answer.as_ref().map_or(true, changed) {
                self.shared.tell(&space, what).await;
            }
        }
        answer
    }

    /// L1 has seen to its copies already.
    async fn tell(mut self) {
        if let Some((space, what)) = self.pending.take() {
            self.shared.tell(&space, what).await;
        }
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        if let Some((space, what)) = self.pending.take() {
            self.shared.abandon(&space, &what);
        }
    }
}

/// A change that puts entries into L2, which L1 keeps too.
pub(crate) struct Keeping<'a> {
    change: Change<'a>,
    entries: Vec<(Key, Entry)>,
    tickets: Vec<Ticket>,
    copying: Option<Copying>,
}

impl<'a> Keeping<'a> {
    /// Before L2 is asked: what happens from now on is seen by the copies.
    pub(crate) fn begin(shared: &'a Shared, entries: Vec<(Key, Entry)>) -> Self {
        let near = &shared.near;
        let keys: Vec<Key> = entries.iter().map(|(key, _)| key.clone()).collect();
        let tickets = keys.iter().map(|key| near.ticket(key)).collect();
        let stand = near.trust.stand().filter(|_| in_one_space(&keys));
        let copying = stand.zip(keys.first()).and_then(|(stand, key)| near.begin(stand, key));
        Self { change: Change::of_keys(shared, keys), entries, tickets, copying }
    }

    /// L2 has stored them, but for those it refused.
    pub(crate) async fn keep(self, refused: &[(usize, Error)], now: UnixMillis) {
        let Self { change, entries, tickets, copying } = self;
        let near = &change.shared.near;
        for (at, ((key, entry), before)) in entries.iter().zip(tickets).enumerate() {
            let ticket = near.changed(key, Some(before), now);
            let stored = !refused.iter().any(|(place, _)| *place == at) && !entry.is_expired(now);
            if let (Some(copying), Some(ticket), true) = (&copying, ticket, stored) {
                near.keep(copying, ticket, key, entry, now);
            }
        }
        if !entries.is_empty() {
            change.tell().await;
        }
    }

    /// L2 has stored none of them, or may have.
    pub(crate) async fn give_up(self, perhaps: bool) {
        // The answer is the caller's to give.
        _ = self.change.settle(Ok(()), |()| perhaps).await;
    }
}
