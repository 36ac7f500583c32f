//! Naming what is stored, some directories at a time. Only the beginning of each file is read.

use std::collections::HashMap;

use larder_core::{Backend, Error, Key, Nonce, Scanned, Space, Stamp, Tag, UnixMillis};

use crate::format::{Glance, glance};
use crate::names::Kind;
use crate::raw::{Raw, ready};
use crate::tidy::{files, is_past};

impl Raw {
    /// The keys in the shards after `after`, until `limit` entries were looked at: a walk that looks for few among many must not take longer a
    /// step than another. Shards have an order, and an entry never changes its own.
    pub(crate) fn scan(
        &self,
        space: &Space,
        front: &[u8],
        after: Option<&str>,
        limit: usize,
        now: UnixMillis,
    ) -> Result<Scanned, Error> {
        let mut shards = self.0.shards()?;
        shards.sort_unstable();
        let mut known = Known::default();
        let (mut keys, mut looked) = (Vec::new(), 0);
        for shard in shards {
            let Some(name) = shard.file_name().and_then(|name| name.to_str()) else { continue };
            if after.is_some_and(|after| name <= after) {
                continue;
            }
            for seen in files(&shard)?.iter().filter(|seen| seen.kind == Kind::Entry) {
                looked += 1;
                // What goes, or can't be read, while we look is as good as gone.
                let Ok(Glance::Whole { identity, expires, stamp }) = glance(&seen.path) else { continue };
                if !identity.starts_with(front) || is_past(expires, now) {
                    continue;
                }
                let Some(key) = Key::of_identity(&identity) else { continue };
                if known.is_current(self, space, &stamp, now)? {
                    keys.push(key);
                }
            }
            if looked >= limit {
                return Ok(Scanned { keys, next: Some(name.to_owned()) });
            }
        }
        Ok(Scanned { keys, next: None })
    }
}

/// The records that were read for this part.
#[derive(Default)]
struct Known {
    space: Option<Option<Nonce>>,
    tags: HashMap<Tag, Option<Nonce>>,
}

impl Known {
    fn is_current(
        &mut self,
        files: &Raw,
        space: &Space,
        stamp: &Stamp,
        now: UnixMillis,
    ) -> Result<bool, Error> {
        let new: Vec<Tag> = stamp
            .tags
            .iter()
            .map(|(tag, _)| tag)
            .filter(|tag| !self.tags.contains_key(*tag))
            .cloned()
            .collect();
        if self.space.is_none() || !new.is_empty() {
            let read = ready(files.fetch(space, &[], &new, now))?;
            self.space = Some(read.space);
            self.tags.extend(new.into_iter().zip(read.tags));
        }
        Ok(self.space == Some(Some(stamp.space))
            && stamp.tags.iter().all(|(tag, nonce)| self.tags.get(tag) == Some(&Some(*nonce))))
    }
}
