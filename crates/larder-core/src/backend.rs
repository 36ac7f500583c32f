//! What a backend author implements.

use std::fmt;
use std::future::Future;

use crate::clock::UnixMillis;
use crate::entry::Entry;
use crate::error::Error;
use crate::key::{Key, Space};
use crate::protocol;
use crate::tag::{Fill, Nonce, Stamp, Tag};

/// Under which condition [`Backend::set`] stores. An expired entry counts as absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// In any case.
    Always,
    /// Only if there is none (`add`).
    Absent,
    /// Only if there is one.
    Present,
}

/// What a backend is and can do. What it can't do must be said here and by
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported), never by a silent zero.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Capabilities {
    /// Its name in logs, metrics and error texts: `memory`, `redis`.
    pub name: &'static str,
    /// Whether other processes see the same entries.
    pub shared: bool,
    /// Whether reads check stamps themselves, so that what they return is valid.
    pub verifies: bool,
    /// Whether anything that is stored can be read back at all (the dummy's can't).
    pub stores: bool,
    /// Whether it can name what it holds: [`Backend::scan`].
    pub lists: bool,
}

impl Capabilities {
    /// A backend called `name` that other processes share and that leaves checking stamps to the cache: the cache reads by
    /// [`fetch`](Backend::fetch), and compares.
    pub const fn new(name: &'static str) -> Self {
        Self { name, shared: true, verifies: false, stores: true, lists: false }
    }

    /// Only this process sees its entries, and none is older than the process.
    #[must_use]
    pub const fn in_process(mut self) -> Self {
        self.shared = false;
        self
    }

    /// Its reads check stamps, and so do its conditional changes (`add`, `touch`, `incr`, `remove`): an invalidated entry is nothing to
    /// them. [`Remembered`](crate::Remembered) does it for reads.
    #[must_use]
    pub const fn verifying(mut self) -> Self {
        self.verifies = true;
        self
    }

    /// It can name what it holds.
    #[must_use]
    pub const fn listing(mut self) -> Self {
        self.lists = true;
        self
    }

    /// It stores nothing.
    #[must_use]
    pub const fn storing_nothing(mut self) -> Self {
        self.stores = false;
        self
    }
}

/// What one step to the store brought back; see [`Backend::fetch`].
#[derive(Clone, Debug, Default)]
pub struct Fetched {
    /// One for each key asked for, in order; what expired is `None`.
    pub entries: Vec<Option<Entry>>,
    /// The namespace's nonce, if its record is there.
    pub space: Option<Nonce>,
    /// One for each tag asked for, in order.
    pub tags: Vec<Option<Nonce>>,
}

impl Fetched {
    /// What the provided [`fetch`](Backend::fetch) reads: the entries, the namespace's record, those of the tags.
    pub fn asked_for(space: &Space, keys: &[Key], tags: &[Tag]) -> Vec<Key> {
        protocol::asked_for(space, keys, tags)
    }

    /// Out of what stands under [these keys](Self::asked_for), of which the first `keys` are entries'.
    pub fn of(read: Vec<Option<Entry>>, keys: usize) -> Self {
        protocol::fetched(read, keys)
    }
}

/// A part of what a store holds; see [`Backend::scan`].
#[derive(Clone, Debug, Default)]
pub struct Scanned {
    /// Keys of entries that are not expired. Some may have been invalidated; none comes twice in one walk unless the
    /// store's own cursor gives it twice.
    pub keys: Vec<Key>,
    /// Where to go on; `None` at the end. Only the backend that gave it understands it.
    pub next: Option<String>,
}

/// A place to keep entries. Authors write `async fn`s; core erases the type once, and nothing above is generic
/// over it.
///
/// Required are five operations, each one step. The provided ones build everything else out of them, correctly if not atomically;
/// a backend overrides those that its server does better.
///
/// - `now` is the time of the cache's clock, in milliseconds since the epoch. An entry whose
///   [`expires`](Entry::expires) is not after `now` is absent, whatever the server thinks.
/// - Nothing here retries or waits for long: the cache above bounds each call by its deadline.
///
/// # Cancel safety
/// Every method may be dropped at any point; a `set` that was dropped has stored the whole entry or nothing.
pub trait Backend: fmt::Debug + Send + Sync + 'static {
    /// What it is and can do.
    fn capabilities(&self) -> Capabilities;

    /// The entry under `key`. What can't be decoded is a miss, and removed.
    fn get(&self, key: &Key, now: UnixMillis) -> impl Future<Output = Result<Option<Entry>, Error>> + Send;

    /// Stores an entry, whole or not at all; true if it did. An entry that is already expired removes what was
    /// there and is counted as stored.
    fn set(
        &self,
        key: &Key,
        entry: Entry,
        when: When,
        now: UnixMillis,
    ) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Removes an entry; true if there was one.
    fn remove(&self, key: &Key, now: UnixMillis) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Removes every entry of a namespace and none outside it. Entries stored by fills that began before are
    /// never valid afterwards.
    fn clear(&self, space: &Space, now: UnixMillis) -> impl Future<Output = Result<(), Error>> + Send;

    /// The entry under `key`, if this backend can tell without waiting: `None` means *ask [`get`](Self::get)*.
    fn get_now(&self, _key: &Key, _now: UnixMillis) -> Option<Option<Entry>> {
        None
    }

    /// Several entries in one step.
    fn get_many(
        &self,
        keys: &[Key],
        now: UnixMillis,
    ) -> impl Future<Output = Result<Vec<Option<Entry>>, Error>> + Send {
        async move {
            let mut found = Vec::with_capacity(keys.len());
            for key in keys {
                found.push(self.get(key, now).await?);
            }
            Ok(found)
        }
    }

    /// Stores several entries, in one step where the store can. Those it refuses (one that is too large, say) are returned by their
    /// place with the reason; the others are stored.
    ///
    /// # Errors
    /// If the store can't be reached: some may be stored.
    fn set_many(
        &self,
        entries: Vec<(Key, Entry)>,
        now: UnixMillis,
    ) -> impl Future<Output = Result<Vec<(usize, Error)>, Error>> + Send {
        async move {
            let mut refused = Vec::new();
            for (place, (key, entry)) in entries.into_iter().enumerate() {
                match self.set(&key, entry, When::Always, now).await {
                    Ok(_) => {}
                    Err(error) if error.kind().is_outage() => return Err(error),
                    Err(error) => refused.push((place, error)),
                }
            }
            Ok(refused)
        }
    }

    /// Removes several entries, in one step where the store can; how many there were.
    fn remove_many(
        &self,
        keys: &[Key],
        now: UnixMillis,
    ) -> impl Future<Output = Result<usize, Error>> + Send {
        async move {
            let mut removed = 0;
            for key in keys {
                removed += usize::from(self.remove(key, now).await?);
            }
            Ok(removed)
        }
    }

    /// Replaces the entry under `key` by `with`, or removes it for `None`, if its value is `expected`; true if it did. In one step:
    /// what locks and leases stand on.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) if the backend can't do it atomically.
    fn compare_and_set(
        &self,
        _key: &Key,
        _expected: &[u8],
        _with: Option<Entry>,
        _now: UnixMillis,
    ) -> impl Future<Output = Result<bool, Error>> + Send {
        let name = self.capabilities().name;
        async move { Err(Error::unsupported(format!("the {name} backend can't compare and set atomically"))) }
    }

    /// A part of the keys whose [`name`](Key::name) begins with `front`, which is within the namespace: about `limit` of them,
    /// going on at `after`. What stands there during the whole walk is given; what comes or goes meanwhile may be. Never blocks the
    /// store for others.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) if the backend can't list.
    fn scan(
        &self,
        _space: &Space,
        _front: &str,
        _after: Option<&str>,
        _limit: usize,
        _now: UnixMillis,
    ) -> impl Future<Output = Result<Scanned, Error>> + Send {
        let name = self.capabilities().name;
        async move { Err(Error::unsupported(format!("the {name} backend can't list its keys"))) }
    }

    /// Several entries, and what is needed to check them, in one step. It checks nothing itself.
    ///
    /// What it tells of the records must have been so at some time after the call began.
    fn fetch(
        &self,
        space: &Space,
        keys: &[Key],
        tags: &[Tag],
        now: UnixMillis,
    ) -> impl Future<Output = Result<Fetched, Error>> + Send {
        protocol::fetch(self, space, keys, tags, now)
    }

    /// When `entry`, which was just read from under `key`, expires. For a backend whose server keeps the expiry of some entries (bare
    /// integers that it can count) and does not give it with them; all others let the entry say it.
    fn expiry(
        &self,
        _key: &Key,
        entry: &Entry,
        _now: UnixMillis,
    ) -> impl Future<Output = Result<Option<UnixMillis>, Error>> + Send {
        let expires = entry.expires();
        async move { Ok(expires) }
    }

    /// Gives an entry another expiry; false if there is none.
    ///
    /// In one step: reading and writing again would let a tag record that an invalidation has just renewed come back with its old
    /// nonce, since [`seal`](Self::seal) prolongs tag records with this.
    fn touch(
        &self,
        key: &Key,
        expires: Option<UnixMillis>,
        now: UnixMillis,
    ) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Adds to an integer, keeping its expiry; `None` if there is no entry.
    ///
    /// # Errors
    /// [`Value`](crate::ErrorKind::Value) if it is not an integer or would overflow;
    /// [`Unsupported`](crate::ErrorKind::Unsupported) if the backend can't do it atomically.
    fn incr(
        &self,
        _key: &Key,
        _delta: i64,
        _now: UnixMillis,
    ) -> impl Future<Output = Result<Option<i64>, Error>> + Send {
        let name = self.capabilities().name;
        async move { Err(Error::unsupported(format!("the {name} backend can't count atomically"))) }
    }

    /// Begins a fill: reads the namespace's nonce, its fence, and the nonces of the tags known by now.
    fn begin(
        &self,
        space: &Space,
        tags: &[Tag],
        now: UnixMillis,
    ) -> impl Future<Output = Result<Fill, Error>> + Send {
        protocol::begin(self, space, tags, now)
    }

    /// Begins a fill without waiting, if this backend can.
    fn begin_now(&self, _space: &Space, _tags: &[Tag]) -> Option<Fill> {
        None
    }

    /// Ends a fill: the stamp of its entry, with the tags learned meanwhile, or `None` if it must not be stored
    /// because an invalidation came between. `until` is when the entry expires; tag records live at least as long.
    fn seal(
        &self,
        space: &Space,
        fill: &Fill,
        late: &[Tag],
        until: Option<UnixMillis>,
        now: UnixMillis,
    ) -> impl Future<Output = Result<Option<Stamp>, Error>> + Send {
        protocol::seal(self, space, fill, late, until, now)
    }

    /// Whether a stamp is still valid.
    fn is_current(
        &self,
        space: &Space,
        stamp: &Stamp,
        now: UnixMillis,
    ) -> impl Future<Output = Result<bool, Error>> + Send {
        protocol::is_current(self, space, stamp, now)
    }

    /// Invalidates tags: once this returned `Ok`, no entry that carries one of them and whose fill began before the
    /// call is valid. After an error the outcome is unknown; the call may be repeated.
    ///
    /// Of tags of [groups](Tag::is_group), the records need not be looked at for each entry: this turns the namespace's nonce with them
    /// ([`Stamp::deciding`]).
    fn invalidate(
        &self,
        space: &Space,
        tags: &[Tag],
        now: UnixMillis,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        protocol::invalidate(self, space, tags, now)
    }

    /// Marks tags as stale: once this returned `Ok`, every entry that carries one of them and whose fill began before the call is read as
    /// [stale](Entry::stale_since), and counts as absent to whoever stores on a condition. After an error the outcome is unknown; the call may
    /// be repeated.
    ///
    /// What this provides invalidates where the backend can't [compare and set](Self::compare_and_set).
    fn soften(
        &self,
        space: &Space,
        tags: &[Tag],
        now: UnixMillis,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        protocol::soften(self, space, tags, now)
    }

    /// Whether the store answers.
    fn ping(&self) -> impl Future<Output = Result<(), Error>> + Send {
        async { Ok(()) }
    }

    /// Lets go of connections and tasks. The backend may be used again afterwards.
    fn close(&self) -> impl Future<Output = Result<(), Error>> + Send {
        async { Ok(()) }
    }
}
