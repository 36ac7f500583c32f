//! L1, and how copies come into it and out of it.
//!
//! Nothing here waits: L1 is in this process, and answers at once. One that does not is never served from, since each change that it
//! does not take at once ends the epoch.
//!
//! **Coming in.** A copy is a fill of L1: its fence is read before L2 is, so that an invalidation that L1 hears of meanwhile makes the copy
//! invalid. A change of the key itself moves a counter; the copy is laid down unserved, and released only if the counter has not moved. Either the
//! change sees the copy, or the copy sees the change.
//!
//! **Going out.** Whoever changes a key in L2 moves its counter afterwards and removes it here, before they say that it is done.

use std::hash::BuildHasher;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use foldhash::quality::RandomState;
use larder_core::backplane::What;
use larder_core::{Backend, DynBackend, Entry, Error, Fill, Key, Space, Tag, UnixMillis, Value, When};

use crate::kept::Kept;
use crate::spaces::Spaces;
use crate::trust::{Stand, Trust};

/// Among how many counters the keys are spread. Two keys with one counter cost a copy now and then.
const COUNTERS: usize = 4_096;
/// How long it is known at most that nothing stands under a key.
const LONGEST_ABSENCE: u64 = 10_000;

#[derive(Debug)]
pub(crate) struct Near {
    l1: DynBackend,
    pub(crate) trust: Trust,
    pub(crate) spaces: Spaces,
    /// How often the keys of each were changed.
    changes: Box<[AtomicU64]>,
    hasher: RandomState,
    /// The longest that a copy lives, in ms.
    longest: u64,
}

/// What L1 has under a key.
#[derive(Debug)]
pub(crate) enum Look {
    /// What L2 has, which may be nothing.
    Known(Option<Entry>),
    /// An entry that has to be checked.
    Doubtful(Arc<Kept>),
    /// No copy.
    Nothing,
}

/// A fill of L1 that has begun: L2 may be read now.
#[derive(Debug)]
pub(crate) struct Copying {
    pub(crate) space: Space,
    stand: Stand,
    fill: Fill,
}

/// The counter of a key as it was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    counter: usize,
    count: u64,
}

impl Near {
    pub(crate) fn new(l1: DynBackend, trust: Trust, longest: u64) -> Self {
        let changes = (0..COUNTERS).map(|_| AtomicU64::new(0)).collect();
        Self { l1, trust, spaces: Spaces::default(), changes, hasher: RandomState::default(), longest }
    }

    pub(crate) fn l1(&self) -> &DynBackend {
        &self.l1
    }

    /// What L1 has under a key, as things stand.
    pub(crate) fn look(&self, stand: Stand, key: &Key, now: UnixMillis) -> Look {
        let Some(Some(found)) = self.l1.get_now(key, now) else { return Look::Nothing };
        let Some(kept) = Kept::within(&found) else { return Look::Nothing };
        let checked = kept.checked();
        match kept.entry() {
            Some(entry) if checked == stand => Look::Known(Some(entry.clone())),
            _ if !checked.same_epoch(stand) => Look::Nothing,
            // That nothing is there can't be invalidated; it ends with the epoch, or with a change of the key.
            None => Look::Known(None),
            Some(_) => Kept::of(&found).map_or(Look::Nothing, Look::Doubtful),
        }
    }

    /// Begins to copy what is in the namespace of `key`; `None`: L1 takes no copies now.
    pub(crate) fn begin(&self, stand: Stand, key: &Key) -> Option<Copying> {
        let space = self.spaces.enter(key)?;
        let fill = self.l1.begin_now(&space, &[])?;
        Some(Copying { space, stand, fill })
    }

    /// Notes a key's counter.
    pub(crate) fn ticket(&self, key: &Key) -> Ticket {
        let counter = self.counter(key);
        Ticket { counter, count: self.changes[counter].load(Ordering::SeqCst) }
    }

    /// Lays down a copy that was read from L2, and was valid then, after `copying` began and the ticket was taken.
    pub(crate) fn copy(
        &self,
        copying: &Copying,
        ticket: Ticket,
        key: &Key,
        entry: Option<&Entry>,
        now: UnixMillis,
    ) {
        if !entry.is_some_and(may_lie_about_its_expiry) {
            self.lay_down(copying, ticket, key, entry, copying.stand, now);
        }
    }

    /// Lays down what this process has just stored in L2. Its fill began at an unknown time, so it is checked before it is first served.
    pub(crate) fn keep(&self, copying: &Copying, ticket: Ticket, key: &Key, entry: &Entry, now: UnixMillis) {
        self.lay_down(copying, ticket, key, Some(entry), copying.stand.unchecked(), now);
    }

    fn lay_down(
        &self,
        copying: &Copying,
        ticket: Ticket,
        key: &Key,
        entry: Option<&Entry>,
        stand: Stand,
        now: UnixMillis,
    ) {
        let longest = if entry.is_some() { self.longest } else { self.longest.min(LONGEST_ABSENCE) };
        let until = now.saturating_add(longest);
        let until = entry.and_then(Entry::expires).map_or(until, |expires| expires.min(until));
        let tags: Vec<Tag> = entry.iter().flat_map(|e| &e.stamp().tags).map(|(tag, _)| tag.clone()).collect();
        let sealed = at_once(self.l1.seal(&copying.space, &copying.fill, &tags, Some(until), now));
        let Some(Ok(Some(stamp))) = sealed else { return self.remove(key, now) };
        let kept = Arc::new(Kept::new(entry.cloned()));
        let value = Value::Shared(Arc::clone(&kept) as Arc<_>);
        let put = self.l1.set(key, Entry::new(value, Some(until), stamp), When::Always, now);
        match at_once(put) {
            Some(Ok(_)) => {}
            // Too large, mostly.
            Some(Err(_)) => return self.remove(key, now),
            None => return self.trust.lapse(),
        }
        // After it was laid down, never before: a change that moves the counter later finds it and removes it.
        if self.changes[ticket.counter].load(Ordering::SeqCst) == ticket.count {
            kept.check(stand);
        }
    }

    /// What stands under `key` in L2 was changed: no copy is served, and none that is under way. Gives a ticket if nobody else has changed it
    /// since `before`.
    pub(crate) fn changed(&self, key: &Key, before: Option<Ticket>, now: UnixMillis) -> Option<Ticket> {
        let counter = self.counter(key);
        let count = self.changes[counter].fetch_add(1, Ordering::SeqCst);
        self.remove(key, now);
        let undisturbed = before.is_some_and(|before| before.count == count);
        undisturbed.then_some(Ticket { counter, count: count + 1 })
    }

    /// Drops what a message tells of, or what this process has changed.
    pub(crate) fn drop_what(&self, space: &Space, what: &What, now: UnixMillis) {
        match what {
            What::Keys(keys) => {
                for key in keys {
                    self.changed(key, None, now);
                }
            }
            What::Tags(_) | What::Clear if !self.spaces.knows(space) => {}
            What::Tags(tags) => self.must(self.l1.invalidate(space, tags, now)),
            What::Clear => self.must(self.l1.clear(space, now)),
            What::Everything => self.drop_everything(now),
            What::Beat => {}
        }
    }

    /// Ends the epoch, and gives the room back.
    pub(crate) fn drop_everything(&self, now: UnixMillis) {
        self.trust.lapse();
        self.sweep(now);
    }

    /// Gives the room back that copies of earlier epochs take.
    pub(crate) fn sweep(&self, now: UnixMillis) {
        for space in self.spaces.all() {
            self.must(self.l1.clear(&space, now));
        }
    }

    fn remove(&self, key: &Key, now: UnixMillis) {
        self.must(self.l1.remove(key, now));
    }

    /// L1 has to do it now; else nothing in it can be trusted.
    fn must<T>(&self, step: impl Future<Output = Result<T, Error>>) {
        if !matches!(at_once(step), Some(Ok(_))) {
            self.trust.lapse();
        }
    }

    fn counter(&self, key: &Key) -> usize {
        self.hasher.hash_one(key.identity()) as usize % COUNTERS
    }
}

/// A store that keeps integers bare, so that other programs can count on them, does not tell when they expire.
fn may_lie_about_its_expiry(entry: &Entry) -> bool {
    let bare = match entry.value() {
        Value::Bytes(bytes) => bytes.len() <= 20 && bytes.iter().all(|b| b.is_ascii_digit() || *b == b'-'),
        Value::Shared(_) => false,
    };
    bare && entry.expires().is_none() && entry.stamp().tags.is_empty()
}

/// The answer of a step that needs no waiting.
fn at_once<T>(step: impl Future<Output = Result<T, Error>>) -> Option<Result<T, Error>> {
    match pin!(step).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}
