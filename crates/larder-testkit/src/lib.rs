//! What tests of Larder's backends stand on: those of the project, and those of anybody who writes one.
//!
//! [`backend_suite!`] mounts the whole suite over a backend: all that the low-level cache promises, and what
//! `Backend` asks of its authors. A crate with a backend writes a constructor, not tests:
//!
//! ```
//! use larder_testkit::{Plain, Stage};
//!
//! larder_testkit::backend_suite! {
//!     plain => async {
//!         let store = Plain::default();
//!         let same = store.clone();
//!         Stage::opening(move || same.clone()).rewriting(move |key, change| store.rewrite(key, change))
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! | room | what lives there |
//! |---|---|
//! | [`backend_suite!`] | mounts the suite |
//! | [`suite`] | the tests, one module a topic |
//! | [`Stage`] | a store, the hand of its clock, and more handles on the same store |
//! | [`Plain`] | the least that a backend author may write, over a map |
//! | [`ManualClock`] | the clock that a test moves by hand |

mod mount;
mod plain;
mod stage;
pub mod suite;

pub use larder_core::ManualClock;
pub use mount::__run;
pub use plain::Plain;
pub use stage::Stage;
