//! Settings, and the `memory:` URL.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use larder_core::{CacheUrl, Error};
use parking_lot::Mutex;

use crate::Memory;
use crate::store::Store;

const DEFAULT_MAX_BYTES: u64 = 256 << 20;
const DEFAULT_MAX_ENTRIES: u64 = 1_000_000;
const DEFAULT_MAX_TAG_RECORDS: usize = 100_000;

/// Stores that have a name, as long as somebody holds them.
static NAMED: Mutex<Option<HashMap<String, Weak<Store>>>> = Mutex::new(None);

/// Settings of a [`Memory`].
#[derive(Clone, Debug, Default)]
#[must_use = "call build()"]
pub struct MemoryBuilder {
    max_bytes: Option<u64>,
    max_entries: Option<u64>,
    max_tag_records: Option<usize>,
    name: Option<String>,
}

impl MemoryBuilder {
    /// How many bytes all entries together may take; 256 MiB unless said otherwise.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// How many entries there may be; 1,000,000 unless said otherwise. Django: `MAX_ENTRIES`.
    ///
    /// Entries are spread over shards that are bounded each for itself, so a few per cent fewer may find room.
    pub fn max_entries(mut self, entries: u64) -> Self {
        self.max_entries = Some(entries);
        self
    }

    /// Of how many tags the last invalidation is remembered; 100,000 unless said otherwise. Beyond it, entries that are
    /// older than the oldest one remembered count as invalid.
    pub fn max_tag_records(mut self, records: usize) -> Self {
        self.max_tag_records = Some(records);
        self
    }

    /// Django's `LOCATION`: whoever opens the same name in this process gets the same store, as long as somebody holds it.
    /// Without a name, each is a store of its own.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The backend.
    ///
    /// # Errors
    /// [`Config`](larder_core::ErrorKind::Config) if a bound is zero, or the name is taken by a store with other bounds than those asked for.
    pub fn build(self) -> Result<Memory, Error> {
        let bounds = [
            ("max_bytes", self.max_bytes),
            ("max_entries", self.max_entries),
            ("max_tag_records", self.max_tag_records.map(|n| n as u64)),
        ];
        if let Some((name, _)) = bounds.iter().find(|(_, bound)| *bound == Some(0)) {
            return Err(Error::config(format!(
                "{name}=0 keeps nothing in memory; leave it out, or use dummy: to store nothing"
            )));
        }
        let Some(name) = self.name.clone() else { return Ok(self.build_unnamed()) };
        let mut named = NAMED.lock();
        let named = named.get_or_insert_default();
        named.retain(|_, store| store.strong_count() > 0);
        if let Some(store) = named.get(&name).and_then(Weak::upgrade) {
            self.agrees_with(&name, &store)?;
            return Ok(Memory { store });
        }
        let memory = self.build_unnamed();
        named.insert(name, Arc::downgrade(&memory.store));
        Ok(memory)
    }

    pub(crate) fn build_unnamed(&self) -> Memory {
        Memory {
            store: Arc::new(Store::new(
                self.max_bytes.unwrap_or(DEFAULT_MAX_BYTES),
                self.max_entries.unwrap_or(DEFAULT_MAX_ENTRIES),
                self.max_tag_records.unwrap_or(DEFAULT_MAX_TAG_RECORDS),
            )),
        }
    }

    fn agrees_with(&self, name: &str, store: &Store) -> Result<(), Error> {
        let (bytes, entries) = store.bounds();
        for (what, asked, there) in
            [("max_bytes", self.max_bytes, bytes), ("max_entries", self.max_entries, entries)]
        {
            if asked.is_some_and(|asked| asked != there) {
                return Err(Error::config(format!(
                    "the memory store {name:?} is open already with {what}={there}; say the same, nothing, or another name"
                )));
            }
        }
        Ok(())
    }
}

/// Opens `memory:`, `memory:name` or `memory:?name=…`, with the options `max_bytes` and `max_entries`.
///
/// ```
/// use larder_core::Schemes;
///
/// let schemes = Schemes::new().register("memory", larder_memory::open);
/// let cache = schemes.open("memory:?max_bytes=64MiB&max_entries=10000&timeout=600")?;
/// assert_eq!(cache.capabilities().name, "memory");
/// # Ok::<(), larder_core::Error>(())
/// ```
///
/// # Errors
/// [`Config`](larder_core::ErrorKind::Config) if there is a path, a bound is not a number or zero, or a name is taken by a store with
/// other bounds.
pub fn open(url: &mut CacheUrl) -> Result<Memory, Error> {
    let authority = url.authority().unwrap_or_default();
    let mut places = vec![authority.to_owned(), url.path().to_owned()];
    places.extend(url.take("name"));
    places.retain(|place| !place.is_empty());
    let ok = |name: &String| !name.contains(['/', ':', '@']);
    if url.authority().unwrap_or_default().is_empty() && url.path().is_empty() && !places.iter().all(ok) {
        return Err(Error::config(
            "the name of a memory: cache has neither / nor : nor @ in it; write memory:?name=pages, say",
        ));
    }
    if places.len() > 1 || !places.iter().all(ok) {
        return Err(Error::config(
            "a memory: cache URL has no host and no path; write memory:, or memory:?name=… to share a store by its name",
        ));
    }
    let mut builder = Memory::builder();
    if let Some(name) = places.pop() {
        builder = builder.name(name);
    }
    if let Some(bytes) = url.take_bytes("max_bytes")? {
        builder = builder.max_bytes(bytes);
    }
    if let Some(entries) = url.take_u64("max_entries")? {
        builder = builder.max_entries(entries);
    }
    builder.build()
}
