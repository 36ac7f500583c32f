//! The program as a person or a script runs it.
#![expect(clippy::unwrap_used, reason = "a test may")]

mod failures;
mod program;
mod purge;
mod redis;
mod stores;
mod warm;

use program::{Ran, larder};
