//! Entries as they are on the servers, valid or not: what core's record protocol runs on.

use std::sync::Arc;

use bytes::Bytes;
use larder_core::{
    Backend, Capabilities, Entry, Error, ErrorKind, Key, Space, UnixMillis, When, renew_space, wire,
};

use crate::client::{Answers, Client, Command, Mode, Name, Reply, refuse};
use crate::{expiry, name};

/// How often an entry that others keep changing is tried again. Each time somebody else succeeded, unless the server makes it up.
const TRIES: usize = 1000;

/// Entries below this are too large only for a server that was told to take hardly anything.
const NEVER_REFUSED: usize = 64 << 10;

/// The servers, without a look at stamps.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    pub(crate) client: Arc<Client>,
    pub(crate) max_entry: usize,
}

/// What stands under a name.
pub(crate) enum Found {
    Nothing,
    /// Expired, or not an entry of this version.
    Waste {
        cas: u64,
        unreadable: bool,
    },
    Entry(Entry, u64),
}

/// Whether only valid entries count as being there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counts {
    All,
    Valid,
}

pub(crate) fn found(reply: Reply, now: UnixMillis) -> Result<Found, Error> {
    match refuse(reply)? {
        Reply::Value { data, cas } => Ok(match wire::decode(&data) {
            Ok(entry) if entry.is_expired(now) => Found::Waste { cas, unreadable: false },
            Ok(entry) => Found::Entry(entry, cas),
            Err(_) => Found::Waste { cas, unreadable: true },
        }),
        _ => Ok(Found::Nothing),
    }
}

impl Raw {
    /// Stores, or removes an entry that is already expired; false if the mode's condition does not hold.
    async fn put(&self, name: Name, entry: &Entry, mode: Mode, now: UnixMillis) -> Result<bool, Error> {
        if mode == Mode::Cas(0) {
            return Err(Error::unsupported(
                "a Memcached server runs without CAS (-C), so nothing can be changed atomically; start it without -C",
            ));
        }
        if entry.is_expired(now) {
            let cas = match mode {
                Mode::Add => return Ok(true),
                Mode::Always => None,
                Mode::Cas(cas) => Some(cas),
            };
            return Ok(!matches!(self.client.ask_one(Command::Delete { name, cas }).await?, Reply::Changed));
        }
        let stored = match wire::encode(entry)? {
            data if data.len() > self.max_entry => Err(too_large(&data, self.max_entry)),
            data => {
                let expiry = expiry::of(entry.expires(), now);
                self.client.ask_one(Command::Set { name: name.clone(), data, expiry, mode }).await
            }
        };
        match stored {
            Ok(reply) => Ok(reply == Reply::Done),
            // What it was to replace is out of date: nothing is better than that.
            Err(error) if error.kind() == ErrorKind::TooLarge && mode != Mode::Add => {
                let cas = if let Mode::Cas(cas) = mode { Some(cas) } else { None };
                self.client.ask_one(Command::Delete { name, cas }).await?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Changes what stands under a key in one step: `change` is given the entry there, if there is one, and gives the one to
    /// store, or nothing to leave it. Tried again when somebody else was faster. The stored entry, if any.
    pub(crate) async fn change(
        &self,
        key: &Key,
        counts: Counts,
        now: UnixMillis,
        change: impl Fn(Option<&Entry>) -> Result<Option<Entry>, Error> + Send,
    ) -> Result<Option<Entry>, Error> {
        let name = name::of(key);
        for _ in 0..TRIES {
            let there = found(self.client.ask_one(Command::Get(name.clone())).await?, now)?;
            let (mode, entry) = match there {
                Found::Nothing => (Mode::Add, None),
                Found::Waste { cas, .. } => (Mode::Cas(cas), None),
                Found::Entry(entry, cas) => {
                    let valid = counts == Counts::All || self.is_valid(key, &entry, now).await?;
                    (Mode::Cas(cas), valid.then_some(entry))
                }
            };
            let Some(new) = change(entry.as_ref())? else { return Ok(None) };
            if self.put(name.clone(), &new, mode, now).await? {
                return Ok(Some(new));
            }
        }
        Err(Error::new(
            ErrorKind::Backend,
            "an entry in Memcached was changed by others whenever it was to be changed",
        ))
    }

    pub(crate) async fn store(
        &self,
        key: &Key,
        entry: Entry,
        when: When,
        counts: Counts,
        now: UnixMillis,
    ) -> Result<bool, Error> {
        match when {
            When::Always => return self.put(name::of(key), &entry, Mode::Always, now).await,
            // In one step where nothing is, as mostly. Not for what a server may refuse as too large or for want of memory: then it
            // removes what stands there, even from an `add`.
            When::Absent if !entry.is_expired(now) && entry.weight() < NEVER_REFUSED => {
                if self.put(name::of(key), &entry, Mode::Add, now).await? {
                    return Ok(true);
                }
            }
            When::Absent | When::Present => {}
        }
        let wanted = when == When::Present;
        let stored =
            self.change(key, counts, now, |there| Ok((there.is_some() == wanted).then(|| entry.clone())));
        Ok(stored.await?.is_some())
    }

    pub(crate) async fn prolong(
        &self,
        key: &Key,
        expires: Option<UnixMillis>,
        counts: Counts,
        now: UnixMillis,
    ) -> Result<bool, Error> {
        let touched =
            self.change(key, counts, now, |there| Ok(there.map(|entry| entry.with_expiry(expires))));
        Ok(touched.await?.is_some())
    }

    pub(crate) async fn delete(&self, key: &Key, counts: Counts, now: UnixMillis) -> Result<bool, Error> {
        let name = name::of(key);
        // Both go to one server in one exchange, so that what was there is known without another step.
        let commands = vec![Command::Get(name.clone()), Command::Delete { name, cas: None }];
        let answers = self.client.ask(commands).await;
        let [Some(read), Some(removed)] = <[_; 2]>::try_from(answers.replies).unwrap_or_default() else {
            return Err(answers.error.unwrap_or_else(unanswered));
        };
        if refuse(removed)? != Reply::Done {
            return Ok(false);
        }
        match found(read, now) {
            // It is gone in any case; if its records can't be asked, nobody saw it as invalid.
            Ok(Found::Entry(entry, _)) if counts == Counts::Valid => {
                Ok(self.is_valid(key, &entry, now).await.unwrap_or(true))
            }
            Ok(Found::Nothing | Found::Waste { .. }) => Ok(false),
            Ok(Found::Entry(..)) | Err(_) => Ok(true),
        }
    }

    async fn is_valid(&self, key: &Key, entry: &Entry, now: UnixMillis) -> Result<bool, Error> {
        self.is_current(&key.space(), entry.stamp(), now).await
    }
}

impl Raw {
    pub(crate) async fn swap(
        &self,
        key: &Key,
        expected: &[u8],
        with: Option<Entry>,
        counts: Counts,
        now: UnixMillis,
    ) -> Result<bool, Error> {
        let swap = |there: Option<&Entry>| {
            let Some(entry) = there else { return Ok(None) };
            let is_expected = entry.value().to_bytes()? == expected;
            // What has expired is removed.
            Ok(is_expected.then(|| with.clone().unwrap_or_else(|| entry.with_expiry(Some(0)))))
        };
        Ok(self.change(key, counts, now, swap).await?.is_some())
    }
}

impl Raw {
    pub(crate) async fn get_all(&self, names: &[Name]) -> Answers {
        self.client.ask(names.iter().cloned().map(Command::Get).collect()).await
    }

    /// The entries in what came back to [`get_all`](Self::get_all). What can't be read is removed.
    ///
    /// # Errors
    /// If nothing was answered.
    pub(crate) async fn understand(
        &self,
        names: &[Name],
        answers: Answers,
        now: UnixMillis,
    ) -> Result<Vec<Option<Entry>>, Error> {
        let (mut entries, mut waste) = (Vec::with_capacity(names.len()), Vec::new());
        let (mut error, mut answered) = (answers.error, names.is_empty());
        for (name, reply) in names.iter().zip(answers.replies) {
            let there = match reply.map(|reply| found(reply, now)) {
                Some(Ok(there)) => {
                    answered = true;
                    there
                }
                Some(Err(failed)) => {
                    error = Some(failed);
                    Found::Nothing
                }
                None => Found::Nothing,
            };
            entries.push(match there {
                Found::Entry(entry, _) => Some(entry),
                Found::Waste { cas, unreadable: true } => {
                    waste.push(Command::Delete { name: name.clone(), cas: Some(cas) });
                    None
                }
                Found::Nothing | Found::Waste { .. } => None,
            });
        }
        if !answered {
            return Err(error.unwrap_or_else(unanswered));
        }
        if !waste.is_empty() {
            // What can't be read is of no use to anybody. If it stays, the next read tries again.
            self.client.ask(waste).await;
        }
        Ok(entries)
    }
}

impl Backend for Raw {
    async fn compare_and_set(
        &self,
        key: &Key,
        expected: &[u8],
        with: Option<Entry>,
        now: UnixMillis,
    ) -> Result<bool, Error> {
        self.swap(key, expected, with, Counts::All, now).await
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new("memcached")
    }

    async fn get(&self, key: &Key, now: UnixMillis) -> Result<Option<Entry>, Error> {
        Ok(self.get_many(std::slice::from_ref(key), now).await?.pop().flatten())
    }

    /// What can't be reached is a miss, unless nothing can be.
    async fn get_many(&self, keys: &[Key], now: UnixMillis) -> Result<Vec<Option<Entry>>, Error> {
        let names: Vec<Name> = keys.iter().map(name::of).collect();
        let answers = self.get_all(&names).await;
        self.understand(&names, answers, now).await
    }

    async fn set(&self, key: &Key, entry: Entry, when: When, now: UnixMillis) -> Result<bool, Error> {
        self.store(key, entry, when, Counts::All, now).await
    }

    async fn remove(&self, key: &Key, now: UnixMillis) -> Result<bool, Error> {
        self.delete(key, Counts::All, now).await
    }

    async fn clear(&self, space: &Space, now: UnixMillis) -> Result<(), Error> {
        renew_space(self, space, now).await
    }

    async fn touch(&self, key: &Key, expires: Option<UnixMillis>, now: UnixMillis) -> Result<bool, Error> {
        self.prolong(key, expires, Counts::All, now).await
    }

    async fn ping(&self) -> Result<(), Error> {
        self.client.ping().await
    }

    async fn close(&self) -> Result<(), Error> {
        self.client.close();
        Ok(())
    }
}

pub(crate) fn too_large(data: &Bytes, most: usize) -> Error {
    let size = data.len();
    Error::new(
        ErrorKind::TooLarge,
        format!("the entry takes {size} bytes, and the Memcached cache takes {most}"),
    )
}

pub(crate) fn unanswered() -> Error {
    Error::new(ErrorKind::Unavailable, "no Memcached server answered")
}
