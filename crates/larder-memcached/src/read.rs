//! Reading entries for who wants nothing but them. What was asked before is asked in the same words, and answers that come again as they
//! were are not decoded again.

use bytes::Bytes;
use larder_core::{Entry, Error, Fetched, Key, Tag, UnixMillis};

use crate::client::{Answers, Command, Name, Reply};
use crate::{Memcached, name};

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    names: Vec<Name>,
    /// In order.
    tags: Vec<Tag>,
}

impl Memcached {
    pub(crate) async fn read(&self, keys: &[Key], now: UnixMillis) -> Result<Vec<Option<Entry>>, Error> {
        let Some(first) = keys.first() else { return Ok(Vec::new()) };
        // Mostly there is one namespace.
        if !keys.iter().all(|key| key.is_beside(first)) {
            return self.remembered.look(&self.raw, keys, now).await;
        }
        let (question, answers) = match self.recall.of(keys) {
            Some(asked) => {
                let answers = self.raw.get_all(&asked.question().names).await;
                let texts =
                    answers.replies.iter().map(|reply| reply.as_ref().and_then(data).map(|data| &data[..]));
                if is_whole(&answers)
                    && let Some(entries) = asked.meaning(texts, now)
                {
                    return Ok(entries.to_vec());
                }
                self.recall.forget(keys);
                (asked.question().clone(), answers)
            }
            None => {
                let tags = self.remembered.guess(keys);
                let names: Vec<Name> =
                    Fetched::asked_for(&first.space(), keys, &tags).iter().map(name::of).collect();
                let answers = self.raw.get_all(&names).await;
                (Question { names, tags }, answers)
            }
        };
        self.understand(question, answers, keys, now).await
    }

    /// The entry under a key. Where there is one server, and its answer is known and the same, nothing else has to be prepared.
    pub(crate) async fn read_only(&self, key: &Key, now: UnixMillis) -> Result<Option<Entry>, Error> {
        let keys = std::slice::from_ref(key);
        let (Some(server), Some(asked)) = (self.raw.client.only(), self.recall.of(keys)) else {
            let found = Box::pin(self.read(keys, now)).await?;
            return Ok(found.into_iter().next().flatten());
        };
        let commands = asked.question().names.iter().cloned().map(Command::Get).collect();
        let replies = server.ask(commands)?.replies().await?;
        if replies.iter().all(is_answer)
            && let Some(entries) =
                asked.meaning(replies.iter().map(|reply| data(reply).map(|data| &data[..])), now)
        {
            return Ok(entries.iter().next().cloned().flatten());
        }
        self.recall.forget(keys);
        let answers = Answers { replies: replies.into_iter().map(Some).collect(), error: None };
        let entries = Box::pin(self.understand(asked.question().clone(), answers, keys, now)).await?;
        Ok(entries.into_iter().next().flatten())
    }

    /// What answers mean that are not known.
    async fn understand(
        &self,
        question: Question,
        answers: Answers,
        keys: &[Key],
        now: UnixMillis,
    ) -> Result<Vec<Option<Entry>>, Error> {
        let Some(first) = keys.first() else { return Ok(Vec::new()) };
        let (Question { names, tags }, answered) = (&question, is_whole(&answers));
        let texts: Vec<Option<Bytes>> =
            answers.replies.iter().map(|reply| reply.as_ref().and_then(data).cloned()).collect();
        let read = self.raw.understand(names, answers, now).await?;
        let fetched = Fetched::of(read, keys.len());
        // What was there and is not valid is not remembered: there is nothing to gain.
        let there: Vec<bool> = texts.iter().take(keys.len()).map(Option::is_some).collect();
        let judged = self.remembered.judge(&self.raw, &first.space(), keys, tags, fetched, now).await;
        let (entries, at_once) = judged?;
        if answered && at_once && entries.iter().map(Option::is_some).eq(there) {
            self.recall.note(keys, question, texts, &entries);
        }
        Ok(entries)
    }

    /// Notes the tags of what is stored, so that even the first read asks for them.
    pub(crate) fn note(&self, key: &Key, entry: &Entry) {
        self.remembered.note(key, entry);
        self.recall.forget(std::slice::from_ref(key));
    }
}

/// Whether every server that was asked has answered, and did not fail.
fn is_whole(answers: &Answers) -> bool {
    answers.replies.iter().all(|reply| reply.as_ref().is_some_and(is_answer))
}

/// What stands there, or that nothing does; no failure.
fn is_answer(reply: &Reply) -> bool {
    matches!(reply, Reply::Value { .. } | Reply::Miss)
}

fn data(reply: &Reply) -> Option<&Bytes> {
    match reply {
        Reply::Value { data, .. } => Some(data),
        _ => None,
    }
}
