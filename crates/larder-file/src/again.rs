//! Reading again what was read before: where all files are as they were, they mean what they meant, and need not be decoded and judged anew.

use std::fs;
use std::io::ErrorKind as Io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use larder_core::{Entry, Error, Fetched, Key, Tag, UnixMillis};

use crate::FileCache;
use crate::format::{self, Content};
use crate::names::Place;
use crate::raw::{Raw, read};

/// The files of an entry and of the records that decide about it, in the order in which they are read.
#[derive(Debug)]
pub(crate) struct Files {
    paths: Box<[PathBuf]>,
    /// When the first of them expires: nothing removes a file then.
    until: UnixMillis,
}

impl Files {
    /// What they hold; `None`: it can't be told.
    fn read(&self) -> Option<Vec<Option<Vec<u8>>>> {
        self.paths.iter().map(bytes).collect()
    }
}

/// What a file holds, which may be that there is none; `None`: it can't be told.
fn bytes(path: &PathBuf) -> Option<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Some(Some(bytes)),
        Err(e) if matches!(e.kind(), Io::NotFound | Io::NotADirectory) => Some(None),
        Err(_) => None,
    }
}

/// A valid entry, and what says so.
struct Whole {
    entry: Entry,
    files: Files,
    answer: Vec<Option<Bytes>>,
}

impl FileCache {
    /// The entry under a key.
    pub(crate) async fn read_only(&self, key: &Key, now: UnixMillis) -> Result<Option<Entry>, Error> {
        let (key, recall) = (key.clone(), Arc::clone(&self.recall));
        self.run(move |raw| {
            let keys = std::slice::from_ref(&key);
            if let Some(asked) = recall.of(keys) {
                if now < asked.question().until
                    && let Some(came) = asked.question().read()
                    && let Some(entries) = asked.meaning(came.iter().map(Option::as_deref), now)
                {
                    return Ok(entries.iter().next().cloned().flatten());
                }
                recall.forget(keys);
            }
            // All that decides is read once, so that what is noted is what was judged.
            let Some(Whole { entry, files, answer }) = whole(raw, &key, now) else {
                return read(raw, &key, now);
            };
            recall.note(keys, files, answer, &[Some(entry.clone())]);
            Ok(Some(entry))
        })
        .await
    }
}

/// Reads an entry and its records; `None` for all but a valid entry that is not marked as stale.
fn whole(raw: &Raw, key: &Key, now: UnixMillis) -> Option<Whole> {
    let directory = &raw.0.directory;
    let page = Place::of(directory, key).path;
    let stored = Bytes::from(bytes(&page)??);
    let entry = standing(&stored, key, now)?;
    let carried = || entry.stamp().tags.iter().map(|(tag, _)| tag);
    let named: Vec<Tag> = carried().filter(|tag| !tag.is_group()).cloned().collect();
    // Those of groups are looked at only if one of them was invalidated.
    for tags in [named, carried().cloned().collect()] {
        let records = Fetched::asked_for(&key.space(), &[], &tags);
        let paths: Vec<PathBuf> = records.iter().map(|record| Place::of(directory, record).path).collect();
        let came: Vec<Option<Bytes>> =
            paths.iter().map(|path| Some(bytes(path)?.map(Bytes::from))).collect::<Option<_>>()?;
        let read: Vec<Option<Entry>> = records
            .iter()
            .zip(&came)
            .map(|(record, bytes)| bytes.as_ref().and_then(|bytes| standing(bytes, record, now)))
            .collect();
        let expiries = read.iter().flatten().chain([&entry]).filter_map(Entry::expires);
        let until = expiries.min().unwrap_or(UnixMillis::MAX);
        let Fetched { space, tags: nonces, .. } = Fetched::of(read, 0);
        if entry.stamp().deciding(space)?.count() > tags.len() {
            continue;
        }
        let stands = |tag: &Tag| nonces[tags.iter().position(|known| known == tag)?];
        let judged = entry.clone().judged(space, stands).filter(|entry| entry.stale_since().is_none())?;
        let paths = std::iter::once(page).chain(paths).collect();
        let answer = std::iter::once(Some(stored)).chain(came).collect();
        return Some(Whole { entry: judged, files: Files { paths, until }, answer });
    }
    None
}

/// The entry under a key in a file's bytes, if it has not expired.
fn standing(bytes: &Bytes, key: &Key, now: UnixMillis) -> Option<Entry> {
    match format::decode(bytes, key.identity()) {
        Content::Entry(entry) => Some(entry).filter(|entry| !entry.is_expired(now)),
        Content::Other | Content::Garbage => None,
    }
}
