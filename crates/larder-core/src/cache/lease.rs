//! Leases: of the processes that share a store, one makes a thing at a time, and the others wait for what it stores.
//!
//! A lease is an entry of the store, held by a token, gone by itself. Whoever holds it renews it while the making goes on
//! ([`Lease`]), and leaves a word when it ends: that the thing was stored, or that it can't be shared. The others come
//! by and read that word ([`LeaseRequest::turn`]).
//!
//! It saves work and promises nothing: a store that was emptied, a clock that is wrong, a holder that slept too long, and two
//! make the same thing. What must not come of that is that the older of the two stands last, so who stores asks the lease first
//! ([`Lease::standing`]) and once more afterwards.

mod word;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use super::lock::jittered;
use super::own_leases::{OwnLease, Since};
use super::{Cache, lock};
use crate::backend::{Backend, When};
use crate::clock::{UnixMillis, millis};
use crate::entry::{Entry, Value};
use crate::error::{Error, ErrorKind};
use crate::events::Operation;
use crate::key::Key;
use crate::tag::{Fill, Nonce, Stamp};

use word::Word;

/// How long a lease lives for which nothing is said.
pub(super) const LEASE: Duration = Duration::from_secs(5);
/// How long it is remembered that something was made: longer than anybody takes from looking for it to asking for the lease.
const MADE_MILLIS: u64 = 1_000;
/// Between one look at another's lease and the next.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// How often somebody else may be quicker before we go without.
const TRIES: usize = 8;
/// The kind of the keys of leases.
const KIND: &str = "lease";

impl Cache {
    /// Asks for the lease of what is made under `key` by `fill`; `None` where there are none: a store of this process alone, one
    /// that stores nothing or can't compare and set, a cache whose [`lease`](crate::CacheBuilder::lease) is zero, no runtime.
    ///
    /// Nobody renews a lease for longer than `max_fill`.
    pub fn lease(&self, key: &Key, fill: &Fill, max_fill: Duration) -> Option<LeaseRequest> {
        let inner = &*self.inner;
        let possible = self.shares_fills()
            && inner.leases.get() != Some(&false)
            && tokio::runtime::Handle::try_current().is_ok();
        possible.then(|| LeaseRequest {
            cache: self.clone(),
            key: self.lease_key(key),
            token: lock::token(),
            knows: known(fill),
            space: fill.space(),
            max_fill,
            seen: None,
        })
    }

    /// Whether processes that share the store wait for each other's fills.
    pub fn shares_fills(&self) -> bool {
        let inner = &*self.inner;
        inner.capabilities.shared && inner.capabilities.stores && !inner.lease.is_zero()
    }

    /// Takes back that what is made under `key` can't be shared.
    ///
    /// # Errors
    /// What the backend gives, and [`Deadline`](ErrorKind::Deadline).
    pub async fn unpass(&self, key: &Key) -> Result<(), Error> {
        let key = self.lease_key(key);
        if let Some((there, Word::Pass(_))) = self.read_lease(&key).await? {
            self.swap_lease(&key, &there, None).await?;
        }
        Ok(())
    }

    pub(super) fn lease_key(&self, key: &Key) -> Key {
        let mut builder = self.key_builder(KIND);
        builder.part(key.identity());
        builder.build()
    }

    async fn read_lease(&self, key: &Key) -> Result<Option<(Bytes, Word)>, Error> {
        let inner = &*self.inner;
        let now = inner.clock.now();
        let Some(entry) = self.within(Operation::Get, inner.backend.get(key, now)).await? else {
            return Ok(None);
        };
        let bytes = entry.value().to_bytes()?;
        let word = Word::parse(&bytes);
        Ok(Some((bytes, word)))
    }

    pub(super) async fn swap_lease(
        &self,
        key: &Key,
        there: &[u8],
        with: Option<Entry>,
    ) -> Result<bool, Error> {
        let inner = &*self.inner;
        let swap = inner.backend.compare_and_set(key, there, with, inner.clock.now());
        self.within(Operation::CompareAndSet, swap).await
    }
}

/// Whether a key of this name is a lease's: they are nobody's values.
pub(super) fn is_lease(name: &str) -> bool {
    let hash = name.strip_prefix(KIND).and_then(|rest| rest.strip_prefix('.'));
    hash.is_some_and(|hash| hash.len() == 40 && hash.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// What a fill knew when it began, in short: a fill that knows something else of the same tags is older or newer.
fn known(fill: &Fill) -> String {
    let mut pairs: Vec<(&str, u128)> =
        fill.captured().iter().map(|(tag, nonce)| (tag.as_str(), nonce.as_u128())).collect();
    pairs.sort_unstable();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&fill.space().as_u128().to_le_bytes());
    for (tag, nonce) in pairs {
        hasher.update(&(tag.len() as u64).to_le_bytes()).update(tag.as_bytes()).update(&nonce.to_le_bytes());
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

/// Somebody who wants a lease; see [`Cache::lease`].
#[must_use = "nothing is asked yet"]
pub struct LeaseRequest {
    cache: Cache,
    key: Key,
    token: Bytes,
    knows: String,
    space: Nonce,
    max_fill: Duration,
    /// What stood in its place before the asker last looked for what it wants to make.
    seen: Option<Bytes>,
}

/// What came of asking once.
enum Asked {
    Turn(Turn),
    /// Somebody else has it, and this stands there.
    Held(Bytes),
}

/// Lets a lease go for which was asked, and of which nobody will know whether it was given.
struct Unsure<'a>(Option<&'a LeaseRequest>);

impl Unsure<'_> {
    fn settle(mut self) {
        self.0 = None;
    }
}

impl Drop for Unsure<'_> {
    fn drop(&mut self) {
        let Some(request) = self.0 else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (cache, key, text) = (request.cache.beside_requests(), request.key.clone(), request.text());
        runtime.spawn(async move {
            // Whatever goes wrong here, it expires.
            _ = cache.swap_lease(&key, &text, None).await;
        });
    }
}

/// Whose turn it is.
#[derive(Debug)]
pub enum Turn {
    /// The asker's: make it.
    Lead(Lease),
    /// It was somebody else's: look whether it was made, and if it is not there, ask again.
    Look,
    /// What was made can't be shared: until then, everybody makes their own.
    Pass(UnixMillis),
}

impl LeaseRequest {
    /// Whose turn is it? Mostly one step. While it is somebody else's, waits, however long that takes.
    ///
    /// # Errors
    /// What the backend gives, and [`Deadline`](ErrorKind::Deadline): go on without a lease.
    ///
    /// # Cancel safety
    /// If dropped, the lease is let go if it came to be ours, or expires.
    pub async fn turn(&mut self) -> Result<Turn, Error> {
        match self.ask().await? {
            Asked::Turn(turn) => Ok(turn),
            Asked::Held(held) => {
                self.seen = self.wait(&held).await?;
                Ok(Turn::Look)
            }
        }
    }

    /// The same for who does not wait: `None` while it is somebody else's.
    ///
    /// # Errors
    /// As [`turn`](Self::turn).
    ///
    /// # Cancel safety
    /// As [`turn`](Self::turn).
    pub async fn turn_now(&mut self) -> Result<Option<Turn>, Error> {
        match self.ask().await? {
            Asked::Turn(turn) => Ok(Some(turn)),
            Asked::Held(_) => Ok(None),
        }
    }

    async fn ask(&mut self) -> Result<Asked, Error> {
        if !self.can_be_let_go().await? {
            return Err(Error::unsupported("this backend can't compare and set, so it knows no leases"));
        }
        let mut there = self.seen.take();
        for _ in 0..TRIES {
            let since = Since::now(self.cache.clock());
            // Dropped here, we may hold it without knowing.
            let unsure = Unsure(Some(self));
            let ours = match &there {
                Some(there) => self.cache.swap_lease(&self.key, there, Some(self.entry())).await,
                None => self.add().await,
            };
            unsure.settle();
            let ours = ours?;
            if ours {
                return Ok(Asked::Turn(Turn::Lead(self.held(since))));
            }
            there = match self.cache.read_lease(&self.key).await? {
                None => None,
                Some((held, Word::Held(_, knows))) if knows == self.knows => {
                    // This process has let it go, and the store does not know yet.
                    let ending = self.cache.inner.held.ending(&held);
                    let Some(ending) = ending else { return Ok(Asked::Held(held)) };
                    ending.await;
                    None
                }
                Some((made, Word::Made(knows))) if knows == self.knows => {
                    self.seen = Some(made);
                    return Ok(Asked::Turn(Turn::Look));
                }
                Some((_, Word::Pass(until))) if until > self.now() => {
                    return Ok(Asked::Turn(Turn::Pass(until)));
                }
                // What it knew of its tags is not so any more: nobody will be given what comes of it.
                Some((past, _)) => Some(past),
            };
        }
        Err(Error::new(ErrorKind::Busy, "others were quicker each time this lease was asked for"))
    }

    /// Waits until a lease is not held any more, or not by the same; gives what says that the thing was made.
    async fn wait(&self, held: &Bytes) -> Result<Option<Bytes>, Error> {
        let mut pause = FIRST_PAUSE;
        loop {
            let this_time = jittered(pause);
            // Its holder lets go in its own time, also where the cache's clock stands until a test moves it.
            tokio::select! {
                () = self.cache.clock().sleep(this_time) => {}
                () = tokio::time::sleep(this_time) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            // It is the other's making that takes long, not the store: the request is not charged with each look.
            let looking = self.cache.with_the_same_patience();
            match looking.read_lease(&self.key).await {
                Ok(Some((there, Word::Held(..)))) if there == *held => {}
                Ok(there) => {
                    let made = there.filter(|(_, word)| matches!(word, Word::Made(_)));
                    return Ok(made.map(|(made, _)| made));
                }
                Err(error) => {
                    self.cache.lose_patience();
                    return Err(error);
                }
            }
        }
    }

    fn now(&self) -> UnixMillis {
        self.cache.inner.clock.now()
    }

    async fn add(&self) -> Result<bool, Error> {
        let inner = &*self.cache.inner;
        let add = inner.backend.set(&self.key, self.entry(), When::Absent, self.now());
        self.cache.within(Operation::CompareAndSet, add).await
    }

    /// Who could not let it go must not take it. Found out once for each cache; nobody has this token.
    async fn can_be_let_go(&self) -> Result<bool, Error> {
        let leases = &self.cache.inner.leases;
        if let Some(can) = leases.get() {
            return Ok(*can);
        }
        let can = match self.cache.swap_lease(&self.key, &self.token, None).await {
            Ok(_) => true,
            Err(error) if error.kind() == ErrorKind::Unsupported => false,
            Err(error) => return Err(error),
        };
        Ok(*leases.get_or_init(|| can))
    }

    fn text(&self) -> Bytes {
        format!("held {} {}", String::from_utf8_lossy(&self.token), self.knows).into()
    }

    fn entry(&self) -> Entry {
        entry(&self.cache, self.space, self.text(), millis(self.cache.inner.lease))
    }

    fn held(&self, since: Since) -> Lease {
        let (end, ended) = oneshot::channel();
        let keeper = Keeper {
            // It outlives the request.
            cache: self.cache.beside_requests(),
            key: self.key.clone(),
            text: self.text(),
            token: self.token.clone(),
            knows: self.knows.clone(),
            space: self.space,
        };
        let (key, text, end) = (self.key.clone(), keeper.text.clone(), Mutex::new(Some(end)));
        let (own, gone) = self.cache.inner.held.enter(text.clone(), since);
        let lease = Lease(Arc::new(Held { key, text, space: self.space, end, own: Arc::clone(&own) }));
        let max_fill = self.max_fill;
        tokio::spawn(async move {
            let _leaving = Leaving { cache: keeper.cache.clone(), text: keeper.text.clone(), _gone: gone };
            keeper.keep(ended, max_fill, &own).await;
        });
        lease
    }
}

impl fmt::Debug for LeaseRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseRequest").field("key", &self.key).finish_non_exhaustive()
    }
}

fn entry(cache: &Cache, space: Nonce, text: Bytes, lives: u64) -> Entry {
    let expires = cache.inner.clock.now().saturating_add(lives);
    Entry::new(Value::Bytes(text), Some(expires), Stamp::untagged(space))
}

/// A lease that is held, and renewed until it is let go. Clones are one. Dropped without a word, it is free: the next in line makes the
/// thing.
#[must_use = "a lease that is dropped is let go"]
#[derive(Clone)]
pub struct Lease(Arc<Held>);

struct Held {
    key: Key,
    text: Bytes,
    space: Nonce,
    end: Mutex<Option<oneshot::Sender<End>>>,
    own: Arc<OwnLease>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.own.ended.store(true, Ordering::SeqCst);
    }
}

/// Takes a lease out of the process's own, however its keeper ends.
struct Leaving {
    cache: Cache,
    text: Bytes,
    _gone: watch::Sender<()>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.cache.inner.held.leave(&self.text);
    }
}

/// What is left in the place of a lease.
#[derive(Debug)]
enum End {
    /// That it was made, and what is to be removed if somebody else had taken over by then.
    Made(Vec<Key>),
    /// That it can't be shared.
    Pass(UnixMillis),
    /// Nothing; and what stands there by now, which is removed if the lease was taken back before.
    Stored(Box<(Key, Bytes)>),
}

/// How a lease stands when its holder is about to store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is held still.
    Held,
    /// It expired, and nobody else asked for it, or they are done.
    Expired,
    /// Somebody else has taken over: what comes of ours is the older one.
    TakenOver,
}

impl Lease {
    /// Under which key it stands, for who looks at it in a step of their own; see [`standing`](Self::standing).
    pub fn key(&self) -> &Key {
        &self.0.key
    }

    /// How it stands, by what was found under its [key](Self::key).
    pub fn standing(&self, found: Option<&Entry>) -> Standing {
        let Some(found) = found.filter(|entry| entry.stamp().space == self.0.space) else {
            return Standing::Expired;
        };
        match found.value().to_bytes() {
            Ok(there) if there == self.0.text => Standing::Held,
            _ => Standing::TakenOver,
        }
    }

    /// Lets it go: the thing was stored under these keys. If somebody else had taken over before that was done, what stands there
    /// may be the older of two, and is removed.
    pub fn made(&self, stored: Vec<Key>) {
        self.end(End::Made(stored));
    }

    /// Lets it go: what was made can't be shared, and nobody should wait for it until then.
    pub fn pass(&self, until: UnixMillis) {
        self.end(End::Pass(until));
    }

    /// Whether it surely stands, if nobody has taken it away.
    pub(super) fn must_stand(&self, cache: &Cache) -> bool {
        self.0.own.renewed.lock().is_within(cache.inner.lease, cache.clock())
    }

    /// Lets it go: this value was stored. If it had been taken back by then, whoever did that knows better, and the value is removed.
    pub(super) fn stored(&self, key: &Key, value: Bytes) {
        self.end(End::Stored(Box::new((key.clone(), value))));
    }

    fn end(&self, end: End) {
        if let Some(sender) = self.0.end.lock().take() {
            self.0.own.ended.store(true, Ordering::SeqCst);
            // The keeper is gone with its runtime: the lease expires.
            _ = sender.send(end);
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("key", &self.0.key).finish_non_exhaustive()
    }
}

/// Renews a lease while it is held, and lets it go.
struct Keeper {
    cache: Cache,
    key: Key,
    text: Bytes,
    token: Bytes,
    knows: String,
    space: Nonce,
}

impl Keeper {
    async fn keep(self, mut ended: oneshot::Receiver<End>, max_fill: Duration, own: &OwnLease) {
        let lives = self.cache.inner.lease;
        let began = self.cache.inner.clock.now();
        let end = loop {
            let clock = self.cache.inner.clock.clone();
            tokio::select! {
                end = &mut ended => break end,
                () = clock.sleep(lives / 3) => {}
            }
            let spent = clock.now().saturating_sub(began);
            if spent >= millis(max_fill) {
                break ended.await;
            }
            let with = entry(&self.cache, self.space, self.text.clone(), millis(lives));
            let since = Since::now(&clock);
            match self.cache.swap_lease(&self.key, &self.text, Some(with)).await {
                Ok(true) => *own.renewed.lock() = since,
                Ok(false) => break ended.await,
                // There may be time for another try.
                Err(_) => {}
            }
        };
        // Whatever goes wrong here, it expires.
        _ = self.let_go(end.ok(), own).await;
    }

    async fn let_go(&self, end: Option<End>, own: &OwnLease) -> Result<(), Error> {
        let token = String::from_utf8_lossy(&self.token);
        let with = match &end {
            None | Some(End::Stored(..)) => None,
            Some(End::Made(_)) => {
                let text = format!("made {token} {}", self.knows);
                Some(entry(&self.cache, self.space, text.into(), MADE_MILLIS))
            }
            Some(End::Pass(until)) => {
                let lives = until.saturating_sub(self.cache.inner.clock.now());
                Some(entry(&self.cache, self.space, format!("pass {until}").into(), lives))
            }
        };
        if self.cache.swap_lease(&self.key, &self.text, with).await? {
            return Ok(());
        }
        let stood = own.renewed.lock().is_within(self.cache.inner.lease, &self.cache.inner.clock);
        match end {
            Some(End::Made(stored)) if self.cache.read_lease(&self.key).await?.is_some() => {
                for key in stored {
                    self.cache.evict(&key).await?;
                }
            }
            Some(End::Stored(stored)) if stood || self.cache.read_lease(&self.key).await?.is_some() => {
                let (key, value) = *stored;
                self.cache.take_out_if(&key, &value).await?;
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_kind_and_a_hash_is_the_name_of_a_lease() {
        let hash = "0123456789abcdef0123456789abcdef01234567";
        assert!(is_lease(&format!("lease.{hash}")));
        for name in ["lease.of.a.flat", "lease", hash, &format!("page.{hash}"), &format!("lease.{hash}0")] {
            assert!(!is_lease(name), "{name}");
        }
    }

    #[test]
    fn a_fill_that_knows_another_nonce_of_a_tag_knows_something_else() {
        let space = Nonce::fresh();
        let fill = |nonce: u128| {
            let mut fill = Fill::new(space, Nonce::fresh());
            fill.capture("t".into(), Nonce::from_u128(nonce));
            fill.capture("u".into(), Nonce::from_u128(1));
            fill
        };
        assert_eq!(known(&fill(1)), known(&fill(1)), "whatever the fence");
        assert_ne!(known(&fill(1)), known(&fill(2)));
        let (mut one, mut other) = (Fill::new(space, Nonce::fresh()), Fill::new(space, Nonce::fresh()));
        one.capture("a".into(), Nonce::from_u128(1));
        one.capture("b".into(), Nonce::from_u128(2));
        other.capture("b".into(), Nonce::from_u128(2));
        other.capture("a".into(), Nonce::from_u128(1));
        assert_eq!(known(&one), known(&other), "whatever the order");
    }
}
