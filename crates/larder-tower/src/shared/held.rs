//! What is stored for a request: whole responses, parts, and what HEAD told.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use larder_core::{Cache, Error, Key};
use larder_http::{StoredResponse, VaryFields};

use crate::identity::{Identity, Variant};
use crate::record::Record;

/// A stored response that answers requests like this one.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) page: Arc<StoredResponse>,
    /// Where it stands.
    pub(crate) key: Key,
    pub(crate) fields: VaryFields,
    pub(crate) variant: Variant,
}

/// What a look found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    /// Whole responses whose Vary matches, the newest first.
    pub(crate) whole: Vec<Held>,
    /// Parts.
    pub(crate) parts: Vec<Held>,
    /// What HEAD told; only if there is no whole one.
    pub(crate) head: Vec<Held>,
    /// There is something for this URL, for other requests.
    pub(crate) others: bool,
    /// By what the URL's responses vary, as far as is known; the newest list.
    pub(crate) fields: VaryFields,
}

/// Looks in two steps at most: the URL's records, and then the variants that match.
pub(crate) async fn look(
    cache: &Cache,
    identity: &Identity,
    headers: &HeaderMap,
    limit: u32,
) -> Result<Found, Error> {
    let twins = [identity.clone(), identity.part_twin(), identity.head_twin()];
    let primaries = [0, 1, 2].map(|twin: usize| twins[twin].primary_key().clone());
    let entries = cache.lookup(&primaries).await?;
    let mut found = Found::default();
    let mut slots: Vec<(usize, VaryFields, Variant, Key)> = Vec::new();
    for (twin, (entry, key)) in entries.iter().zip(&primaries).enumerate() {
        let Some(entry) = entry else { continue };
        let record = match Record::from_entry(entry) {
            Ok(record) => record,
            Err(error) => {
                tracing::warn!(target: "larder::backend", cache = cache.name(), %error, "a stored page could not be read; it is removed");
                cache.evict(key).await?;
                continue;
            }
        };
        let identity = &twins[twin];
        if let Some(page) = &record.page
            && *page.meta.key == *key.identity()
        {
            let variant = identity.variant(&VaryFields::default(), headers, true);
            let held =
                Held { page: Arc::clone(page), key: key.clone(), fields: VaryFields::default(), variant };
            found.place(twin, held);
        }
        if twin == 0
            && let Some(newest) = record.sets.first()
        {
            found.fields = newest.clone();
        }
        for set in &record.sets {
            found.others = true;
            let variant = identity.variant(set, headers, true);
            let keys = variant.slots(identity, limit);
            slots.extend(keys.into_iter().map(|key| (twin, set.clone(), variant.clone(), key)));
        }
    }
    if !slots.is_empty() {
        let keys: Vec<Key> = slots.iter().map(|(.., key)| key.clone()).collect();
        let entries = cache.lookup(&keys).await?;
        for ((twin, fields, variant, key), entry) in slots.into_iter().zip(entries) {
            let Some(record) = entry.as_ref().and_then(|entry| Record::from_entry(entry).ok()) else {
                continue;
            };
            let Some(page) = &record.page else { continue };
            // The slot is shared; only the whole identity says whose page this is.
            if *page.meta.key == *variant.key().identity() {
                found.place(twin, Held { page: Arc::clone(page), key, fields, variant });
            }
        }
    }
    // The most recent by Date where several match, of equal ones the one that varies (RFC 9111, sections 4 and 4.1).
    for list in [&mut found.whole, &mut found.parts, &mut found.head] {
        list.sort_by_key(|held| {
            std::cmp::Reverse((
                made(&held.page),
                !held.fields.is_empty(),
                held.page.meta.timing.response_time,
            ))
        });
    }
    Ok(found)
}

impl Found {
    fn place(&mut self, twin: usize, held: Held) {
        match twin {
            0 => self.whole.push(held),
            1 if held.page.status == StatusCode::PARTIAL_CONTENT => self.parts.push(held),
            1 => {}
            _ => self.head.push(held),
        }
    }
}

/// When the origin made it.
fn made(page: &StoredResponse) -> u64 {
    let timing = &page.meta.timing;
    let date = page.headers.get(http::header::DATE);
    let date = date.and_then(|date| larder_http::parse_date(date.as_bytes(), timing.response_time));
    date.unwrap_or(timing.response_time)
}
