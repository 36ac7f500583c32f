//! One connection that many requests share: what they ask is written together, and the answers come back in the order of the questions.
//!
//! A request that is given up leaves its place in the order: its answer is read and dropped. Whatever else goes wrong ends the whole
//! connection: an answer that belongs to another question, one that does not come, one that is no answer.

mod reader;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::codec::{Command, Kind, Reply};
use super::health::{Ended, Health};
use reader::Reader;
use writer::Writer;

/// How many requests may be written and unanswered.
const IN_FLIGHT: usize = 4096;
const BUFFER: usize = 64 << 10;

/// Commands of one request, and who waits for their replies.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) commands: Vec<Command>,
    pub(crate) reply: oneshot::Sender<Vec<Reply>>,
    pub(crate) weight: Weight,
}

/// Bytes that wait to be written, counted as long as this lives.
#[derive(Debug)]
pub(crate) struct Weight {
    bytes: usize,
    total: Arc<AtomicUsize>,
}

impl Weight {
    /// Counts `bytes` in; `None` if the total would be more than `most`.
    pub(crate) fn take(total: &Arc<AtomicUsize>, bytes: usize, most: usize) -> Option<Self> {
        let weight = Self { bytes, total: Arc::clone(total) };
        let before = total.fetch_add(bytes, Ordering::Relaxed);
        (before.saturating_add(bytes) <= most).then_some(weight)
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A request that was written, or is about to be.
struct Asked {
    first: u64,
    kinds: Vec<Kind>,
    reply: oneshot::Sender<Vec<Reply>>,
}

/// How far the writing has come.
struct Written {
    /// How many commands were written entirely.
    commands: AtomicU64,
    /// When something was written last.
    last: Mutex<Instant>,
}

/// Serves requests until nobody can send any more, or the connection fails.
pub(crate) async fn serve(
    from: impl AsyncRead + Unpin,
    to: impl AsyncWrite + Unpin,
    jobs: &mut mpsc::Receiver<Job>,
    silence: Duration,
    health: &Health,
) -> Result<(), Ended> {
    let written = Written { commands: AtomicU64::new(0), last: Mutex::new(Instant::now()) };
    let (asked, mut answering) = mpsc::channel(IN_FLIGHT);
    let writer = Writer::new(to, asked, &written, health);
    let reader = Reader::new(from, silence, &written, health);
    tokio::try_join!(writer.run(jobs), reader.run(&mut answering)).map(|_| ())
}
