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
//! | [`backend_suite!`], [`nothing_suite!`] | mount the suite; the second is for backends that keep nothing |
//! | [`suite`] | the tests, one module a topic |
//! | [`schedules`] | random schedules against a model: is what was forgotten really forgotten? |
//! | [`Stage`] | a store, the hand of its clock, and more handles on the same store |
//! | [`Plain`] | the least that a backend author may write, over a map |
//! | [`Faulty`], [`Fault`], [`Faults`] | any backend with errors, hangs, delays and damaged values on top, and a count of what was called |
//! | [`ManualClock`] | the clock that a test moves by hand |

mod faulty;
mod mount;
mod plain;
pub mod schedules;
mod stage;
pub mod suite;

pub use faulty::{Fault, Faults, Faulty, Op};
pub use larder_core::ManualClock;
pub use mount::__run;
pub use plain::Plain;
pub use stage::Stage;

/// A fresh cache that nobody shares, for a test of what uses one: over a [`Plain`] of its own, with a clock that stands still, so
/// nothing in it expires.
///
/// Where time has to pass, take [`Plain::stage`] and its [`cache`](Stage::cache).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), larder_core::Error> {
/// let cache = larder_testkit::cache();
/// cache.set("key", "value").await?;
/// assert!(!larder_testkit::cache().has_key("key").await?, "each is its own");
/// # Ok(())
/// # }
/// ```
pub fn cache() -> larder_core::Cache {
    Plain::stage().cache()
}
