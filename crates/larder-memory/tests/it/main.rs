//! `Memory` against its promises, by topic.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod bounds;
mod model;
mod names;
mod ratio;
mod tags;
mod threads;
mod traces;

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use larder_core::{Entry, Key, Nonce, Space, Stamp, Value};

/// The answer of a future that is there at once.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("memory never waits"),
    }
}

fn key(i: usize) -> Key {
    Key::value(&Space::default(), 1, &format!("key{i}"))
}

fn entry(bytes: usize, expires: Option<u64>) -> Entry {
    text(&"x".repeat(bytes), expires)
}

fn text(value: &str, expires: Option<u64>) -> Entry {
    Entry::new(Value::Bytes(value.to_owned().into()), expires, Stamp::untagged(Nonce::from_u128(0)))
}
