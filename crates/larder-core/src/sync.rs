//! What coalescing locks and counts with: here the real thing. `tests/flights.rs` puts Shuttle's in its place, and runs every order of steps
//! that it can think of.

pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic::{AtomicUsize, Ordering};

pub(crate) use parking_lot::Mutex;
