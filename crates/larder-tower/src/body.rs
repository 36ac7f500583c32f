//! A body that several read while it is being made.
//!
//! Whoever polls first drives the inner body; what it yields is kept for the others until the end or the limit. No task is spawned
//! for it: the fastest reader sets the pace, and when the last reader goes away before the end, what is left is driven on by a task
//! with a deadline, so that the fill is not lost. Where other processes wait for it, which can't read along, a task drives it from the beginning.
//!
//! Past the limit nothing is stored, nobody new attaches, and a reader who falls a whole limit behind is cut with an error. What breaks
//! off in the middle ends in an error for everybody who got bytes of it, never in a clean end.

mod resumed;
#[cfg(test)]
mod tests;

use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use larder_http::Reason;
use parking_lot::Mutex;

pub(crate) use resumed::Resumed;

/// What is done when the body has ended: with the whole body, or with why there is none.
pub(crate) type OnEnd = Box<dyn FnOnce(Result<Bytes, Reason>) + Send>;

/// What remains to be done when the last reader has gone before the end.
pub(crate) type OnOrphan = Box<dyn FnOnce(SharedBody) + Send>;

/// The shared end of a body. Clones are handles, not readers.
#[derive(Clone)]
pub(crate) struct SharedBody {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    wakers: Arc<Wakers>,
}

struct State {
    source: Option<Body>,
    /// Chunks not yet taken by everybody, beginning with number `base`.
    chunks: std::collections::VecDeque<Bytes>,
    base: usize,
    buffered: usize,
    total: u64,
    limit: usize,
    /// What `Content-Length` or the body itself promised.
    expected: Option<u64>,
    over: bool,
    trailers: Option<HeaderMap>,
    end: Option<End>,
    /// The position of each reader.
    readers: Vec<Option<usize>>,
    on_end: Option<OnEnd>,
    on_orphan: Option<OnOrphan>,
    /// It is driven beside its readers.
    driven: bool,
}

#[derive(Clone)]
enum End {
    Complete,
    Failed(Arc<str>),
}

/// Wakes all who wait for the next chunk.
#[derive(Default)]
struct Wakers(Mutex<Waiting>);

/// One waker for each who waits, so that those who come and go while nothing happens leave nothing behind.
#[derive(Default)]
struct Waiting {
    /// By the number of the reader.
    readers: Vec<Option<Waker>>,
    driver: Option<Waker>,
}

/// Who waits for the next chunk.
#[derive(Clone, Copy)]
enum Who {
    Reader(usize),
    Driver,
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let waiting = std::mem::take(&mut *self.0.lock());
        for waker in waiting.readers.into_iter().flatten().chain(waiting.driver) {
            waker.wake();
        }
    }
}

impl Wakers {
    fn add(&self, who: Who, waker: &Waker) {
        let mut waiting = self.0.lock();
        let place = match who {
            Who::Driver => &mut waiting.driver,
            Who::Reader(slot) => {
                let most = waiting.readers.len().max(slot + 1);
                waiting.readers.resize(most, None);
                &mut waiting.readers[slot]
            }
        };
        match place {
            Some(known) => known.clone_from(waker),
            None => *place = Some(waker.clone()),
        }
    }

    fn remove(&self, slot: usize) {
        let gone = self.0.lock().readers.get_mut(slot).and_then(Option::take);
        drop(gone);
    }
}

/// Wakes those who wait if the body panics in the hands of one of them.
struct Alarm<'a>(&'a Arc<Wakers>);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.wake_by_ref();
        }
    }
}

/// What reading a body to its end at once gave.
pub(crate) enum Drained {
    /// All of it, without waiting.
    Whole(Bytes),
    /// It is not there yet, or too large: what came so far, and the rest.
    Partly(Vec<Bytes>, Body),
    /// It broke or has trailers: what came so far, and the body that goes on to say so.
    Unfit(Reason, Vec<Bytes>, Body, Option<Frame<Bytes>>, Option<axum::Error>),
}

/// How many pieces are read at once; a body that is always ready must not keep the thread.
const PIECES: usize = 1024;

/// Reads what can be read without waiting.
pub(crate) fn drain_now(mut body: Body, limit: usize) -> Drained {
    let mut cx = Context::from_waker(Waker::noop());
    let (mut chunks, mut total) = (Vec::new(), 0usize);
    loop {
        if total > limit || chunks.len() >= PIECES {
            return Drained::Partly(chunks, body);
        }
        match Pin::new(&mut body).poll_frame(&mut cx) {
            Poll::Pending => return Drained::Partly(chunks, body),
            Poll::Ready(None) => return Drained::Whole(join(chunks)),
            Poll::Ready(Some(Err(error))) => {
                return Drained::Unfit(Reason::BodyError, chunks, body, None, Some(error));
            }
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => {
                    total = total.saturating_add(data.len());
                    chunks.push(data);
                }
                Err(other) => return Drained::Unfit(Reason::Trailers, chunks, body, Some(other), None),
            },
        }
    }
}

fn join(mut chunks: Vec<Bytes>) -> Bytes {
    match chunks.len() {
        0 => Bytes::new(),
        1 => chunks.swap_remove(0),
        _ => {
            let mut whole = BytesMut::with_capacity(chunks.iter().map(Bytes::len).sum());
            for chunk in &chunks {
                whole.extend_from_slice(chunk);
            }
            whole.freeze()
        }
    }
}

impl SharedBody {
    /// Shares `source`, of which `begun` was read already.
    pub(crate) fn new(
        source: Body,
        begun: Vec<Bytes>,
        limit: usize,
        expected: Option<u64>,
        on_end: OnEnd,
        on_orphan: OnOrphan,
    ) -> Self {
        let buffered = begun.iter().map(Bytes::len).sum();
        let state = State {
            source: Some(source),
            chunks: begun.into(),
            base: 0,
            buffered,
            total: buffered as u64,
            limit,
            expected,
            over: false,
            trailers: None,
            end: None,
            readers: Vec::new(),
            on_end: Some(on_end),
            on_orphan: Some(on_orphan),
            driven: false,
        };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), wakers: Arc::default() }) }
    }

    /// A reader from the beginning; `None` once the limit was passed or the body failed.
    pub(crate) fn reader(&self) -> Option<Reader> {
        let mut state = self.shared.state.lock();
        if state.base > 0 || state.over || matches!(state.end, Some(End::Failed(_))) {
            return None;
        }
        let slot = state.readers.iter().position(Option::is_none).unwrap_or_else(|| {
            state.readers.push(None);
            state.readers.len() - 1
        });
        state.readers[slot] = Some(0);
        Some(Reader { shared: Arc::clone(&self.shared), slot })
    }

    /// Drives the body to its end, reading nothing.
    pub(crate) async fn drive(&self) {
        std::future::poll_fn(|cx| {
            let (wakers, mut after, mut moved) = (&self.shared.wakers, None, false);
            let poll = {
                let mut state = self.shared.state.lock();
                loop {
                    if state.end.is_some() || state.over {
                        break Poll::Ready(());
                    }
                    wakers.add(Who::Driver, cx.waker());
                    match state.advance(wakers) {
                        Poll::Ready(done) => {
                            moved = true;
                            after = after.or(done);
                        }
                        Poll::Pending => break Poll::Pending,
                    }
                }
            };
            if let Some(done) = after {
                done();
            }
            // Only then: this wakes the driver too, which would never rest.
            if moved {
                wakers.wake_by_ref();
                if poll.is_pending() {
                    wakers.add(Who::Driver, cx.waker());
                }
            }
            poll
        })
        .await;
    }
}

impl SharedBody {
    /// It will not be stored: once nobody reads it any more, nobody drives it on.
    pub(crate) fn ends_with_its_readers(&self) {
        self.shared.state.lock().on_orphan = None;
    }

    /// Gives the body up: it is not stored, and whoever still reads gets an error.
    pub(crate) fn abandon(&self) {
        let on_end = {
            let mut state = self.shared.state.lock();
            if state.end.is_none() {
                state.end = Some(End::Failed("the body was given up before its end".into()));
                state.source = None;
            }
            state.on_end.take()
        };
        if let Some(on_end) = on_end {
            on_end(Err(Reason::ClientGone));
        }
        self.shared.wakers.wake_by_ref();
    }

    /// Drives the body to its end, or until it can't be stored any more: what is left then is for those who still read it. If this is
    /// dropped before, the body is given up.
    pub(crate) fn finish(self) -> impl Future<Output = ()> + Send {
        let mut guard = Abandon(Some(self));
        async move {
            if let Some(body) = &guard.0 {
                body.drive().await;
            }
            drop(guard.0.take());
        }
    }
}

impl SharedBody {
    /// Drives the body on beside its readers, so that nobody elsewhere waits for the slowest of them. If this is dropped before the end, they set the
    /// pace again; if none is left, the body is given up.
    ///
    /// `None`: it has no readers any more, and is driven without them.
    pub(crate) fn drive_beside(self) -> Option<impl Future<Output = ()> + Send> {
        {
            let mut state = self.shared.state.lock();
            if state.driven || state.end.is_some() || state.on_orphan.is_none() {
                return None;
            }
            state.driven = true;
        }
        let driver = Driver(self);
        Some(async move { driver.0.drive().await })
    }
}

struct Driver(SharedBody);

impl Drop for Driver {
    fn drop(&mut self) {
        let left = {
            let mut state = self.0.shared.state.lock();
            state.driven = false;
            state.end.is_none() && !state.over && state.readers.iter().all(Option::is_none)
        };
        if left {
            self.0.abandon();
        }
    }
}

/// Gives a body up that is still in it when this is dropped.
struct Abandon(Option<SharedBody>);

impl Drop for Abandon {
    fn drop(&mut self) {
        if let Some(body) = &self.0 {
            body.abandon();
        }
    }
}

impl fmt::Debug for SharedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedBody").finish_non_exhaustive()
    }
}

/// Something to run once the lock is released.
type After = Option<Box<dyn FnOnce() + Send>>;

impl State {
    /// Asks the source for its next frame.
    fn advance(&mut self, wakers: &Arc<Wakers>) -> Poll<After> {
        // Taken out while it is asked: a body that panicked is not there to be asked again.
        let frame = match self.source.take() {
            None => Some(Err(axum::Error::new("the body panicked"))),
            Some(mut source) => {
                let waker = Waker::from(Arc::clone(wakers));
                let alarm = Alarm(wakers);
                let poll = Pin::new(&mut source).poll_frame(&mut Context::from_waker(&waker));
                drop(alarm);
                self.source = Some(source);
                match poll {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(frame) => frame,
                }
            }
        };
        let ended = match frame {
            None => Some(self.whole()),
            Some(Err(error)) => {
                self.end = Some(End::Failed(error.to_string().into()));
                Some(Err(Reason::BodyError))
            }
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => self.take(data),
                Err(other) => {
                    self.trailers = other.into_trailers().ok();
                    self.give_up(Reason::Trailers)
                }
            },
        };
        let Some(outcome) = ended else { return Poll::Ready(None) };
        if self.end.is_some() {
            self.source = None;
        }
        let on_end = self.on_end.take();
        Poll::Ready(on_end.map(|on_end| Box::new(move || on_end(outcome)) as Box<dyn FnOnce() + Send>))
    }

    fn take(&mut self, data: Bytes) -> Option<Result<Bytes, Reason>> {
        self.total = self.total.saturating_add(data.len() as u64);
        self.buffered += data.len();
        self.chunks.push_back(data);
        if self.expected.is_some_and(|expected| self.total > expected) {
            return self.give_up(Reason::Truncated);
        }
        let source_ended = self.source.as_ref().is_some_and(HttpBody::is_end_stream);
        if source_ended && self.expected.is_none_or(|expected| self.total == expected) {
            return Some(self.whole());
        }
        if self.buffered > self.limit && !self.over {
            self.over = true;
            return self.give_up(Reason::TooLarge);
        }
        if self.over {
            self.trim();
        }
        None
    }

    /// The body goes on, but it will not be stored.
    fn give_up(&mut self, reason: Reason) -> Option<Result<Bytes, Reason>> {
        self.over = true;
        self.on_end.is_some().then_some(Err(reason))
    }

    /// The source has ended cleanly.
    fn whole(&mut self) -> Result<Bytes, Reason> {
        if self.expected.is_some_and(|expected| expected != self.total) {
            self.end = Some(End::Failed("the body ended before its announced length".into()));
            return Err(Reason::Truncated);
        }
        self.end = Some(End::Complete);
        // The last piece may be the one that is too much.
        if self.over || self.total > self.limit as u64 {
            return Err(Reason::TooLarge);
        }
        let whole = join(self.chunks.iter().cloned().collect());
        Ok(whole)
    }

    /// Forgets what everybody has read, and what the slowest is too far behind with.
    fn trim(&mut self) {
        let slowest = self.readers.iter().flatten().min().copied().unwrap_or(usize::MAX);
        while self.base < slowest || self.buffered > self.limit.max(1) * 2 {
            let Some(chunk) = self.chunks.pop_front() else { break };
            self.buffered -= chunk.len();
            self.base += 1;
        }
    }
}

/// One reader of a [`SharedBody`].
pub(crate) struct Reader {
    shared: Arc<Shared>,
    slot: usize,
}

impl HttpBody for Reader {
    type Data = Bytes;
    type Error = Box<dyn StdError + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let wakers = &self.shared.wakers;
        let mut after: After = None;
        let mut moved = false;
        let poll = {
            let mut state = self.shared.state.lock();
            loop {
                let at = state.readers[self.slot].unwrap_or(usize::MAX);
                if at < state.base {
                    break Poll::Ready(Some(Err(
                        "this reader fell too far behind a body that is too large to keep".into(),
                    )));
                }
                if let Some(chunk) = state.chunks.get(at - state.base).cloned() {
                    state.readers[self.slot] = Some(at + 1);
                    if state.over {
                        state.trim();
                    }
                    break Poll::Ready(Some(Ok(Frame::data(chunk))));
                }
                match &state.end {
                    Some(End::Failed(why)) => break Poll::Ready(Some(Err(why.to_string().into()))),
                    Some(End::Complete) => {
                        // Trailers once, after the last chunk.
                        let last = state.base + state.chunks.len();
                        if at == last
                            && let Some(trailers) = state.trailers.clone()
                        {
                            state.readers[self.slot] = Some(last + 1);
                            break Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                        }
                        break Poll::Ready(None);
                    }
                    None => {}
                }
                wakers.add(Who::Reader(self.slot), cx.waker());
                match state.advance(wakers) {
                    Poll::Ready(done) => {
                        moved = true;
                        after = after.or(done);
                    }
                    Poll::Pending => break Poll::Pending,
                }
            }
        };
        if let Some(done) = after {
            done();
        }
        if moved {
            wakers.wake_by_ref();
            if poll.is_pending() {
                wakers.add(Who::Reader(self.slot), cx.waker());
            }
        }
        poll
    }

    fn is_end_stream(&self) -> bool {
        let state = self.shared.state.lock();
        let at = state.readers[self.slot].unwrap_or(usize::MAX);
        matches!(state.end, Some(End::Complete))
            && state.trailers.is_none()
            && at >= state.base + state.chunks.len()
    }

    fn size_hint(&self) -> SizeHint {
        let state = self.shared.state.lock();
        match state.expected {
            None => SizeHint::default(),
            Some(expected) => {
                let at = state.readers[self.slot].unwrap_or(0);
                // Exact only from the beginning, which is when servers ask; later a lower bound does no harm.
                if at == 0 { SizeHint::with_exact(expected) } else { SizeHint::default() }
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let orphan = {
            let mut state = self.shared.state.lock();
            self.shared.wakers.remove(self.slot);
            state.readers[self.slot] = None;
            if state.readers.iter().any(Option::is_some) || state.end.is_some() || state.over || state.driven
            {
                return;
            }
            state.on_orphan.take()
        };
        let body = SharedBody { shared: Arc::clone(&self.shared) };
        match orphan {
            // While it panics there is nothing left to drive.
            Some(_) if std::thread::panicking() => body.abandon(),
            Some(orphan) => orphan(body),
            // It is being driven already, by a task that gives it up itself if it has to.
            None => {}
        }
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}
