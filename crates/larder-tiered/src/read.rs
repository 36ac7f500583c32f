//! Reading: from L1 while it is trusted, else from L2, and what L2 said is kept.

use std::sync::Arc;

use larder_core::{Backend, Entry, Error, Key, Space, Stamp, UnixMillis};

use crate::Tiered;
use crate::kept::Kept;
use crate::near::Look;
use crate::spaces::in_one_space;
use crate::trust::Stand;

type Found = Vec<Option<Entry>>;

impl Tiered {
    pub(crate) async fn read(&self, keys: &[Key], now: UnixMillis) -> Result<Found, Error> {
        if in_one_space(keys) {
            return self.read_together(keys, now).await;
        }
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            found.extend(self.read_together(std::slice::from_ref(key), now).await?);
        }
        Ok(found)
    }

    /// Keys of one namespace, in one step unless a copy turns out to be invalid.
    async fn read_together(&self, keys: &[Key], now: UnixMillis) -> Result<Found, Error> {
        let near = &self.shared().near;
        let Some(stand) = near.trust.stand() else { return self.shared().far.read(keys, now).await };
        let mut found: Found = vec![None; keys.len()];
        let (mut missing, mut doubtful) = (Vec::new(), Vec::new());
        for (at, key) in keys.iter().enumerate() {
            match near.look(stand, key, now) {
                Look::Known(known) => found[at] = known,
                Look::Doubtful(kept) => doubtful.push((at, kept)),
                Look::Nothing => missing.push(at),
            }
        }
        // Where something has to be read anyway, what is doubtful is read with it.
        if missing.is_empty()
            && let Some(space) = doubtful.first().map(|(at, _)| keys[*at].space())
        {
            let copies: Vec<&Kept> = doubtful.iter().map(|(_, kept)| Arc::as_ref(kept)).collect();
            if self.are_valid(&space, &copies, now).await? {
                for (at, kept) in doubtful {
                    kept.check(stand);
                    found[at] = kept.entry().cloned();
                }
                return Ok(found);
            }
        }
        missing.extend(doubtful.iter().map(|(at, _)| *at));
        if !missing.is_empty() {
            self.fill_in(&mut found, stand, keys, &missing, now).await?;
        }
        for (at, _) in doubtful.iter().filter(|(at, _)| found[*at].is_none()) {
            near.changed(&keys[*at], None, now);
        }
        Ok(found)
    }

    /// Reads from L2 what is missing, and copies it.
    async fn fill_in(
        &self,
        found: &mut Found,
        stand: Stand,
        keys: &[Key],
        missing: &[usize],
        now: UnixMillis,
    ) -> Result<(), Error> {
        let near = &self.shared().near;
        let asked: Vec<Key> = missing.iter().map(|at| keys[*at].clone()).collect();
        // Both before L2 is read: what happens from now on is seen by the copies.
        let copying = near.begin(stand, &asked[0]);
        let tickets: Vec<_> = asked.iter().map(|key| near.ticket(key)).collect();
        for (at, entry) in missing.iter().zip(self.shared().far.read(&asked, now).await?) {
            found[*at] = entry;
        }
        let Some(copying) = copying else { return Ok(()) };
        // That something is not there is worth knowing beside what is, as of a page's slots: not for each key that nobody has.
        let notes_absence = found.iter().any(Option::is_some);
        for ((at, key), ticket) in missing.iter().zip(&asked).zip(tickets) {
            let entry = found[*at].as_ref();
            if entry.is_some() || notes_absence {
                near.copy(&copying, ticket, key, entry, now);
            }
        }
        Ok(())
    }

    /// Whether L2 says, in one step without their values, that all of them are valid.
    async fn are_valid(&self, space: &Space, copies: &[&Kept], now: UnixMillis) -> Result<bool, Error> {
        let mut stamps = copies.iter().filter_map(|kept| kept.entry()).map(Entry::stamp);
        let Some(one) = stamps.next() else { return Ok(false) };
        let mut tags = one.tags.to_vec();
        for other in stamps {
            if other.space != one.space {
                return Ok(false);
            }
            tags.extend(other.tags.iter().cloned());
        }
        tags.sort_unstable();
        tags.dedup();
        let stamp = Stamp { space: one.space, tags: tags.into() };
        self.shared().far.l2().is_current(space, &stamp, now).await
    }
}
