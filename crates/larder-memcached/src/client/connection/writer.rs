//! The half that asks.

use std::sync::atomic::Ordering;

use bytes::{Buf, BytesMut};
use larder_core::ErrorKind;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Asked, BUFFER, Job, Written};
use crate::client::codec::Command;
use crate::client::health::{Ended, Health};

/// How many requests are written together at most.
const BATCH: usize = 128;
/// What is larger is not copied into the buffer of what is written together.
const WRITTEN_ALONE: usize = 16 << 10;

pub(super) struct Writer<'a, W> {
    to: W,
    asked: mpsc::Sender<Asked>,
    written: &'a Written,
    health: &'a Health,
    out: BytesMut,
    /// How many commands are written, or stand in the buffer entirely.
    commands: u64,
}

impl<'a, W: AsyncWrite + Unpin> Writer<'a, W> {
    pub(super) fn new(to: W, asked: mpsc::Sender<Asked>, written: &'a Written, health: &'a Health) -> Self {
        Self { to, asked, written, health, out: BytesMut::with_capacity(BUFFER), commands: 0 }
    }

    /// Writes until nobody can ask any more. Gives the stream back in the end, since dropping it would shut it before the last answers came.
    pub(super) async fn run(mut self, jobs: &mut mpsc::Receiver<Job>) -> Result<W, Ended> {
        let mut batch = Vec::with_capacity(BATCH);
        while jobs.recv_many(&mut batch, BATCH).await > 0 {
            for job in batch.drain(..) {
                // Given up before it was sent: as if it had never been asked.
                if !job.reply.is_closed() {
                    self.send(job).await?;
                }
            }
            self.flush().await?;
        }
        Ok(self.to)
    }

    async fn send(&mut self, job: Job) -> Result<(), Ended> {
        let Job { commands, reply, weight } = job;
        // The reader would wait for answers to what still stands in the buffer.
        if self.asked.capacity() == 0 {
            self.flush().await?;
        }
        let kinds = commands.iter().map(Command::kind).collect();
        // Before it is written, so that the answer never comes to somebody who does not know the question.
        if self.asked.send(Asked { first: self.commands, kinds, reply }).await.is_err() {
            return Err(self.health.parted());
        }
        for command in &commands {
            command.write_line(self.commands, &mut self.out);
            if let Some(data) = command.data() {
                if data.len() < WRITTEN_ALONE {
                    self.out.extend_from_slice(data);
                } else {
                    self.flush().await?;
                    self.write(&mut data.clone()).await?;
                }
                self.out.extend_from_slice(b"\r\n");
            }
            self.commands += 1;
            if self.out.len() >= BUFFER {
                self.flush().await?;
            }
        }
        drop(weight);
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Ended> {
        let mut out = std::mem::take(&mut self.out);
        self.write(&mut out).await?;
        // What is written is cut off the front; the room is taken back where it can be.
        out.reserve(BUFFER / 4);
        self.out = out;
        self.written.commands.store(self.commands, Ordering::Release);
        Ok(())
    }

    async fn write(&mut self, bytes: &mut impl Buf) -> Result<(), Ended> {
        while bytes.has_remaining() {
            match self.to.write_buf(bytes).await {
                Ok(0) => return Err(self.health.failed(ErrorKind::Unavailable, "it takes nothing more")),
                Ok(_) => *self.written.last.lock() = Instant::now(),
                Err(error) => return Err(self.health.failed(ErrorKind::Unavailable, error)),
            }
        }
        Ok(())
    }
}
