//! Reading and writing files, on whatever thread calls. A change is made under its shard's lock, which other processes
//! respect too; a read needs none, since a file is replaced by renaming.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind as Io, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use larder_core::{Entry, Error, ErrorKind, Key, UnixMillis, Value, When};
use tempfile::NamedTempFile;

use crate::format::{self, Content};
use crate::names::{Kind, Place};
use crate::sweep::Sweep;
use crate::tidy::{Limits, Usage};

/// How often a directory that somebody removes under our hands is made again within one write.
const TRIES: usize = 5;

#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) directory: PathBuf,
    pub(crate) limits: Limits,
    pub(crate) usage: Usage,
    pub(crate) sweep: Sweep,
    fsync: bool,
}

/// Says of an entry whether it was invalidated. Asked while a shard is locked, so it locks none.
pub(crate) type Check<'a> = &'a dyn Fn(&Entry) -> Result<bool, Error>;

/// What stands under a key.
enum Found {
    Entry(Entry),
    /// Expired, invalid or unreadable: absent, and in the way.
    Waste,
    /// Nothing, or somebody else's.
    Nothing,
}

impl Disk {
    pub(crate) fn new(directory: PathBuf, limits: Limits, sweep: Sweep, fsync: bool) -> Self {
        Self { directory, limits, usage: Usage::default(), sweep, fsync }
    }

    /// The entry under `key`, whether or not it was invalidated. Removes nothing and locks nothing.
    pub(crate) fn peek(&self, key: &Key, now: UnixMillis) -> Result<Option<Entry>, Error> {
        let place = Place::of(&self.directory, key);
        match look(&place.path, key, now, &|_| Ok(true))? {
            Found::Entry(entry) => Ok(Some(entry)),
            Found::Waste | Found::Nothing => Ok(None),
        }
    }

    /// The entry under `key`. What is expired, invalid or unreadable is removed.
    pub(crate) fn read(&self, key: &Key, now: UnixMillis, valid: Check<'_>) -> Result<Option<Entry>, Error> {
        let place = Place::of(&self.directory, key);
        match look(&place.path, key, now, valid)? {
            Found::Entry(entry) => return Ok(Some(entry)),
            Found::Nothing => return Ok(None),
            Found::Waste => {}
        }
        // Once more, now that nobody can put a new one there meanwhile.
        let Some(_lock) = lock(&place.shard)? else { return Ok(None) };
        match look(&place.path, key, now, valid)? {
            Found::Entry(entry) => Ok(Some(entry)),
            Found::Nothing => Ok(None),
            Found::Waste => self.unlink(&place).map(|()| None),
        }
    }

    pub(crate) fn write(
        &self,
        key: &Key,
        entry: &Entry,
        when: When,
        now: UnixMillis,
        valid: Check<'_>,
    ) -> Result<bool, Error> {
        let place = Place::of(&self.directory, key);
        let parts = if entry.is_expired(now) { None } else { Some(format::encode(key.identity(), entry)?) };
        let size = parts.iter().flatten().map(|part| part.len() as u64).sum();
        if self.limits.max_bytes > 0 && size > self.limits.max_bytes && place.kind == Kind::Entry {
            self.remove(key, now, valid)?;
            let text = format!(
                "the entry takes {size} bytes, and all entries together may take {}",
                self.limits.max_bytes
            );
            return Err(Error::new(ErrorKind::TooLarge, text));
        }
        // Written before the lock is taken, so that nobody waits for a disk.
        let new = parts.map(|parts| self.temporary(&place, &parts)).transpose()?;
        let Some(_lock) = self.lock_or_make(&place.shard)? else { return Ok(false) };
        let found = match when {
            When::Always => None,
            When::Absent | When::Present => Some(look(&place.path, key, now, valid)?),
        };
        match (when, &found) {
            (When::Absent, Some(Found::Entry(_))) | (When::Present, Some(Found::Nothing | Found::Waste)) => {
                return Ok(false);
            }
            (When::Absent, Some(Found::Waste)) => self.unlink(&place)?,
            _ => {}
        }
        let Some(new) = new else {
            self.unlink(&place)?;
            return Ok(true);
        };
        self.place(&place, new, size, when == When::Absent)
    }

    pub(crate) fn remove(&self, key: &Key, now: UnixMillis, valid: Check<'_>) -> Result<bool, Error> {
        let place = Place::of(&self.directory, key);
        let Some(_lock) = lock(&place.shard)? else { return Ok(false) };
        match look(&place.path, key, now, valid)? {
            Found::Nothing => Ok(false),
            Found::Waste => self.unlink(&place).map(|()| false),
            Found::Entry(_) => self.unlink(&place).map(|()| true),
        }
    }

    pub(crate) fn touch(
        &self,
        key: &Key,
        expires: Option<UnixMillis>,
        now: UnixMillis,
        valid: Check<'_>,
    ) -> Result<bool, Error> {
        let done = self.change(key, now, valid, |entry| Ok(Some((Some(entry.with_expiry(expires)), ()))))?;
        Ok(done.is_some())
    }

    /// Replaces or removes an entry if its value is `expected`.
    pub(crate) fn replace(
        &self,
        key: &Key,
        expected: &[u8],
        with: Option<&Entry>,
        now: UnixMillis,
        valid: Check<'_>,
    ) -> Result<bool, Error> {
        let done = self.change(key, now, valid, |entry| {
            let same = entry.value().to_bytes()? == expected;
            Ok(same.then(|| (with.cloned(), ())))
        })?;
        Ok(done.is_some())
    }

    pub(crate) fn incr(
        &self,
        key: &Key,
        delta: i64,
        now: UnixMillis,
        valid: Check<'_>,
    ) -> Result<Option<i64>, Error> {
        self.change(key, now, valid, |entry| {
            let number = integer(&entry.value().to_bytes()?)
                .ok_or_else(|| Error::new(ErrorKind::Value, "the stored value is not an integer"))?;
            let sum = number
                .checked_add(delta)
                .ok_or_else(|| Error::new(ErrorKind::Value, "the sum does not fit 64 bits"))?;
            Ok(Some((Some(entry.with_value(Value::Bytes(sum.to_string().into()))), sum)))
        })
    }

    /// Replaces an entry by what `how` makes of it, in one step: another entry, none, or (if it gives nothing at all) what it is.
    fn change<T>(
        &self,
        key: &Key,
        now: UnixMillis,
        valid: Check<'_>,
        how: impl FnOnce(&Entry) -> Result<Option<(Option<Entry>, T)>, Error>,
    ) -> Result<Option<T>, Error> {
        let place = Place::of(&self.directory, key);
        let Some(_lock) = lock(&place.shard)? else { return Ok(None) };
        let Found::Entry(entry) = look(&place.path, key, now, valid)? else { return Ok(None) };
        let Some((entry, result)) = how(&entry)? else { return Ok(None) };
        let Some(entry) = entry.filter(|entry| !entry.is_expired(now)) else {
            self.unlink(&place)?;
            return Ok(Some(result));
        };
        let parts = format::encode(key.identity(), &entry)?;
        let size = parts.iter().map(|part| part.len() as u64).sum();
        let new = self.temporary(&place, &parts)?;
        self.place(&place, new, size, false)?;
        Ok(Some(result))
    }

    /// Whether the directory can be written.
    pub(crate) fn probe(&self) -> Result<(), Error> {
        make(&self.directory)?;
        tempfile::tempfile_in(&self.directory).map_err(failed("write to the cache directory"))?;
        Ok(())
    }

    /// Writes a file beside the one that it is to become.
    fn temporary(&self, place: &Place, parts: &[Bytes]) -> Result<NamedTempFile, Error> {
        let prefix = format!("{}.tmp-", place.hash);
        let create = || tempfile::Builder::new().prefix(&prefix).rand_bytes(12).tempfile_in(&place.shard);
        let mut file = again(&place.shard, create)?;
        let write = parts.iter().try_for_each(|part| file.write_all(part));
        write.map_err(failed("write an entry"))?;
        if self.fsync {
            file.as_file().sync_all().map_err(failed("sync an entry"))?;
        }
        Ok(file)
    }

    /// Puts a written file in its place; false if `only_new` and there is one. The shard is locked.
    fn place(&self, place: &Place, new: NamedTempFile, size: u64, only_new: bool) -> Result<bool, Error> {
        let before = fs::metadata(&place.path).ok().map(|old| old.len());
        // Where the file system can't lock, not replacing is all that `add` has.
        let placed = if only_new { new.persist_noclobber(&place.path) } else { new.persist(&place.path) };
        match placed {
            Ok(_) => {}
            Err(e) if only_new && e.error.kind() == Io::AlreadyExists => return Ok(false),
            // The directory was removed since: what was in it is gone, and so is this.
            Err(e) if e.error.kind() == Io::NotFound => return Ok(true),
            Err(e) => return Err(failed("store an entry")(e.error)),
        }
        if self.fsync && cfg!(unix) {
            let shard = File::open(&place.shard).and_then(|shard| shard.sync_all());
            shard.map_err(failed("sync the cache directory"))?;
        }
        self.usage.wrote(place.kind, before, size);
        Ok(true)
    }

    fn unlink(&self, place: &Place) -> Result<(), Error> {
        let size = fs::metadata(&place.path).map_or(0, |file| file.len());
        match fs::remove_file(&place.path) {
            Ok(()) => self.usage.removed(place.kind, size),
            Err(e) if e.kind() == Io::NotFound => {}
            Err(e) => return Err(failed("remove an entry")(e)),
        }
        Ok(())
    }

    /// The lock of a shard that is made if need be; `None` if somebody keeps removing it.
    fn lock_or_make(&self, shard: &Path) -> Result<Option<Lock>, Error> {
        for _ in 0..TRIES {
            if let Some(lock) = lock(shard)? {
                return Ok(Some(lock));
            }
            make(shard)?;
        }
        Ok(None)
    }
}

/// A shard's lock, until dropped. Threads exclude each other like processes, since each opens the file anew.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "closing it unlocks")] File);

/// Locks a shard; `None` if there is no such directory.
pub(crate) fn lock(shard: &Path) -> Result<Option<Lock>, Error> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = match options.open(shard.join(".lock")) {
        Ok(file) => file,
        Err(e) if e.kind() == Io::NotFound => return Ok(None),
        Err(e) => return Err(failed("open the cache directory's lock")(e)),
    };
    match file.lock() {
        Ok(()) => Ok(Some(Lock(file))),
        // Some network file systems; `add` still has its rename that replaces nothing.
        Err(e) if e.kind() == Io::Unsupported => Ok(Some(Lock(file))),
        Err(e) => Err(failed("lock the cache directory")(e)),
    }
}

fn look(path: &Path, key: &Key, now: UnixMillis, valid: Check<'_>) -> Result<Found, Error> {
    let bytes = match fs::read(path) {
        Ok(bytes) => Bytes::from(bytes),
        Err(e) if matches!(e.kind(), Io::NotFound | Io::NotADirectory) => return Ok(Found::Nothing),
        Err(e) => return Err(failed("read an entry")(e)),
    };
    Ok(match format::decode(&bytes, key.identity()) {
        Content::Entry(entry) if !entry.is_expired(now) && valid(&entry)? => Found::Entry(entry),
        Content::Entry(_) | Content::Garbage => Found::Waste,
        Content::Other => Found::Nothing,
    })
}

/// Does something in a directory, making it if it is not there.
fn again<T>(directory: &Path, mut what: impl FnMut() -> io::Result<T>) -> Result<T, Error> {
    let mut tries = 0;
    loop {
        match what() {
            Err(e) if e.kind() == Io::NotFound && tries < TRIES => {
                tries += 1;
                make(directory)?;
            }
            done => return done.map_err(failed("make a file in the cache directory")),
        }
    }
}

fn make(directory: &Path) -> Result<(), Error> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory).map_err(|error| {
        let text = format!(
            "the file cache could not make the directory {:?}: {error}; the one it is in has to be writable for this user",
            directory.display()
        );
        Error::new(ErrorKind::Backend, text).with_source(error)
    })
}

pub(crate) fn failed(what: &'static str) -> impl Fn(io::Error) -> Error {
    move |error| {
        Error::new(ErrorKind::Backend, format!("the file cache could not {what}: {error}")).with_source(error)
    }
}

/// An integer as JSON writes it: no plus sign, no leading zeros, no spaces.
fn integer(bytes: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(bytes).ok()?;
    let digits = text.strip_prefix('-').unwrap_or(text);
    let bare = digits == "0" || (!digits.starts_with(['0', '+']) && !digits.is_empty());
    if bare { text.parse().ok() } else { None }
}
