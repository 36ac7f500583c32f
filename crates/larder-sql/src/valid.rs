//! Reading valid entries. What was asked before is asked in the same words, and rows that come again as they were are not decoded again.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use larder_core::{Entry, Error, Fetched, Key, Tag, UnixMillis};

use crate::SqlCache;
use crate::engine::{Ask, BATCH};
use crate::name;

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    names: Arc<[String]>,
    /// Whose outbox is read along.
    prefix: Option<Arc<str>>,
    /// In order.
    tags: Vec<Tag>,
    /// When the first of the rows that were read expires. A database does not remove it then, and a tag's row may expire before its entry.
    until: UnixMillis,
}

impl Question {
    fn ask(&self) -> Ask {
        Ask::Read(Arc::clone(&self.names), self.prefix.clone())
    }
}

impl SqlCache {
    pub(crate) async fn valid(&self, keys: &[Key], now: UnixMillis) -> Result<Vec<Option<Entry>>, Error> {
        let Some(first) = keys.first() else { return Ok(Vec::new()) };
        // Mostly there is one namespace, and one key.
        if keys.len() > BATCH / 10 || !keys.iter().all(|key| key.is_beside(first)) {
            return self.remembered.look(&self.raw, keys, now).await;
        }
        let (question, rows) = match self.recall.of(keys) {
            Some(asked) => {
                let question = asked.question();
                let rows = self.raw.rows(question.ask()).await?;
                if now < question.until
                    && let Some(entries) = asked.meaning(texts(&rows), now)
                {
                    return Ok(entries.to_vec());
                }
                self.recall.forget(keys);
                (question.clone(), rows)
            }
            None => {
                let tags = self.remembered.guess(keys);
                let all = Fetched::asked_for(&first.space(), keys, &tags);
                if all.len() > BATCH {
                    return self.remembered.look(&self.raw, keys, now).await;
                }
                let (names, prefix) = (all.iter().map(name::of).collect(), self.raw.outbox_for(&all));
                let question = Question { names, prefix, tags, until: UnixMillis::MAX };
                let rows = self.raw.rows(question.ask()).await?;
                (question, rows)
            }
        };
        self.understand(question, rows, keys, now).await
    }

    /// The valid entry under a key. Where the answer is known and the same, nothing else has to be prepared.
    pub(crate) async fn valid_only(&self, key: &Key, now: UnixMillis) -> Result<Option<Entry>, Error> {
        let keys = std::slice::from_ref(key);
        let entries = match self.recall.of(keys) {
            None => Box::pin(self.valid(keys, now)).await?,
            Some(asked) => {
                let question = asked.question();
                let rows = self.raw.rows(question.ask()).await?;
                if now < question.until
                    && let Some(entries) = asked.meaning(texts(&rows), now)
                {
                    return Ok(entries.iter().next().cloned().flatten());
                }
                self.recall.forget(keys);
                Box::pin(self.understand(question.clone(), rows, keys, now)).await?
            }
        };
        Ok(entries.into_iter().next().flatten())
    }

    /// What rows mean that came and are not known.
    async fn understand(
        &self,
        mut question: Question,
        rows: Vec<(String, Bytes)>,
        keys: &[Key],
        now: UnixMillis,
    ) -> Result<Vec<Option<Entry>>, Error> {
        let Some(first) = keys.first() else { return Ok(Vec::new()) };
        let Question { names, prefix, tags, .. } = &question;
        let came = rows.clone();
        let (found, notes) = self.raw.heeded(names, prefix.as_ref(), rows, now).await?;
        let read = self.raw.understand(names, &found, &notes, now).await?;
        let until = read.iter().flatten().filter_map(Entry::expires).min().unwrap_or(UnixMillis::MAX);
        let there = names.iter().take(keys.len()).map(|name| found.contains_key(name));
        let fetched = Fetched::of(read, keys.len());
        let judged = self.remembered.judge(&self.raw, &first.space(), keys, tags, fetched, now).await;
        let (entries, at_once) = judged?;
        // What others' transactions say is heeded each time, and of what is there and not valid there is nothing to gain.
        if at_once && entries.iter().map(Option::is_some).eq(there) && is_all(&came, &found) {
            question.until = until;
            let answer = came.into_iter().flat_map(|(name, value)| [Some(name.into()), Some(value)]);
            self.recall.note(keys, question, answer, &entries);
        }
        Ok(entries)
    }

    /// Notes the tags of what is stored, so that even the first read asks for them.
    pub(crate) fn note(&self, key: &Key, entry: &Entry) {
        self.remembered.note(key, entry);
        self.recall.forget(std::slice::from_ref(key));
    }
}

/// Names and values.
fn texts(rows: &[(String, Bytes)]) -> impl Iterator<Item = Option<&[u8]>> {
    rows.iter().flat_map(|(name, value)| [Some(name.as_bytes()), Some(&value[..])])
}

/// Whether the rows that came are those that count: no notes among them, and none read anew.
fn is_all(came: &[(String, Bytes)], found: &HashMap<String, Bytes>) -> bool {
    came.iter().all(|(name, value)| found.get(name) == Some(value))
}
