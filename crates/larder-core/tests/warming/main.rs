//! Values kept warm: when they are made, what happens to those that fail, and who makes them.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod fleet;
mod keys;
mod schedule;
mod stage;

use stage::Stage;
