//! Storing, removing, counting.

use bytes::Bytes;
use larder_core::{Entry, Error, ErrorKind, Key, Nonce, Tag, UnixMillis, When};

use crate::ask::{Ask, Word};
use crate::look::{Check, Seen, State, asked_for, encode, integer, judge, look};
use crate::names::Names;
use crate::records::{millis_left, record};
use crate::remembered::Remembered;
use crate::scripts::{INCR, SWAP, TAKE, TOUCH};
use crate::store::Store;

/// How often a condition is looked at again because somebody else was quicker.
const TRIES: usize = 4;
/// The same where giving up is an error: whoever was quicker got on, and the cache's deadline comes first.
const MORE_TRIES: usize = 100;

/// One operation on one key.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    pub(crate) store: &'a Store,
    pub(crate) remembered: &'a Remembered,
    pub(crate) key: &'a Key,
    pub(crate) now: UnixMillis,
}

impl Change<'_> {
    fn names(&self) -> Names<'_> {
        Names::around(self.key)
    }

    async fn look(&self) -> Result<Option<Seen>, Error> {
        let found = look(self.store, self.remembered, self.names(), &[self.key], self.now).await?;
        Ok(found.into_iter().next().flatten())
    }

    /// Stores. One step, unless there is something that a condition has to be checked on.
    pub(crate) async fn set(&self, entry: &Entry, when: When) -> Result<bool, Error> {
        let put = Put::of(entry, self.store, self.now)?;
        if put.ttl == Some(0) {
            return self.drop_for_expired(when).await;
        }
        self.remembered.note(self.key, entry.stamp());
        let stored = match when {
            When::Always => {
                let set = put.always(self.store, self.key);
                self.store.ask(set).await?.to::<()>().map(|()| true)?
            }
            When::Absent if put.space.is_some() => self.swap(&put, "absent", None).await?,
            When::Absent => {
                let set = put.command(self.store, self.key, &[Word::text("NX")]);
                self.store.ask(set).await?.to()?
            }
            When::Present => false,
        };
        if stored {
            return Ok(true);
        }
        for _ in 0..TRIES {
            let seen = self.look().await?;
            let there = matches!(&seen, Some(Seen { state: State::Valid(_), .. }));
            if there != (when == When::Present) {
                return Ok(false);
            }
            let stored = match &seen {
                Some(seen) => self.swap(&put, "seen", Some(seen)).await?,
                // Gone meanwhile, or a list or the like, which reads as nothing.
                None => self.swap(&put, "absent", None).await?,
            };
            if stored {
                return Ok(true);
            }
        }
        // Each time somebody else was quicker: as if all of them had come after us.
        Ok(when == When::Present)
    }

    /// What is expired before it is stored: removes what was there.
    async fn drop_for_expired(&self, when: When) -> Result<bool, Error> {
        match when {
            When::Always => self.remove().await.map(|_| true),
            When::Absent => Ok(self.look().await?.and_then(Seen::valid).is_none()),
            When::Present => self.remove().await,
        }
    }

    async fn swap(&self, put: &Put, condition: &'static str, seen: Option<&Seen>) -> Result<bool, Error> {
        let swap = put.swap(self.store, self.key, condition, seen);
        self.store.ask(swap).await?.to::<i64>().map(|stored| stored == 1)
    }

    /// Replaces the value that is expected by another one, or by nothing. Two steps; what a lock stands on is that the second looks again.
    pub(crate) async fn compare_and_set(&self, expected: &[u8], with: Option<&Entry>) -> Result<bool, Error> {
        let put = match with {
            Some(entry) => Put::of(entry, self.store, self.now)?,
            None => Put::nothing(),
        };
        for _ in 0..MORE_TRIES {
            let Some(seen) = self.look().await? else { return Ok(false) };
            let State::Valid(there) = &seen.state else { return Ok(false) };
            if there.value().to_bytes()? != expected {
                return Ok(false);
            }
            if self.swap(&put, "seen", Some(&seen)).await? {
                if let Some(entry) = with {
                    self.remembered.note(self.key, entry.stamp());
                }
                return Ok(true);
            }
        }
        Err(Error::new(ErrorKind::Backend, "the value changed each time it was to be replaced"))
    }

    /// Removes what is not readable, if it is still the same.
    pub(crate) async fn remove_garbage(&self, seen: &Seen) -> Result<(), Error> {
        tracing::warn!(target: "larder::backend", bytes = seen.raw.len(), "what stood under a key was not an entry; it is removed");
        self.swap(&Put::nothing(), "seen", Some(seen)).await.map(|_| ())
    }

    /// Removes; one step if the tags were guessed.
    pub(crate) async fn remove(&self) -> Result<bool, Error> {
        let removed = remove(self.store, self.remembered, self.names(), &[self.key], self.now).await?;
        Ok(removed > 0)
    }

    /// When a bare integer expires: nothing that is read with it says so.
    pub(crate) async fn expiry(&self) -> Result<Option<UnixMillis>, Error> {
        let ask = Ask::command("PTTL", self.store.name(self.key), Vec::new());
        let left = self.store.ask(ask).await?.to::<i64>()?;
        Ok(match u64::try_from(left) {
            Ok(left) => Some(self.now.saturating_add(left)),
            // It never expires.
            Err(_) if left == -1 => None,
            // It is gone since.
            Err(_) => Some(self.now),
        })
    }

    /// One step. Whether an entry was invalidated is not looked at: with another expiry it is as invalid as before.
    pub(crate) async fn touch(&self, expires: Option<UnixMillis>) -> Result<bool, Error> {
        let ttl = millis_left(expires, self.now).map_or(Word::text(""), Word::number);
        let head = expires.map_or(Word::text("-"), Word::number);
        let words = vec![Word::number(self.now), head, ttl];
        let touch = Ask::script(&TOUCH, self.store.name(self.key), words);
        self.store.ask(touch).await?.to::<i64>().map(|touched| touched == 1)
    }

    /// One step for a bare integer; any other is looked at first.
    pub(crate) async fn incr(&self, delta: i64) -> Result<Option<i64>, Error> {
        let mut head = Bytes::new();
        let mut looks = !self.store.is_whole();
        for _ in 0..MORE_TRIES {
            if looks {
                let Some(seen) = self.look().await? else { return Ok(None) };
                let State::Valid(there) = &seen.state else { return Ok(None) };
                // What is no integer is not asked about again, however often it is replaced meanwhile by what is none either.
                if integer(&there.value().to_bytes()?).is_none() {
                    return Err(uncountable());
                }
                head = seen.line();
            }
            let words = vec![
                Word::number(delta),
                Word::Marked(Bytes::from_static(b" "), Bytes::new()),
                Word::Plain(head.clone()),
            ];
            let space = self.store.is_whole().then(|| self.names().space());
            let incr = Ask::script(&INCR, self.store.name(self.key), words).with_key(space);
            let (code, sum): (i64, Bytes) = self.store.ask(incr).await?.to()?;
            match code {
                0 => return Ok(None),
                1 => return Ok(integer(&sum)),
                2 => return Err(uncountable()),
                _ => looks = true,
            }
        }
        Err(Error::new(ErrorKind::Backend, "the value changed each time it was to be counted on"))
    }
}

fn uncountable() -> Error {
    Error::new(ErrorKind::Value, "the stored value is not an integer, or the sum would overflow")
}

/// Removes entries of one namespace, and tells how many of them were valid. One step if their tags were guessed.
pub(crate) async fn remove(
    store: &Store,
    remembered: &Remembered,
    names: Names<'_>,
    keys: &[&Key],
    now: UnixMillis,
) -> Result<usize, Error> {
    let mut tags: Vec<Tag> = Vec::new();
    for key in keys {
        remembered.guess(key, &mut tags);
    }
    tags.sort_unstable();
    tags.dedup();
    let mut asks: Vec<Ask> = keys.iter().map(|key| Ask::script(&TAKE, store.name(key), Vec::new())).collect();
    asks.extend(asked_for(names, &tags).into_iter().map(Ask::get));
    let mut answers = store.step(asks).await?.into_iter();
    let mut taken = Vec::with_capacity(keys.len());
    for _ in keys {
        let Some(answer) = answers.next() else { break };
        let mut found = answer.found()?;
        found.bytes = found.bytes.filter(|bytes| !bytes.is_empty());
        taken.push(found);
    }
    let records = answers.map(crate::ask::Answer::found).collect::<Result<Vec<_>, _>>()?;
    let seen = judge(store, remembered, names, keys, taken, Check::of(tags, &records, now)).await?;
    Ok(seen.into_iter().flatten().filter(|seen| matches!(seen.state, State::Valid(_))).count())
}

/// Stores several entries in one step, and tells which were refused.
pub(crate) async fn set_many(
    store: &Store,
    remembered: &Remembered,
    entries: Vec<(Key, Entry)>,
    now: UnixMillis,
) -> Result<Vec<(usize, Error)>, Error> {
    let (mut asks, mut places, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    for (place, (key, entry)) in entries.iter().enumerate() {
        match Put::of(entry, store, now) {
            Ok(put) => {
                remembered.note(key, entry.stamp());
                asks.push(put.always(store, key));
                places.push(place);
            }
            Err(error) => refused.push((place, error)),
        }
    }
    for (place, answer) in places.into_iter().zip(store.step(asks).await?) {
        match answer.to::<()>() {
            Ok(()) => {}
            Err(error) if error.kind().is_outage() => return Err(error),
            Err(error) => refused.push((place, error)),
        }
    }
    refused.sort_unstable_by_key(|(place, _)| *place);
    Ok(refused)
}

/// What is to be stored, as the store has it.
struct Put {
    word: Word,
    /// Of a bare integer, which other programs can count on too: under which nonce it may be stored, since it has no stamp that would
    /// say so. Any other entry may be stored at any time.
    space: Option<Nonce>,
    ttl: Option<u64>,
}

impl Put {
    fn of(entry: &Entry, store: &Store, now: UnixMillis) -> Result<Self, Error> {
        let value = entry.value().to_bytes()?;
        let ttl = millis_left(entry.expires(), now);
        // On a Cluster, no script sees an integer and the namespace's record together.
        if store.is_whole() && entry.stamp().tags.is_empty() && integer(&value).is_some() {
            return Ok(Self { word: Word::Plain(value), space: Some(entry.stamp().space), ttl });
        }
        Ok(Self { word: encode(entry, value)?, space: None, ttl })
    }

    fn nothing() -> Self {
        Self { word: Word::text(""), space: None, ttl: Some(0) }
    }

    /// Stores in any case, or removes what is there if it is over already.
    fn always(&self, store: &Store, key: &Key) -> Ask {
        match self.ttl {
            Some(0) => Ask::command("UNLINK", store.name(key), Vec::new()),
            _ if self.space.is_some() => self.swap(store, key, "always", None),
            _ => self.command(store, key, &[]),
        }
    }

    fn command(&self, store: &Store, key: &Key, more: &[Word]) -> Ask {
        let mut words = vec![self.word.clone()];
        if let Some(ttl) = self.ttl {
            words.extend([Word::text("PX"), Word::number(ttl)]);
        }
        words.extend_from_slice(more);
        Ask::command("SET", store.name(key), words)
    }

    fn swap(&self, store: &Store, key: &Key, condition: &'static str, seen: Option<&Seen>) -> Ask {
        let length = seen.map_or(0, |seen| seen.raw.len() as u64);
        let space = self.space.map(|_| Names::around(key).space());
        let words = vec![
            self.word.clone(),
            self.ttl.map_or(Word::text(""), Word::number),
            Word::text(condition),
            Word::Plain(seen.map(Seen::front).unwrap_or_default()),
            Word::number(length),
            self.space.map_or(Word::text(""), record),
        ];
        Ask::script(&SWAP, store.name(key), words).with_key(space)
    }
}
