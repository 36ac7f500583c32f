//! Storing, removing, counting, clearing.

use bytes::Bytes;
use larder_core::{Entry, Error, ErrorKind, Key, Nonce, Space, UnixMillis, Value, When, wire};
use redis::Cmd;

use crate::link::Link;
use crate::look::{Check, Seen, State, integer, judge, look};
use crate::names::Names;
use crate::records::{self, millis_left, nonce, text};
use crate::remembered::Remembered;
use crate::scripts::{INCR, SWAP, TAKE, TOUCH};

/// How often a condition is looked at again because somebody else was quicker.
const TRIES: usize = 4;
/// How many names a sweep asks for, and removes, at once.
const SWEEP: usize = 1_000;

/// One operation on one key.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    pub(crate) link: &'a Link,
    pub(crate) remembered: &'a Remembered,
    pub(crate) key: &'a Key,
    pub(crate) now: UnixMillis,
}

impl Change<'_> {
    fn names(&self) -> Names<'_> {
        Names::around(self.key)
    }

    async fn look(&self) -> Result<Option<Seen>, Error> {
        let found = look(self.link, self.remembered, self.names(), &[self.key], self.now).await?;
        Ok(found.into_iter().next().flatten())
    }

    /// Stores. One step, unless there is something that a condition has to be checked on.
    pub(crate) async fn set(&self, entry: &Entry, when: When) -> Result<bool, Error> {
        let put = Put::of(entry, self.now)?;
        if put.ttl == Some(0) {
            return self.drop_for_expired(when).await;
        }
        self.remembered.note(self.key, entry.stamp().tags.iter().map(|(tag, _)| tag));
        let stored = match when {
            When::Always if put.space.is_some() => self.swap(&put, "always", None).await?,
            When::Always => self.link.ask::<()>(&put.command(self.key)).await.map(|()| true)?,
            When::Absent if put.space.is_some() => self.swap(&put, "absent", None).await?,
            When::Absent => self.link.ask(put.command(self.key).arg("NX")).await?,
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

    async fn swap(&self, put: &Put, condition: &str, seen: Option<&Seen>) -> Result<bool, Error> {
        let (name, names) = (self.key.name(), self.names());
        let ttl = put.ttl.map(|ttl| ttl.to_string()).unwrap_or_default();
        let length = seen.map_or(0, |seen| seen.raw.len()).to_string();
        let space = names.space();
        let record = put.space.map(|space| text(space) + self.link.run()).unwrap_or_default();
        let keys = [name.as_bytes(), space.as_bytes()];
        let keys = if put.space.is_some() { &keys[..] } else { &keys[..1] };
        let front = seen.map_or(&[][..], Seen::front);
        let args: [&[u8]; 6] =
            [&put.bytes, ttl.as_bytes(), condition.as_bytes(), front, length.as_bytes(), record.as_bytes()];
        self.link.run_script::<i64>(&SWAP, keys, &args).await.map(|stored| stored == 1)
    }

    /// Removes what is not readable, if it is still the same.
    pub(crate) async fn remove_garbage(&self, seen: &Seen) -> Result<(), Error> {
        tracing::warn!(target: "larder::backend", bytes = seen.raw.len(), "what stood under a key was not an entry; it is removed");
        let nothing = Put { bytes: Bytes::new(), space: None, ttl: Some(0) };
        self.swap(&nothing, "seen", Some(seen)).await.map(|_| ())
    }

    /// Removes; one step if the tags were guessed.
    pub(crate) async fn remove(&self) -> Result<bool, Error> {
        let (name, names) = (self.key.name(), self.names());
        let guess = self.remembered.of(self.key);
        let guess = guess.as_deref().unwrap_or_default();
        let mut keys = vec![name.into_owned(), names.space()];
        keys.extend(guess.iter().map(|tag| names.tag(tag)));
        let keys: Vec<&[u8]> = keys.iter().map(String::as_bytes).collect();
        let taken: Vec<Bytes> = self.link.run_script(&TAKE, &keys, &[]).await?;
        let Some((start, records)) = taken.split_first() else { return Ok(false) };
        if start.is_empty() {
            return Ok(false);
        }
        let known = guess.iter().cloned().zip(records.iter().skip(1).map(|record| nonce(Some(record), "")));
        let check =
            Check { space: nonce(records.first(), self.link.run()), known: known.collect(), now: self.now };
        let raw = vec![Some(start.clone())];
        let judged = judge(self.link, self.remembered, names, &[self.key], raw, check).await?;
        Ok(judged.into_iter().flatten().next().and_then(Seen::valid).is_some())
    }

    /// One step. Whether an entry was invalidated is not looked at: with another expiry it is as invalid as before.
    pub(crate) async fn touch(&self, expires: Option<UnixMillis>) -> Result<bool, Error> {
        let ttl = millis_left(expires, self.now).map(|ttl| ttl.to_string()).unwrap_or_default();
        let head = expires.map_or_else(|| "-".to_owned(), |at| at.to_string());
        let now = self.now.to_string();
        let args = [now.as_bytes(), head.as_bytes(), ttl.as_bytes()];
        let name = self.key.name();
        self.link.run_script::<i64>(&TOUCH, &[name.as_bytes()], &args).await.map(|touched| touched == 1)
    }

    /// One step for a bare integer; one with tags is looked at first.
    pub(crate) async fn incr(&self, delta: i64) -> Result<Option<i64>, Error> {
        let (name, space, delta) = (self.key.name(), self.names().space(), delta.to_string());
        let keys = [name.as_bytes(), space.as_bytes()];
        let mut head = Bytes::new();
        for _ in 0..TRIES {
            let args = [delta.as_bytes(), self.link.run().as_bytes(), &head];
            let (code, sum): (i64, Bytes) = self.link.run_script(&INCR, &keys, &args).await?;
            match code {
                0 => return Ok(None),
                1 => return Ok(integer(&sum)),
                2 => {
                    return Err(Error::new(
                        ErrorKind::Value,
                        "the stored value is not an integer, or the sum would overflow",
                    ));
                }
                _ => match self.look().await? {
                    Some(Seen { raw, state: State::Valid(_) }) => {
                        let end = raw.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
                        head = raw.slice(..end);
                    }
                    _ => return Ok(None),
                },
            }
        }
        Err(Error::new(ErrorKind::Backend, "the value changed each time it was to be counted on"))
    }
}

/// What is to be stored, as the store has it.
struct Put {
    bytes: Bytes,
    /// Of a bare integer, which other programs can count on too: under which nonce it may be stored, since it has no stamp that would
    /// say so. Any other entry may be stored at any time.
    space: Option<Nonce>,
    ttl: Option<u64>,
}

impl Put {
    fn of(entry: &Entry, now: UnixMillis) -> Result<Self, Error> {
        let value = entry.value().to_bytes()?;
        let ttl = millis_left(entry.expires(), now);
        if entry.stamp().tags.is_empty() && integer(&value).is_some() {
            return Ok(Self { bytes: value, space: Some(entry.stamp().space), ttl });
        }
        let bytes = wire::encode(&entry.with_value(Value::Bytes(value)))?;
        Ok(Self { bytes, space: None, ttl })
    }

    fn command(&self, key: &Key) -> Cmd {
        let mut set = redis::cmd("SET");
        set.arg(&*key.name()).arg(&self.bytes[..]);
        if let Some(ttl) = self.ttl {
            set.arg("PX").arg(ttl);
        }
        set
    }
}

/// Clears a namespace: logically first, in one step, and then by removing its entries, of all versions, and nothing else.
pub(crate) async fn clear(link: &Link, space: &Space) -> Result<(), Error> {
    records::renew(link, space).await?;
    let names = Names::of(space);
    let mut cursor = Bytes::from_static(b"0");
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(&cursor[..]).arg("MATCH").arg(names.pattern()).arg("COUNT").arg(SWEEP);
        let (next, mut found): (Bytes, Vec<Bytes>) = link.ask(&scan).await?;
        found.retain(|name| names.is_entry(name));
        if !found.is_empty() {
            let mut unlink = redis::cmd("UNLINK");
            for name in &found {
                unlink.arg(&name[..]);
            }
            link.ask::<()>(&unlink).await?;
        }
        if next == b"0"[..] {
            return Ok(());
        }
        cursor = next;
    }
}
