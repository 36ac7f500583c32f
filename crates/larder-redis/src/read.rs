//! Reading entries from one server, for who wants nothing but them. What was asked before is asked in the same words, and an answer
//! that comes again as it was is not decoded again.

use std::sync::Arc;

use bytes::Bytes;
use larder_core::{Asked, Entry, Error, Key, Tag, UnixMillis};
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

/// One command and its answer.
enum Step {
    /// It is known what it means.
    Known(Vec<Option<Entry>>),
    New {
        command: Cmd,
        tags: Vec<Tag>,
        answer: Vec<Option<Bytes>>,
        run: Run,
    },
}

impl Redis {
    /// The entries under keys of one namespace. One step if the tags were guessed, else two.
    pub(crate) async fn read(
        &self,
        server: &Arc<Connector>,
        names: Names<'_>,
        keys: &[Key],
        now: UnixMillis,
    ) -> Result<Vec<Option<Entry>>, Error> {
        let link = server.link().await?;
        // What goes along when it is due is another question.
        let asked = self
            .remembered
            .recall
            .of(keys)
            .filter(|asked| asked.question().run == link.run() && !link.is_due());
        let step = match asked {
            Some(asked) => self.ask_again(&link, &asked, now).await?,
            None => self.ask_anew(&link, names, keys).await?,
        };
        let (command, tags, answer, run) = match step {
            Step::Known(entries) => return Ok(entries),
            Step::New { command, tags, answer, run } => (command, tags, answer, run),
        };
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

    async fn ask_again(&self, link: &Link, asked: &Asked<Question>, now: UnixMillis) -> Result<Step, Error> {
        let Question { command, tags, run } = asked.question();
        let Value::Array(values) = link.ask(command).await.map_err(mapped)? else {
            return Err(mapped(unanswered()));
        };
        if link.run() == *run
            && values.iter().all(|value| matches!(value, Value::BulkString(_) | Value::Nil))
            && let Some(entries) = asked.meaning(values.iter().map(text), now)
        {
            return Ok(Step::Known(entries));
        }
        let answer = values.into_iter().map(bytes).collect::<Result<_, _>>().map_err(mapped)?;
        Ok(Step::New { command: command.clone(), tags: tags.clone(), answer, run: link.run() })
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
        Ok(Step::New { command, tags, answer: answer.to()?, run })
    }
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
