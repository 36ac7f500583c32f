//! What a backend stores under a key.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::clock::UnixMillis;
use crate::error::Error;
use crate::pack;
use crate::tag::{Fate, Nonce, Stamp, Tag};

/// What a decoded page weighs at most beyond its bytes, about.
const DECODED: usize = 1_024;

/// A decoded value that can be encoded on demand, so that a store in the same process never serialises it.
pub trait SharedValue: Any + Send + Sync + fmt::Debug {
    /// The value as bytes, for stores that need them.
    ///
    /// # Errors
    /// [`Encode`](crate::ErrorKind::Encode) if it can't be serialised.
    fn encode(&self) -> Result<Bytes, Error>;

    /// How many bytes of memory it keeps alive, about.
    fn weight(&self) -> usize;

    /// The [identity](crate::Key::identity) that it has in itself, if it has one: a store in this process that keeps it under that need not
    /// have the bytes a second time.
    fn identity(&self) -> Option<&Bytes> {
        None
    }

    /// For getting the concrete type back: `fn into_any(self: Arc<Self>) -> … { self }`.
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

/// The value of an entry.
#[derive(Clone, Debug)]
pub enum Value {
    /// Encoded bytes.
    Bytes(Bytes),
    /// A decoded value of this process.
    Shared(Arc<dyn SharedValue>),
}

impl Value {
    /// The bytes; a shared value is encoded.
    ///
    /// # Errors
    /// [`Encode`](crate::ErrorKind::Encode) if it can't be serialised.
    pub fn to_bytes(&self) -> Result<Bytes, Error> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.clone()),
            Self::Shared(value) => value.encode(),
        }
    }
}

/// One stored value with its expiry and its stamp. Cloning is cheap.
///
/// The expiry here is the only one: a backend may also use its server's, but what this says decides.
#[derive(Clone)]
pub struct Entry(Arc<Inner>);

struct Inner {
    value: Value,
    expires: Option<UnixMillis>,
    stamp: Stamp,
    mark: AtomicU64,
    stale_since: Option<UnixMillis>,
    fresh_until: Option<UnixMillis>,
    decoded: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl Entry {
    /// An entry; `expires` is `None` for ever.
    pub fn new(value: Value, expires: Option<UnixMillis>, stamp: Stamp) -> Self {
        let (mark, decoded) = (AtomicU64::new(0), OnceLock::new());
        Self(Arc::new(Inner { value, expires, stamp, mark, stale_since: None, fresh_until: None, decoded }))
    }

    /// The value.
    pub fn value(&self) -> &Value {
        &self.0.value
    }

    /// When it expires; `None`: never.
    pub fn expires(&self) -> Option<UnixMillis> {
        self.0.expires
    }

    /// Whether it is gone at `now`: the instant of expiry itself is already too late.
    pub fn is_expired(&self, now: UnixMillis) -> bool {
        self.0.expires.is_some_and(|at| at <= now)
    }

    /// What it proves its validity with.
    pub fn stamp(&self) -> &Stamp {
        &self.0.stamp
    }

    /// What its bytes mean, decoded when it is first asked for and kept with the entry: one that stays in this process is decoded once. A
    /// type that is asked for beside the first one is decoded each time.
    ///
    /// # Errors
    /// What `decode` gives, and what a shared value's `encode` gives; errors are not kept.
    pub fn decoded<T: Any + Send + Sync>(
        &self,
        decode: impl FnOnce(&Bytes) -> Result<T, Error>,
    ) -> Result<Arc<T>, Error> {
        let kept = self.0.decoded.get().map(|kept| Arc::clone(kept).downcast());
        if let Some(Ok(kept)) = kept {
            return Ok(kept);
        }
        let decoded = Arc::new(decode(&self.0.value.to_bytes()?)?);
        // Whoever was quicker has decoded the same bytes.
        _ = self.0.decoded.set(Arc::clone(&decoded) as Arc<dyn Any + Send + Sync>);
        Ok(decoded)
    }

    /// What its bytes were [decoded](Self::decoded) to, if they were and it was to this.
    pub fn was_decoded<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.0.decoded.get()?.downcast_ref()
    }

    /// Since when it counts as stale though it is valid: it was purged softly then. It may be shown in its windows, and not as fresh.
    pub fn stale_since(&self) -> Option<UnixMillis> {
        self.0.stale_since
    }

    /// The same entry as one that counts as stale since `since`. The mark is of this process: it is never stored.
    #[must_use]
    pub fn marked_stale(&self, since: UnixMillis) -> Self {
        let Inner { value, expires, stamp, .. } = &*self.0;
        let decoded = self.0.decoded.get().map_or_else(OnceLock::new, |kept| Arc::clone(kept).into());
        Self(Arc::new(Inner {
            value: value.clone(),
            expires: *expires,
            stamp: stamp.clone(),
            mark: AtomicU64::new(self.mark()),
            stale_since: Some(since),
            fresh_until: self.0.fresh_until,
            decoded,
        }))
    }

    /// The entry if it is valid, going by what the namespace's record holds and, of the [deciding](Stamp::deciding) tags, what `stands` in theirs:
    /// marked as stale if one of these is.
    #[must_use]
    pub fn judged(self, space: Option<Nonce>, stands: impl Fn(&Tag) -> Option<Nonce>) -> Option<Self> {
        let mut stale: Option<UnixMillis> = None;
        for (tag, nonce) in self.stamp().deciding(space)? {
            match nonce.standing(stands(tag)) {
                Fate::Same => {}
                Fate::Marked(since) => stale = Some(stale.map_or(since, |other| other.min(since))),
                Fate::Gone => return None,
            }
        }
        Some(match stale {
            Some(since) => self.marked_stale(since),
            None => self,
        })
    }

    /// The same value and stamp with another expiry.
    #[must_use]
    pub fn with_expiry(&self, expires: Option<UnixMillis>) -> Self {
        self.with(self.0.value.clone(), expires)
    }

    /// The same expiry and stamp with another value.
    #[must_use]
    pub fn with_value(&self, value: Value) -> Self {
        self.with(value, self.0.expires)
    }

    fn with(&self, value: Value, expires: Option<UnixMillis>) -> Self {
        let (stamp, stale_since, fresh_until) =
            (self.0.stamp.clone(), self.0.stale_since, self.0.fresh_until);
        let (mark, decoded) = (AtomicU64::new(0), OnceLock::new());
        Self(Arc::new(Inner { value, expires, stamp, mark, stale_since, fresh_until, decoded }))
    }

    /// The same entry, fresh until then alone though it is kept longer.
    pub(crate) fn with_fresh_until(self, fresh_until: Option<UnixMillis>) -> Self {
        if self.0.fresh_until == fresh_until {
            return self;
        }
        let Inner { value, expires, stamp, stale_since, .. } = &*self.0;
        Self(Arc::new(Inner {
            value: value.clone(),
            expires: *expires,
            stamp: stamp.clone(),
            mark: AtomicU64::new(self.mark()),
            stale_since: *stale_since,
            fresh_until,
            decoded: OnceLock::new(),
        }))
    }

    /// Until when it is fresh, if it is kept beyond that.
    pub(crate) fn fresh_until(&self) -> Option<UnixMillis> {
        self.0.fresh_until
    }

    /// Whether it is kept beyond its freshness, and that is over.
    pub(crate) fn is_past_fresh(&self, now: UnixMillis) -> bool {
        self.0.fresh_until.is_some_and(|until| until <= now)
    }

    /// How many bytes it keeps alive, about: value, tags and what surrounds them.
    pub fn weight(&self) -> usize {
        let value = match &self.0.value {
            Value::Bytes(bytes) => bytes.len(),
            Value::Shared(value) => value.weight(),
        };
        let tags: usize = self.0.stamp.tags.iter().map(|(t, _)| t.as_str().len() + 48).sum();
        value + tags + size_of::<Inner>() + 16
    }

    /// The same with what is [kept](Self::decoded) beside the bytes once they were read: for a store that holds entries of another one in this
    /// process, and is bounded.
    pub fn weight_once_read(&self) -> usize {
        let more = match &self.0.value {
            Value::Bytes(bytes) => pack::unpacked_length(bytes) + bytes.len().min(DECODED),
            Value::Shared(_) => 0,
        };
        self.weight().saturating_add(more)
    }

    /// A number that a backend in this process may note on the entry (when it was last found valid, say). It starts at 0 and
    /// is never stored.
    pub fn mark(&self) -> u64 {
        self.0.mark.load(Ordering::Acquire)
    }

    /// Notes such a number.
    pub fn set_mark(&self, mark: u64) {
        self.0.mark.store(mark, Ordering::Release);
    }

    /// Whether both are one and the same stored entry.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("weight", &self.weight())
            .field("expires", &self.0.expires)
            .field("tags", &self.0.stamp.tags.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn the_bytes_of_an_entry_are_decoded_once() {
        let entry = Entry::new(Value::Bytes("7".into()), None, Stamp::untagged(Nonce::from_u128(1)));
        let failed = entry.decoded::<u8>(|_| Err(Error::new(ErrorKind::Decode, "no")));
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::Decode);
        assert!(entry.was_decoded::<Vec<u8>>().is_none(), "nobody has");
        let first = entry.decoded(|bytes| Ok(bytes.to_vec())).unwrap();
        let again = entry.clone().decoded::<Vec<u8>>(|_| panic!("it is known")).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        assert!(entry.was_decoded::<Vec<u8>>().is_some_and(|known| *known == *first));
        assert!(entry.was_decoded::<usize>().is_none(), "another type");
        assert_eq!(*entry.decoded(|bytes| Ok(bytes.len())).unwrap(), 1, "another type");
        assert!(Arc::ptr_eq(&first, &entry.decoded::<Vec<u8>>(|_| panic!("it is known")).unwrap()));
    }
}
