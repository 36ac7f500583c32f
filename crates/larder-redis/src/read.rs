//! Reading entries from one server, for who wants nothing but them. What was asked before is asked in the same words, and an answer
//! that comes again as it was is not decoded again.

use std::sync::Arc;

use bytes::Bytes;
use larder_core::{Asked, Backend as _, Entry, Error, Key, Tag, UnixMillis};
use redis::{Cmd, RedisError, Value};

use crate::Redis;
use crate::ask::{Found, mget};
use crate::connector::Connector;
use crate::error::mapped;
use crate::incarnation::Run;
use crate::link::Link;
use crate::look::{Check, Seen, State, asked_for, judge};
use crate::names::Names;
use crate::store::unanswered;

/// What is asked for, and of whom.
#[derive(Debug)]
pub(crate) struct Question {
    command: Cmd,
    /// In order.
    tags: Vec<Tag>,
    /// Who answered.
    run: Run,
}

/// A command and its answer, of which it is not known what it means.
struct Step {
    command: Cmd,
    tags: Vec<Tag>,
    answer: Vec<Option<Bytes>>,
    run: Run,
}

impl Step {
    fn again(link: &Link, asked: &Asked<Question>, answer: Value) -> Result<Self, Error> {
        let Question { command, tags, .. } = asked.question();
        let Value::Array(values) = answer else { return Err(mapped(unanswered())) };
        let answer = values.into_iter().map(bytes).collect::<Result<_, _>>().map_err(mapped)?;
        Ok(Self { command: command.clone(), tags: tags.clone(), answer, run: link.run() })
    }
}

/// What an answer means, if it is the one that is known.
fn meant<'a>(
    link: &Link,
    asked: &'a Asked<Question>,
    answer: &Value,
    now: UnixMillis,
) -> Option<&'a [Option<Entry>]> {
    let Value::Array(values) = answer else { return None };
    let same = link.run() == asked.question().run && values.iter().all(is_text);
    same.then(|| asked.meaning(values.iter().map(text), now))?
}

impl Redis {
    /// The entry under a key. Where the answer is known and the same, nothing else has to be prepared.
    pub(crate) async fn read_only(&self, key: &Key, now: UnixMillis) -> Result<Option<Entry>, Error> {
        let keys = std::slice::from_ref(key);
        let Some((link, asked)) = self.asked(keys) else {
            let found = Box::pin(self.get_many(keys, now)).await?;
            return Ok(found.into_iter().next().flatten());
        };
        let answer = link.ask(&asked.question().command).await.map_err(mapped)?;
        if let Some(entries) = meant(&link, &asked, &answer, now) {
            return Ok(entries.iter().next().cloned().flatten());
        }
        let step = Step::again(&link, &asked, answer)?;
        let entries = Box::pin(self.understand(step, Names::around(key), keys, now)).await?;
        Ok(entries.into_iter().next().flatten())
    }

    /// How it was asked for these keys last, and on which connection; where there is none yet, or something goes along with the next question, it
    /// is another one.
    fn asked(&self, keys: &[Key]) -> Option<(Link, Arc<Asked<Question>>)> {
        let link = self.store.only()?.ready()?;
        let asked = self.remembered.recall.of(keys)?;
        (asked.question().run == link.run() && !link.is_due()).then_some((link, asked))
    }

    /// The entries under keys of one namespace. One step if the tags were guessed, else two.
    pub(crate) async fn read(
        &self,
        server: &Arc<Connector>,
        names: Names<'_>,
        keys: &[Key],
        now: UnixMillis,
    ) -> Result<Vec<Option<Entry>>, Error> {
        let step = match self.asked(keys) {
            Some((link, asked)) => {
                let answer = link.ask(&asked.question().command).await.map_err(mapped)?;
                if let Some(entries) = meant(&link, &asked, &answer, now) {
                    return Ok(entries.to_vec());
                }
                Step::again(&link, &asked, answer)?
            }
            None => self.ask_anew(&server.link().await?, names, keys).await?,
        };
        self.understand(step, names, keys, now).await
    }

    /// What an answer means that is not known.
    async fn understand(
        &self,
        step: Step,
        names: Names<'_>,
        keys: &[Key],
        now: UnixMillis,
    ) -> Result<Vec<Option<Entry>>, Error> {
        let Step { command, tags, answer, run } = step;
        // One that was asked for before may have to be asked for otherwise now.
        self.remembered.recall.forget(keys);
        if answer.len() != keys.len() + 1 + tags.len() {
            return Err(mapped(unanswered()));
        }
        let mut found: Vec<Found> = answer.iter().cloned().map(|bytes| Found { bytes, run }).collect();
        let records = found.split_off(keys.len());
        let check = Check::of(tags.clone(), &records, now);
        let space = check.space;
        let all: Vec<&Key> = keys.iter().collect();
        let seen = judge(&self.store, &self.remembered, names, &all, found, check).await?;
        // What it means is known from this answer alone, if there was no further step and nothing is to be removed.
        let at_once = seen.iter().flatten().all(|seen| match &seen.state {
            State::Valid(entry) => {
                let deciding = entry.stamp().deciding(space);
                deciding.is_some_and(|mut pairs| pairs.all(|(tag, _)| tags.binary_search(tag).is_ok()))
            }
            State::Stale(_) | State::Dead | State::Garbage => false,
        });
        if at_once {
            let entries: Vec<_> = seen.into_iter().map(|seen| seen.and_then(Seen::valid)).collect();
            self.remembered.recall.note(keys, Question { command, tags, run }, answer, &entries);
            return Ok(entries);
        }
        let mut entries = Vec::with_capacity(keys.len());
        for (key, seen) in keys.iter().zip(seen) {
            entries.push(self.tidied(key, seen, now).await?);
        }
        Ok(entries)
    }

    async fn ask_anew(&self, link: &Link, names: Names<'_>, keys: &[Key]) -> Result<Step, Error> {
        let mut tags: Vec<Tag> = Vec::new();
        for key in keys {
            self.remembered.guess(key, &mut tags);
        }
        tags.sort_unstable();
        tags.dedup();
        let entries: Vec<String> = keys.iter().map(|key| self.store.name(key)).collect();
        let records = asked_for(names, &tags);
        let command = mget(entries.iter().chain(&records).map(String::as_str));
        let answer = link.exchange(vec![command.clone()]).await.map_err(mapped)?.pop();
        let answer = answer.ok_or_else(|| mapped(unanswered()))?;
        let run = answer.run;
        Ok(Step { command, tags, answer: answer.to()?, run })
    }
}

/// Whether it is something that stands in the store, or nothing.
pub(crate) fn is_text(value: &Value) -> bool {
    matches!(value, Value::BulkString(_) | Value::Nil)
}

fn text(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    }
}

fn bytes(value: Value) -> Result<Option<Bytes>, RedisError> {
    redis::from_redis_value(value).map_err(RedisError::from)
}
