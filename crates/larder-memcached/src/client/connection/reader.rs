//! The half that listens.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::BytesMut;
use larder_core::ErrorKind;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{Asked, BUFFER, Written};
use crate::client::codec::{self, Garbage, Kind, Reply};
use crate::client::health::{Ended, Health};

/// How much is reserved at a time for a value: an announcement alone must not take memory.
const LONGEST_RESERVE: usize = 1 << 20;
/// Longer than any connection lasts, and not beyond the clock.
const LONG: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

pub(super) struct Reader<'a, R> {
    from: R,
    buffer: BytesMut,
    silence: Duration,
    /// Since when it has been waiting without a sign.
    heard: Instant,
    /// Rings no later than the silence is too long. Mostly an answer has come by then, and it is set anew: a timer for each question would cost
    /// each a call of the kernel.
    alarm: Pin<Box<Sleep>>,
    written: &'a Written,
    health: &'a Health,
}

impl<'a, R: AsyncRead + Unpin> Reader<'a, R> {
    pub(super) fn new(from: R, silence: Duration, written: &'a Written, health: &'a Health) -> Self {
        let buffer = BytesMut::with_capacity(BUFFER);
        let (heard, silence) = (Instant::now(), silence.min(LONG));
        let alarm = Box::pin(sleep_until(heard + silence));
        Self { from, buffer, silence, heard, alarm, written, health }
    }

    /// Reads until nothing more is awaited.
    pub(super) async fn run(mut self, answering: &mut mpsc::Receiver<Asked>) -> Result<(), Ended> {
        while let Some(asked) = self.next(answering).await? {
            self.heard = Instant::now();
            let mut replies = Vec::with_capacity(asked.kinds.len());
            for (opaque, kind) in (asked.first..).zip(asked.kinds) {
                replies.push(self.reply(kind, opaque).await?);
            }
            self.health.answered();
            // Nobody may be waiting any more.
            _ = asked.reply.send(replies);
        }
        Ok(())
    }

    /// The request whose turn it is to be answered; `None`: there will be none.
    async fn next(&mut self, answering: &mut mpsc::Receiver<Asked>) -> Result<Option<Asked>, Ended> {
        if self.buffer.is_empty() {
            tokio::select! {
                biased;
                asked = answering.recv() => return Ok(asked),
                read = self.from.read_buf(&mut self.buffer) => {
                    if !matches!(read, Ok(1..)) {
                        // A restart, or an idle connection that was closed.
                        return Err(self.health.parted());
                    }
                }
            }
        }
        // Who asked what these bytes answer was noted before it was written.
        match answering.try_recv() {
            Ok(asked) => Ok(Some(asked)),
            Err(_) => Err(self.health.failed(ErrorKind::Backend, "it spoke without being asked")),
        }
    }

    async fn reply(&mut self, kind: Kind, opaque: u64) -> Result<Reply, Ended> {
        loop {
            match codec::take(&mut self.buffer, kind, opaque) {
                Ok(Ok(reply)) => return Ok(reply),
                Ok(Err(missing)) => self.more(missing, opaque).await?,
                Err(Garbage(why)) => return Err(self.health.failed(ErrorKind::Backend, why)),
            }
        }
    }

    /// Reads on, for as long as the server gives signs of life: something comes, or it takes what the answer is to. That it takes what
    /// comes after is no sign, the kernel does that.
    async fn more(&mut self, missing: usize, opaque: u64) -> Result<(), Ended> {
        self.buffer.reserve(missing.clamp(BUFFER / 4, LONGEST_RESERVE));
        loop {
            let writing = self.written.commands.load(Ordering::Acquire) <= opaque;
            let read = tokio::select! {
                biased;
                read = self.from.read_buf(&mut self.buffer) => read,
                () = self.alarm.as_mut() => {
                    self.rung(writing)?;
                    continue;
                }
            };
            return match read {
                Ok(0) => Err(self.health.failed(ErrorKind::Unavailable, "it closed the connection")),
                Ok(_) => {
                    self.heard = Instant::now();
                    Ok(())
                }
                Err(error) => Err(self.health.failed(ErrorKind::Unavailable, error)),
            };
        }
    }

    /// Sets the alarm anew, if it was not the silence that it was set for; `writing`: what is to be answered is not all written yet.
    fn rung(&mut self, writing: bool) -> Result<(), Ended> {
        if Instant::now() >= self.heard + self.silence {
            let last = *self.written.last.lock();
            if !writing || last <= self.heard {
                let why = format!("it has been silent for {:?}", self.silence);
                return Err(self.health.failed(ErrorKind::Deadline, why));
            }
            self.heard = last;
        }
        self.alarm.as_mut().reset(self.heard + self.silence);
        Ok(())
    }
}
