//! `cargo bench -p larder-benches`: how long the pieces take that a request is made of.
//!
//! One file a room: what `larder-http` reads and writes, what `larder-core` keys and packs, what `larder-memory` keeps,
//! and whole requests by rows.

mod core;
mod http;
mod memory;
mod requests;

use criterion::{criterion_group, criterion_main};

criterion_group!(
    pieces,
    http::fields,
    http::stored,
    core::keys,
    core::packed,
    memory::store,
    memory::stamps,
    requests::rows
);
criterion_main!(pieces);
