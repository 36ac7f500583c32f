//! What is stored for a request: whole responses, parts, and what HEAD told.

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use larder_core::{Entry, Error, Key};
use larder_http::{NoVarySearch, VaryFields};

use crate::engine::Visit;
use crate::identity::{Identity, Variant};
use crate::kept::Page;
use crate::reading::read;
use crate::record::Record;

/// A stored response that answers requests like this one.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) page: Arc<Page>,
    /// Where it stands.
    pub(crate) key: Key,
    pub(crate) fields: VaryFields,
    pub(crate) variant: Variant,
    /// The entry that it was read from.
    pub(crate) entry: Option<Entry>,
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

/// Looks for the URL's records and the variants that match: one step if their lists are remembered, else two.
pub(super) async fn look(visit: &Visit, search: Option<&NoVarySearch>) -> Result<Found, Error> {
    let Visit { cache, identity, headers, .. } = visit;
    let limit = visit.engine.settings().max_variants;
    let twins = [identity.clone(), identity.part_twin(), identity.head_twin()];
    let slots = |identity: &Identity, sets: &[VaryFields]| -> Vec<Key> {
        sets.iter().flat_map(|set| identity.variant(set, headers, true).slots(identity, limit)).collect()
    };
    let reading = read(cache, &twins.each_ref(), slots).await?;
    let mut found = Found::default();
    for (twin, record) in reading.records.iter().enumerate() {
        let Some(record) = record else { continue };
        let key = twins[twin].primary_key();
        let identity = &twins[twin];
        if let Some(page) = &record.page
            && *page.meta.key == *key.identity()
        {
            let variant = identity.variant(&VaryFields::default(), headers, true);
            let held = Held {
                page: aged(page, reading.heads[twin].as_ref()),
                key: key.clone(),
                fields: VaryFields::default(),
                variant,
                entry: reading.heads[twin].clone(),
            };
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
            for key in variant.slots(identity, limit) {
                let entry = reading.slot(&key);
                let record = entry.and_then(|entry| Record::from_entry(entry).ok());
                let Some(page) = record.as_ref().and_then(|record| record.page.as_ref()) else { continue };
                // The slot is shared; only the whole identity says whose page this is.
                if *page.meta.key == *variant.key().identity() {
                    let (page, fields, variant) = (aged(page, entry), set.clone(), variant.clone());
                    found.place(twin, Held { page, key, fields, variant, entry: entry.cloned() });
                }
            }
        }
    }
    // What was stored under another rule for the query is for other requests.
    let rule = search.cloned().unwrap_or_default();
    for list in [&mut found.whole, &mut found.parts, &mut found.head] {
        list.retain(|held| NoVarySearch::from_headers(&held.page.fields()) == rule);
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

/// The page as it counts: stale from when it was purged softly.
fn aged(page: &Arc<Page>, entry: Option<&Entry>) -> Arc<Page> {
    let Some(since) = entry.and_then(Entry::stale_since) else { return Arc::clone(page) };
    let mut aged = page.to_stored();
    aged.meta.timing = aged.meta.timing.stale_since(since);
    Arc::new(aged.into())
}

impl Found {
    /// The fields of the whole responses.
    pub(super) fn fields_of_wholes(&self) -> Vec<Cow<'_, HeaderMap>> {
        self.whole.iter().map(|held| held.page.fields()).collect()
    }

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
fn made(page: &Page) -> u64 {
    let timing = &page.meta.timing;
    let fields = page.fields();
    let date = fields.get(http::header::DATE);
    let date = date.and_then(|date| larder_http::parse_date(date.as_bytes(), timing.response_time));
    date.unwrap_or(timing.response_time)
}
