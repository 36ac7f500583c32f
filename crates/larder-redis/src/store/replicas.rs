//! A primary with replicas that entries are read from.
//!
//! In one step, a replica is asked for the whole entry, and the primary for the entry's beginning and for all records. The beginning holds the mark
//! of the one write that made the entry, so the replica's bytes count only if they are that very entry: what a replica gives is never older than what
//! the primary would have given. If it is behind, or does not answer, the primary is asked for the entry as well.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::{Either, select};
use larder_core::Error;
use redis::Cmd;

use super::{Read, one, unanswered};
use crate::ask::{Answer, Found, mget};
use crate::connector::Connector;
use crate::error::mapped;
use crate::link::Link;
use crate::look::integer;

/// So much of an entry is asked for at the primary; one that is shorter need not come from a replica.
const FRONT: usize = 512;
/// How long after the primary's answer a replica is waited for.
const GRACE: Duration = Duration::from_millis(20);
const FIRST_REST: Duration = Duration::from_millis(50);
const LONGEST_REST: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct Replicated {
    primary: Arc<Connector>,
    replicas: Vec<Replica>,
    turn: AtomicUsize,
}

#[derive(Debug)]
struct Replica {
    server: Arc<Connector>,
    since: Instant,
    /// In ms since `since`: until then it is left alone, as it did not answer.
    rests_until: AtomicU64,
    failures: AtomicU32,
}

impl Replicated {
    pub(crate) fn new(primary: Connector, replicas: impl IntoIterator<Item = Connector>) -> Self {
        let replica = |server| Replica {
            server: Arc::new(server),
            since: Instant::now(),
            rests_until: AtomicU64::new(0),
            failures: AtomicU32::new(0),
        };
        let replicas = replicas.into_iter().map(replica).collect();
        Self { primary: Arc::new(primary), replicas, turn: AtomicUsize::new(0) }
    }

    pub(crate) fn primary(&self) -> &Arc<Connector> {
        &self.primary
    }

    pub(crate) fn close(&self) {
        self.primary.close();
        for replica in &self.replicas {
            replica.server.close();
        }
    }

    /// One of those that are connected, each in its turn. The others are connected to meanwhile.
    fn next(&self) -> Option<(&Replica, Link)> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        (0..self.replicas.len()).find_map(|i| {
            let replica = &self.replicas[turn.wrapping_add(i) % self.replicas.len()];
            if replica.rests() {
                return None;
            }
            replica.server.link_now().map(|link| (replica, link))
        })
    }

    /// One step; one more if a replica is behind or does not answer.
    pub(crate) async fn read(&self, entries: &[String], records: &[String]) -> Result<Read, Error> {
        let replica = if entries.is_empty() { None } else { self.next() };
        let Some((replica, link)) = replica else {
            return one::read(&self.primary, entries, records).await;
        };
        let primary = self.primary.link().await?;
        let mut fronts = pin!(primary.exchange(questions(entries, records)));
        let mut wholes = pin!(link.exchange(vec![mget(entries.iter().map(String::as_str))]));
        let (fronts, early) = match select(fronts.as_mut(), wholes.as_mut()).await {
            Either::Left((fronts, _)) => (fronts, None),
            Either::Right((wholes, fronts)) => (fronts.await, Some(wholes)),
        };
        let mut answers = fronts.map_err(mapped)?.into_iter();
        let mut found = Vec::with_capacity(entries.len());
        for _ in entries {
            found.push(front(answers.next().ok_or_else(|| mapped(unanswered()))?)?);
        }
        let records = match answers.next() {
            Some(answer) => one::found(answer, records.len())?,
            None => Vec::new(),
        };
        if found.iter().any(is_part) {
            let wholes = match early {
                Some(wholes) => Some(wholes),
                None => tokio::time::timeout(GRACE, wholes).await.ok(),
            };
            let wholes = wholes.and_then(Result::ok).and_then(|mut answers| answers.pop());
            let wholes = wholes.and_then(|answer| one::found(answer, entries.len()).ok());
            replica.did(wholes.is_some());
            self.complete(&mut found, entries, wholes.unwrap_or_default()).await?;
        }
        Ok(Read { entries: found, records })
    }

    /// Puts the whole in place of its beginning; the primary's, where the replica has something else.
    async fn complete(&self, found: &mut [Found], names: &[String], wholes: Vec<Found>) -> Result<(), Error> {
        let mut wholes = wholes.into_iter();
        let mut behind = Vec::new();
        for (i, found) in found.iter_mut().enumerate() {
            let whole = wholes.next().and_then(|whole| whole.bytes);
            if !is_part(found) {
                continue;
            }
            match whole {
                Some(whole) if is_whole_of(&whole, found.bytes.as_deref().unwrap_or_default()) => {
                    found.bytes = Some(whole);
                }
                _ => behind.push(i),
            }
        }
        if !behind.is_empty() {
            let names: Vec<String> = behind.iter().map(|&i| names[i].clone()).collect();
            let there = one::read(&self.primary, &names, &[]).await?;
            for (i, there) in behind.into_iter().zip(there.entries) {
                found[i] = there;
            }
        }
        Ok(())
    }
}

impl Replica {
    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn rests(&self) -> bool {
        self.now() < self.rests_until.load(Ordering::Acquire)
    }

    /// One that did not answer rests, longer each time.
    fn did(&self, answered: bool) {
        if answered {
            self.failures.store(0, Ordering::Release);
            return;
        }
        let failures = self.failures.fetch_add(1, Ordering::AcqRel);
        let rest = FIRST_REST.saturating_mul(1 << failures.min(10)).min(LONGEST_REST);
        let rest = u64::try_from(rest.as_millis()).unwrap_or(u64::MAX);
        self.rests_until.fetch_max(self.now().saturating_add(rest), Ordering::AcqRel);
    }
}

/// What the primary is asked.
fn questions(entries: &[String], records: &[String]) -> Vec<Cmd> {
    let mut commands = Vec::with_capacity(entries.len() + 1);
    for name in entries {
        let mut front = redis::cmd("GETRANGE");
        front.arg(name).arg(0).arg(FRONT - 1);
        commands.push(front);
    }
    if !records.is_empty() {
        commands.push(mget(records.iter().map(String::as_str)));
    }
    commands
}

/// An entry's beginning. What is not there has none.
fn front(answer: Answer) -> Result<Found, Error> {
    let mut found = answer.found()?;
    found.bytes = found.bytes.filter(|bytes| !bytes.is_empty());
    Ok(found)
}

fn is_part(found: &Found) -> bool {
    found.bytes.as_ref().is_some_and(|bytes| bytes.len() >= FRONT)
}

/// Whether these bytes are the entry that begins so. Of what can be counted on, the beginning stays the same while the number changes.
fn is_whole_of(whole: &Bytes, front: &[u8]) -> bool {
    let body = whole.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    whole.starts_with(front) && integer(&whole[body..]).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replicas_bytes_count_only_if_they_begin_as_the_primarys_and_are_no_number() {
        let line = format!("larder1 - {} t={}", "a".repeat(FRONT), "b".repeat(32));
        let whole = |body: &str| Bytes::from(format!("{line}\n{body}"));
        assert!(is_whole_of(&whole("\"text\""), &line.as_bytes()[..FRONT]));
        assert!(!is_whole_of(&whole("42"), &line.as_bytes()[..FRONT]));
        assert!(!is_whole_of(&whole("\"text\""), &line.to_uppercase().as_bytes()[..FRONT]));
        assert!(!is_whole_of(&Bytes::new(), &line.as_bytes()[..FRONT]));
    }
}
