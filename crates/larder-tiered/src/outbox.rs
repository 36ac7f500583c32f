//! What has to be told to the others, in order, and what is owed to them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use larder_core::backplane::{Backplane, DynBackplane, Message, What};
use larder_core::{Error, ErrorKind, Nonce, Space};
use parking_lot::Mutex;

/// More than this waiting to be told is told as [`What::Everything`].
const LONGEST_QUEUE: usize = 1_024;

#[derive(Debug)]
pub(crate) struct Outbox {
    backplane: DynBackplane,
    origin: Nonce,
    patience: Duration,
    waiting: Mutex<Waiting>,
    /// Held by whoever is sending, so that messages go out one after the other.
    line: tokio::sync::Mutex<Line>,
    /// Something was not told, or may not have been: the others have to drop everything.
    owing: AtomicBool,
}

#[derive(Debug, Default)]
struct Waiting {
    queue: Vec<(Space, What)>,
    /// How many were ever queued.
    queued: u64,
}

#[derive(Debug, Default)]
struct Line {
    number: u64,
    /// How many of those queued were sent, or given up.
    done: u64,
    /// Whether the last message might be the last for long.
    unconfirmed: bool,
}

impl Outbox {
    pub(crate) fn new(backplane: DynBackplane, patience: Duration) -> Self {
        Self {
            backplane,
            origin: Nonce::fresh(),
            patience,
            waiting: Mutex::default(),
            line: tokio::sync::Mutex::default(),
            owing: AtomicBool::new(false),
        }
    }

    pub(crate) fn backplane(&self) -> &DynBackplane {
        &self.backplane
    }

    pub(crate) fn origin(&self) -> Nonce {
        self.origin
    }

    /// Something is not going to be told.
    pub(crate) fn owe(&self) {
        self.owing.store(true, Ordering::SeqCst);
    }

    /// Tells the others. What fails is owed: [`settle`](Self::settle) makes it good. Those who come while a message is on its way go together in
    /// the next one.
    pub(crate) async fn send(&self, space: &Space, what: What) {
        let place = {
            let mut waiting = self.waiting.lock();
            if waiting.queue.len() < LONGEST_QUEUE {
                add(&mut waiting.queue, space, what);
            } else {
                self.owe();
            }
            waiting.queued += 1;
            waiting.queued
        };
        let mut line = self.line.lock().await;
        if line.done < place
            && let Err(error) = self.drain(&mut line).await
        {
            tracing::warn!(target: "larder::backend", kind = error.kind().as_str(), %error, "other processes could not be told what has changed; they are told to drop everything as soon as they can be");
        }
    }

    /// Makes good what is owed, and lets those who missed the last message notice.
    ///
    /// # Errors
    /// What the backplane gives; then it is still owed.
    pub(crate) async fn settle(&self) -> Result<(), Error> {
        let mut line = self.line.lock().await;
        if self.owing.swap(false, Ordering::SeqCst) {
            let debt = Debt(self);
            self.publish(&mut line, &Space::default(), What::Everything).await?;
            debt.paid();
        }
        // Those who queued and went away before their turn.
        self.drain(&mut line).await?;
        if line.unconfirmed {
            self.transmit(line.number, &Space::default(), What::Beat).await?;
            line.unconfirmed = false;
        }
        Ok(())
    }

    /// Sends what is queued. After an error, or if it is dropped halfway, the rest is owed.
    async fn drain(&self, line: &mut Line) -> Result<(), Error> {
        let (queue, queued) = {
            let mut waiting = self.waiting.lock();
            (std::mem::take(&mut waiting.queue), waiting.queued)
        };
        line.done = queued;
        if queue.is_empty() {
            return Ok(());
        }
        let debt = Debt(self);
        for (space, what) in queue {
            for part in what.split() {
                self.publish(line, &space, part).await?;
            }
        }
        debt.paid();
        Ok(())
    }

    async fn publish(&self, line: &mut Line, space: &Space, what: What) -> Result<(), Error> {
        line.number += 1;
        line.unconfirmed = true;
        self.transmit(line.number, space, what).await
    }

    async fn transmit(&self, number: u64, space: &Space, what: What) -> Result<(), Error> {
        let message = Message { origin: self.origin, number, space: space.clone(), what };
        let step = self.backplane.publish(message.encode());
        if tokio::runtime::Handle::try_current().is_err() {
            return step.await;
        }
        tokio::time::timeout(self.patience, step).await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Deadline, "the backplane did not take a message in time"))
        })
    }
}

/// Owed, unless it is paid.
struct Debt<'a>(&'a Outbox);

impl Debt<'_> {
    fn paid(self) {
        std::mem::forget(self);
    }
}

impl Drop for Debt<'_> {
    fn drop(&mut self) {
        self.0.owe();
    }
}

/// Adds to the last item where that is of the same kind.
fn add(queue: &mut Vec<(Space, What)>, space: &Space, what: What) {
    match (queue.last_mut(), what) {
        (Some((last, What::Keys(keys))), What::Keys(more)) if last == space => keys.extend(more),
        (Some((last, What::Tags(tags))), What::Tags(more)) if last == space => tags.extend(more),
        (_, what) => queue.push((space.clone(), what)),
    }
}
