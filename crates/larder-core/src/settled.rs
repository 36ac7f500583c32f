//! Something that becomes known once, and those who wait for it.

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use crate::sync::{Arc, Mutex};

/// Something that becomes known.
pub(crate) struct Settled<T>(Mutex<State<T>>);

struct State<T> {
    value: Option<T>,
    /// Those who wait, each in a place of their own.
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl<T> Settled<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State { value: None, wakers: Vec::new(), free: Vec::new() }))
    }

    /// It is this, whatever it was before.
    pub(crate) fn settle(&self, value: T) {
        let woken = {
            let mut state = self.0.lock();
            state.value = Some(value);
            state.wakers.iter_mut().filter_map(Option::take).collect::<Vec<_>>()
        };
        // Without the lock: who is woken may take it at once.
        woken.into_iter().for_each(Waker::wake);
    }

    /// It is this, unless it is known already.
    pub(crate) fn settle_if_open(&self, value: T) {
        let woken = {
            let mut state = self.0.lock();
            if state.value.is_some() {
                return;
            }
            state.value = Some(value);
            state.wakers.iter_mut().filter_map(Option::take).collect::<Vec<_>>()
        };
        woken.into_iter().for_each(Waker::wake);
    }

    /// Somebody who wants to know.
    pub(crate) fn waiting(settled: &Arc<Self>) -> Waiting<T> {
        Waiting { settled: Arc::clone(settled), place: None }
    }
}

/// Somebody who wants to know.
pub(crate) struct Waiting<T> {
    settled: Arc<Settled<T>>,
    place: Option<usize>,
}

impl<T: Clone> Waiting<T> {
    /// What it is, once it is known. May be dropped at any point, and called again.
    pub(crate) async fn settled(&mut self) -> T {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<T> {
        let mut state = self.settled.0.lock();
        if let Some(value) = &state.value {
            return Poll::Ready(value.clone());
        }
        let waker = Some(cx.waker().clone());
        let place = match (self.place, state.free.pop()) {
            (Some(place), Some(unused)) => {
                state.free.push(unused);
                place
            }
            (Some(place), None) | (None, Some(place)) => place,
            (None, None) => {
                state.wakers.push(None);
                state.wakers.len() - 1
            }
        };
        state.wakers[place] = waker;
        self.place = Some(place);
        Poll::Pending
    }
}

impl<T> Drop for Waiting<T> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let mut state = self.settled.0.lock();
            state.wakers[place] = None;
            state.free.push(place);
        }
    }
}
