//! Setting a value within a transaction.
//!
//! It is core's protocol of a fill: the fence is read at the beginning, the tags' nonces at the end, and the fence once more. All of it
//! is read inside the transaction, as it sees the database. If that is a picture of the past, then so is what the value was made of, and
//! both are out of date together.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;

use bytes::Bytes;
use larder_core::{Entry, Error, Nonce, Space, Stamp, Tag, Timeout, UnixMillis, Value, wire};

use super::{AppTransaction, InTransaction};
use crate::engine::{Ask, millis};
use crate::name;
use crate::outbox::{self, Notes};
use crate::raw::{Raw, row};

/// How much longer than its entries a tag's record lives, so that the next one finds that it need not be prolonged.
const LONGER: u64 = 3_600_000;

/// See [`InTransaction::set`].
#[must_use = "nothing is stored until it is awaited"]
pub struct SetInTransaction<'a, T> {
    within: &'a mut InTransaction,
    transaction: &'a mut T,
    key: String,
    value: Result<Bytes, Error>,
    version: Option<u64>,
    timeout: Timeout,
    tags: Vec<Tag>,
}

impl<'a, T> SetInTransaction<'a, T> {
    pub(super) fn new(
        within: &'a mut InTransaction,
        transaction: &'a mut T,
        key: &str,
        value: Result<Bytes, Error>,
    ) -> Self {
        let (version, timeout, tags) = (None, Timeout::DEFAULT, Vec::new());
        Self { within, transaction, key: key.to_owned(), value, version, timeout, tags }
    }

    /// How long it lives.
    pub fn timeout(mut self, timeout: impl Into<Timeout>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// Under which tags it is invalidated.
    pub fn tags<G: Into<Tag>>(mut self, tags: impl IntoIterator<Item = G>) -> Self {
        self.tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// Another version than the cache's own.
    pub fn version(mut self, version: u64) -> Self {
        self.version = Some(version);
        self
    }
}

impl<T> fmt::Debug for SetInTransaction<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetInTransaction").finish_non_exhaustive()
    }
}

impl<'a, T: AppTransaction> IntoFuture for SetInTransaction<'a, T> {
    type Output = Result<(), Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { within, transaction, key, value, version, timeout, mut tags } = self;
            let (value, now) = (value?, within.cache.clock().now());
            let key = within.cache.key_of(&key, version);
            let timeout = timeout.or(within.cache.default_timeout());
            let expires = timeout.expires(now);
            tags.retain(|tag| !tag.as_str().is_empty());
            tags.sort_unstable();
            tags.dedup();
            let stamp = match timeout.is_zero() {
                true => None,
                false => within.stamp(transaction, &tags, expires, now).await?,
            };
            let ask = match stamp {
                Some(stamp) => Ask::Upsert(row(&key, &Entry::new(Value::Bytes(value), expires, stamp), now)?),
                None => Ask::Delete(name::of(&key)),
            };
            within.raw.number_on(transaction.on(), &ask).await.map(|_| ())
        })
    }
}

impl InTransaction {
    /// What an entry proves its validity with that is as old as the beginning; nothing, if something came between, or can't be seen.
    async fn stamp(
        &self,
        transaction: &mut impl AppTransaction,
        tags: &[Tag],
        expires: Option<UnixMillis>,
        now: UnixMillis,
    ) -> Result<Option<Stamp>, Error> {
        let (Some(space), Some(fence)) = (self.space, self.fence) else { return Ok(None) };
        if tags.is_empty() {
            return Ok(Some(Stamp::untagged(space)));
        }
        let (raw, within) = (&self.raw, self.cache.space());
        let mut records = Records::read(raw, within, tags, now, transaction).await?;
        if records.complete(raw, within, tags, expires, now, transaction).await? {
            // Others may have been faster, and the fence is to be read after the nonces.
            records = Records::read(raw, within, tags, now, transaction).await?;
        }
        let nonces: Option<Vec<Nonce>> = records.tags.iter().map(|tag| nonce(tag.as_ref(), now)).collect();
        Ok(match nonces {
            Some(nonces) if records.fence == Some(fence) => {
                Some(Stamp { space, tags: tags.iter().cloned().zip(nonces).collect() })
            }
            _ => None,
        })
    }
}

/// The records of a namespace as a transaction sees them.
pub(super) struct Records {
    pub(super) space: Option<Nonce>,
    pub(super) fence: Option<Nonce>,
    tags: Vec<Option<Record>>,
}

struct Record {
    nonce: Nonce,
    /// As it stands in the table.
    stored: Bytes,
    entry: Entry,
}

impl Records {
    /// In one statement. None of them, if there are more invalidations to take into account than a read does.
    pub(super) async fn read(
        raw: &Raw,
        space: &Space,
        tags: &[Tag],
        now: UnixMillis,
        transaction: &mut impl AppTransaction,
    ) -> Result<Self, Error> {
        let names: Vec<String> =
            outbox::fresh_records(space, tags, now).await?.iter().map(|(key, _)| name::of(key)).collect();
        let ask = Ask::Read(names[..].into(), Some(space.prefix().into()));
        let mut rows = raw.ask_on(transaction.on(), &ask).await?.rows()?;
        let notes = Notes::take_from(&mut rows, space.prefix());
        if notes.are_too_many() {
            return Ok(Self { space: None, fence: None, tags: tags.iter().map(|_| None).collect() });
        }
        let masks = notes.masks();
        let record = |name: &String| {
            let stored = rows.iter().find(|(found, _)| found == name)?.1.clone();
            let entry = wire::decode(&stored).ok()?;
            let nonce =
                outbox::nonce(&entry)?.as_u128() ^ masks.get(name.as_str()).copied().unwrap_or_default();
            Some(Record { nonce: Nonce::from_u128(nonce), stored, entry })
        };
        let mut records = names.iter().map(record);
        let mut next = || records.next().flatten();
        let (space, fence) = (nonce(next().as_ref(), now), nonce(next().as_ref(), now));
        Ok(Self { space, fence, tags: tags.iter().map(|_| next()).collect() })
    }

    /// Creates the tags' records that are missing, and prolongs those that would not live as long as the entry; whether there was one.
    async fn complete(
        &self,
        raw: &Raw,
        space: &Space,
        tags: &[Tag],
        expires: Option<UnixMillis>,
        now: UnixMillis,
        transaction: &mut impl AppTransaction,
    ) -> Result<bool, Error> {
        let until = expires.map(|at| at.saturating_add(LONGER));
        let fresh = outbox::fresh_records(space, tags, now).await?;
        let mut changed = false;
        // Behind those of namespace and fence.
        for (record, (key, entry)) in self.tags.iter().zip(fresh.iter().skip(2)) {
            let ask = match record {
                None => Ask::Insert(row(key, &entry.with_expiry(until), now)?),
                Some(expired) if expired.entry.is_expired(now) => {
                    Ask::Swap(row(key, &entry.with_expiry(until), now)?, expired.stored.clone())
                }
                Some(Record { stored, entry, .. }) if dies_before(entry, expires) => {
                    Ask::Swap(row(key, &entry.with_expiry(until), now)?, stored.clone())
                }
                Some(_) => continue,
            };
            raw.number_on(transaction.on(), &ask).await?;
            changed = true;
        }
        Ok(changed)
    }
}

fn nonce(record: Option<&Record>, now: UnixMillis) -> Option<Nonce> {
    record.filter(|record| !record.entry.is_expired(now)).map(|record| record.nonce)
}

fn dies_before(record: &Entry, entry: Option<UnixMillis>) -> bool {
    match (record.expires(), entry) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(record), Some(entry)) => millis(record) < millis(entry),
    }
}
