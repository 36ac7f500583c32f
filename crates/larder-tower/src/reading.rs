//! Records of URLs and the variants that they lead to, in one step where that can be.
//!
//! Which lists a URL's record had is remembered ([`Varied`]), so that its variants are asked for beside it. What the record says now
//! decides: a variant that was not asked for costs one more step.

use std::sync::Arc;

use larder_core::{Cache, Entry, Error, Key, UnixMillis};
use larder_http::VaryFields;

use crate::identity::Identity;
use crate::record::Record;
use crate::varied::Varied;

/// What was read.
pub(crate) struct Reading {
    /// The record of each identity asked for.
    pub(crate) records: Vec<Option<Arc<Record>>>,
    /// Since when each of them counts as stale: what was purged softly.
    pub(crate) marked: Vec<Option<UnixMillis>>,
    /// The entries in which they stand.
    pub(crate) heads: Vec<Option<Entry>>,
    slots: Vec<(Key, Option<Entry>)>,
}

impl Reading {
    /// What stands in a slot that a record leads to.
    pub(crate) fn slot(&self, key: &Key) -> Option<&Entry> {
        self.slots.iter().find(|(slot, _)| slot == key)?.1.as_ref()
    }
}

/// Reads the records of these identities, and the slots to which their lists lead. A record that can't be decoded is removed.
pub(crate) async fn read(
    cache: &Cache,
    identities: &[&Identity],
    slots: impl Fn(&Identity, &[VaryFields]) -> Vec<Key> + Send + Sync,
) -> Result<Reading, Error> {
    // A store in this process needs no guess.
    let varied = cache.capabilities().shared.then(|| cache.attached::<Varied>());
    let mut keys: Vec<Key> = identities.iter().map(|identity| identity.primary_key().clone()).collect();
    for identity in identities {
        let lists = varied.as_ref().and_then(|varied| varied.of(identity.primary_key()));
        keys.extend(lists.map(|lists| slots(identity, &lists)).unwrap_or_default());
    }
    let (mut records, mut late) = (Vec::with_capacity(identities.len()), Vec::new());
    let found = cache.lookup_then(&keys, |found| {
        for (identity, entry) in identities.iter().zip(found) {
            let record = entry.as_ref().map(Record::from_entry).transpose();
            if let Ok(Some(record)) = &record {
                let wanted = slots(identity, &record.sets).into_iter();
                late.extend(wanted.filter(|slot| !keys[identities.len()..].contains(slot)));
            }
            records.push(record);
        }
        late.clone()
    });
    let (mut found, found_late) = found.await?;
    let marked = found[..identities.len()].iter().map(|entry| entry.as_ref()?.stale_since()).collect();
    let slots_found = found.split_off(identities.len());
    let slots =
        keys.into_iter().skip(identities.len()).chain(late).zip(slots_found.into_iter().chain(found_late));
    let records_read = Vec::with_capacity(identities.len());
    let mut reading = Reading { records: records_read, marked, heads: found, slots: slots.collect() };
    for (identity, record) in identities.iter().zip(records) {
        let primary = identity.primary_key();
        reading.records.push(match record {
            Ok(record) => record,
            Err(error) => {
                cache.note_garbage(&error);
                cache.evict(primary).await?;
                None
            }
        });
        if let (Some(varied), Some(Some(record))) = (&varied, reading.records.last()) {
            varied.note(primary, &record.sets);
        }
    }
    Ok(reading)
}
