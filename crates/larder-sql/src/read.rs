//! Reading entries and records, with what callers' transactions say about them.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use larder_core::{Entry, Error, ErrorKind, Key, UnixMillis, wire};

use crate::behind;
use crate::engine::{Ask, BATCH};
use crate::name;
use crate::outbox::{self, Notes};
use crate::raw::Raw;

/// How often a read that came upon more notes than it can heed is run again, each time after they were folded.
const TRIES: usize = 100;

impl Raw {
    /// What stands under these keys and is not expired, records as the notes of their namespace's outbox want them. Records are of one
    /// namespace.
    pub(crate) async fn read(&self, keys: &[Key], now: UnixMillis) -> Result<Vec<Option<Entry>>, Error> {
        let prefix = self.outbox_for(keys);
        let mut entries = Vec::with_capacity(keys.len());
        for keys in keys.chunks(BATCH) {
            let names: Arc<[String]> = keys.iter().map(name::of).collect();
            let rows = self.rows(Ask::Read(Arc::clone(&names), prefix.clone())).await?;
            let (found, notes) = self.heeded(&names, prefix.as_ref(), rows, now).await?;
            entries.extend(self.understand(&names, &found, &notes, now).await?);
        }
        Ok(entries)
    }

    /// The namespace whose outbox has to be read with what stands under these keys.
    pub(crate) fn outbox_for(&self, keys: &[Key]) -> Option<Arc<str>> {
        let record = keys.iter().find(|key| self.engine.has_outbox() && name::is_record(key));
        record.map(|record| record.space().prefix().into())
    }

    /// The entries in rows. What can't be read is removed.
    pub(crate) async fn understand(
        &self,
        names: &[String],
        found: &HashMap<String, Bytes>,
        notes: &Notes,
        now: UnixMillis,
    ) -> Result<Vec<Option<Entry>>, Error> {
        let masks = notes.masks();
        let mut entries = Vec::with_capacity(names.len());
        for name in names {
            let bytes = found.get(name);
            let decoded = bytes.map(wire::decode).transpose();
            if let (Err(_), Some(waste)) = (&decoded, bytes) {
                // What can't be read is of no use to anybody.
                self.ask(Ask::DeleteIf(name.clone(), waste.clone())).await?;
            }
            let entry = decoded.unwrap_or_default().filter(|entry| !entry.is_expired(now));
            entries.push(match masks.get(name.as_str()) {
                Some(mask) => entry.map(|entry| outbox::masked(&entry, *mask)),
                None => entry,
            });
        }
        Ok(entries)
    }

    /// A new record as it has to be stored for its nonce to be what it says, with the notes that are there already: those who begin something
    /// after an invalidation have nothing to fear from it. If one of them is folded before the record is stored, its nonce is another one.
    pub(crate) async fn unmasked(&self, key: &Key, record: Entry, now: UnixMillis) -> Result<Entry, Error> {
        if !self.engine.has_outbox() {
            return Ok(record);
        }
        let names: Arc<[String]> = [name::of(key)].into();
        let prefix: Arc<str> = key.space().prefix().into();
        let rows = self.rows(Ask::Read(Arc::clone(&names), Some(Arc::clone(&prefix)))).await?;
        let (_, notes) = self.heeded(&names, Some(&prefix), rows, now).await?;
        let mask = notes.masks().get(names[0].as_str()).copied();
        Ok(mask.map_or_else(|| record.clone(), |mask| outbox::masked(&record, mask)))
    }

    /// Rows that were read, and all notes of this namespace that came with the same statement; read again if those were too many.
    pub(crate) async fn heeded(
        &self,
        names: &Arc<[String]>,
        prefix: Option<&Arc<str>>,
        mut rows: Vec<(String, Bytes)>,
        now: UnixMillis,
    ) -> Result<(HashMap<String, Bytes>, Notes), Error> {
        for _ in 0..TRIES {
            let notes = prefix.map(|prefix| Notes::take_from(&mut rows, prefix)).unwrap_or_default();
            if !notes.are_too_many() {
                if notes.are_left(now) {
                    self.fold_behind(notes.names()).await;
                }
                return Ok((rows.into_iter().collect(), notes));
            }
            // As a task, so that it comes to an end also where a deadline lets nobody wait for that.
            let (raw, left) = (self.clone(), notes.names());
            let folded = tokio::spawn(async move { raw.fold(&left).await }).await;
            folded.map_err(|error| {
                Error::new(ErrorKind::Unavailable, "folding invalidations was cut off").with_source(error)
            })??;
            rows = self.rows(Ask::Read(Arc::clone(names), prefix.cloned())).await?;
        }
        Err(Error::new(
            ErrorKind::Backend,
            "transactions invalidate faster than that can be taken into account; call after_commit after each",
        ))
    }

    /// Folds notes; those that are gone were folded by others.
    pub(crate) async fn fold(&self, notes: &[String]) -> Result<(), Error> {
        for notes in notes.chunks(outbox::MOST) {
            self.number(Ask::Fold(notes.to_vec())).await?;
        }
        Ok(())
    }

    async fn fold_behind(&self, notes: Vec<String>) {
        let Some(turn) = self.folding.take() else { return };
        let raw = self.clone();
        behind::run(turn, async move {
            if let Err(error) = raw.fold(&notes).await {
                tracing::warn!(target: "larder::backend", %error, "invalidations of transactions could not be folded; they hold all the same");
            }
        })
        .await;
    }
}
