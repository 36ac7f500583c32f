//! Keeping the directory within its limits, and emptying a namespace.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use larder_core::{Error, UnixMillis};

use crate::disk::{Disk, failed, lock};
use crate::format::{Glance, glance};
use crate::names::{self, Kind};

/// What a crash left behind is surely dead after this, and a tag record is not looked at before.
const HOUR: Duration = Duration::from_secs(3600);

/// How much may be stored; 0: no limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) max_entries: u64,
    pub(crate) max_bytes: u64,
}

impl Limits {
    fn exceeded(self, entries: u64, bytes: u64) -> bool {
        let over = |is: u64, most: u64| most > 0 && is > most;
        over(entries, self.max_entries) || over(bytes, self.max_bytes)
    }

    /// Down to where a cull goes.
    fn lowered(self) -> Self {
        let lower = |most: u64| if most > 0 { (most - most.div_ceil(10)).max(1) } else { 0 };
        Self { max_entries: lower(self.max_entries), max_bytes: lower(self.max_bytes) }
    }
}

/// What is stored, about: as the last look at the directory found it, and what this handle did since.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    entries: AtomicU64,
    bytes: AtomicU64,
    /// Files and bytes written since the last look: other processes may have written as much.
    written: AtomicU64,
    written_bytes: AtomicU64,
    looked: AtomicBool,
    tidying: AtomicBool,
}

impl Usage {
    pub(crate) fn wrote(&self, kind: Kind, before: Option<u64>, size: u64) {
        self.written.fetch_add(1, Relaxed);
        if kind != Kind::Entry {
            return;
        }
        self.written_bytes.fetch_add(size, Relaxed);
        if let Some(before) = before {
            self.removed(kind, before);
        }
        self.entries.fetch_add(1, Relaxed);
        self.bytes.fetch_add(size, Relaxed);
    }

    pub(crate) fn removed(&self, kind: Kind, size: u64) {
        if kind == Kind::Entry {
            subtract(&self.entries, 1);
            subtract(&self.bytes, size);
        }
    }
}

fn subtract(from: &AtomicU64, by: u64) {
    // Never fails: the closure always gives a number.
    _ = from.fetch_update(Relaxed, Relaxed, |is| Some(is.saturating_sub(by)));
}

/// One of our files.
pub(crate) struct Seen {
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    modified: SystemTime,
    pub(crate) kind: Kind,
}

impl Disk {
    /// Whether it is time to [`tidy`](Self::tidy). Who is told so must do it: nobody else is told until it is done.
    pub(crate) fn wants_tidying(&self) -> bool {
        let usage = &self.usage;
        let Limits { max_entries, max_bytes } = self.limits;
        let many = match max_entries {
            0 => 10_000,
            most => (most / 10).clamp(1, 10_000),
        };
        let due = !usage.looked.load(Relaxed)
            || self.limits.exceeded(usage.entries.load(Relaxed), usage.bytes.load(Relaxed))
            || usage.written.load(Relaxed) > many
            || (max_bytes > 0 && usage.written_bytes.load(Relaxed) > max_bytes / 10);
        due && !usage.tidying.swap(true, Relaxed)
    }

    /// Looks at the whole directory, removes what is dead, and culls if there is too much.
    pub(crate) fn tidy(&self, now: UnixMillis) -> Result<(), Error> {
        let done = self.look_and_cull(now);
        self.usage.tidying.store(false, Relaxed);
        done
    }

    fn look_and_cull(&self, now: UnixMillis) -> Result<(), Error> {
        let usage = &self.usage;
        usage.written.store(0, Relaxed);
        usage.written_bytes.store(0, Relaxed);
        usage.looked.store(true, Relaxed);
        let (mut entries, mut dead) = (Vec::new(), Vec::new());
        let an_hour_ago = SystemTime::now().checked_sub(HOUR).unwrap_or(SystemTime::UNIX_EPOCH);
        for shard in self.shards()? {
            for seen in files(&shard)? {
                match seen.kind {
                    Kind::Entry => entries.push(seen),
                    _ if seen.modified > an_hour_ago => {}
                    Kind::Temporary => _ = fs::remove_file(&seen.path),
                    Kind::Record => dead.push(seen),
                }
            }
        }
        // Under their locks, since a record may be written again at any moment.
        dead.retain(|record| self.remove_if(record, |_, expires| is_past(expires, now)));
        let (mut count, mut bytes) = (entries.len() as u64, entries.iter().map(|e| e.size).sum::<u64>());
        if self.limits.exceeded(count, bytes) {
            entries.retain(|entry| {
                let gone = self.remove_if(entry, |_, expires| is_past(expires, now));
                if gone {
                    (count, bytes) = (count - 1, bytes - entry.size);
                }
                !gone
            });
            entries.sort_unstable_by_key(|entry| entry.modified);
            let limits = self.limits.lowered();
            for entry in &entries {
                if !limits.exceeded(count, bytes) {
                    break;
                }
                if self.remove_if(entry, |_, _| true) {
                    (count, bytes) = (count - 1, bytes - entry.size);
                }
            }
        }
        usage.entries.store(count, Relaxed);
        usage.bytes.store(bytes, Relaxed);
        Ok(())
    }

    /// Removes the entries and tag records of the namespace `prefix`. Its own nonce and fence stay.
    pub(crate) fn sweep(&self, prefix: &[u8]) -> Result<(), Error> {
        let keep = [[prefix, b":space:"].concat(), [prefix, b":fence:"].concat()];
        for shard in self.shards()? {
            for seen in files(&shard)?.iter().filter(|seen| seen.kind != Kind::Temporary) {
                let ours = |identity: &[u8]| {
                    identity.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(b":"))
                        && !keep.iter().any(|k| k == identity)
                };
                if self.remove_if(seen, |identity, _| ours(identity)) {
                    self.usage.removed(seen.kind, seen.size);
                }
            }
        }
        Ok(())
    }

    /// Removes a file if it is one of ours and still unreadable or as wanted; true if it is gone. Errors leave it there.
    pub(crate) fn remove_if(
        &self,
        seen: &Seen,
        wanted: impl FnOnce(&[u8], Option<UnixMillis>) -> bool,
    ) -> bool {
        let Some(shard) = seen.path.parent() else { return false };
        let Ok(Some(_lock)) = lock(shard) else { return false };
        match glance(&seen.path) {
            Ok(Glance::Whole { identity, expires, .. }) if !wanted(&identity, expires) => false,
            Ok(Glance::Whole { .. } | Glance::Torn) => fs::remove_file(&seen.path).is_ok(),
            Ok(Glance::Foreign) | Err(_) => false,
        }
    }

    pub(crate) fn shards(&self) -> Result<Vec<PathBuf>, Error> {
        let listed = match fs::read_dir(&self.directory) {
            Ok(listed) => listed,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(failed("list the cache directory")(e)),
        };
        let ours = listed.flatten().filter(|there| {
            there.file_name().to_str().is_some_and(names::is_shard)
                && there.file_type().is_ok_and(|kind| kind.is_dir())
        });
        Ok(ours.map(|there| there.path()).collect())
    }
}

/// Our files in a shard.
pub(crate) fn files(shard: &Path) -> Result<Vec<Seen>, Error> {
    let listed = match fs::read_dir(shard) {
        Ok(listed) => listed,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(failed("list the cache directory")(e)),
    };
    let shard = shard.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let seen = listed.flatten().filter_map(|there| {
        let kind = names::kind(shard, there.file_name().to_str()?)?;
        let about = there.metadata().ok().filter(fs::Metadata::is_file)?;
        Some(Seen { path: there.path(), size: about.len(), modified: about.modified().ok()?, kind })
    });
    Ok(seen.collect())
}

pub(crate) fn is_past(expires: Option<UnixMillis>, now: UnixMillis) -> bool {
    expires.is_some_and(|at| at <= now)
}
