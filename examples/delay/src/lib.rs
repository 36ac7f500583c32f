//! The slow view that everybody begins with: a page that asks an API which takes two seconds, uncached and cached in
//! each of Larder's ways.
//!
//! | path | how it is cached |
//! |---|---|
//! | `/` | the page that loads the others and shows what happened |
//! | `/playground/uncached/` | not at all |
//! | `/playground/hello/` | [`cache_page(900)`](larder::prelude::cache_page) around the handler |
//! | `/playground/lowlevel/` | `cache.get`, and on a miss `cache.set` with a timeout |
//! | `/playground/get_or_set/` | `cache.try_get_or_set`: the same in one call, and once for all who ask at once |
//! | `/site/`, `/site/about/` | the per-site pair around a whole router |
//! | `POST /clear` | empties the cache |
//! | `/calls` | what the stand-in for httpbin was asked so far |
//!
//! Begin to read with [`app`], where the layers are mounted, and go on to `views.rs`.

mod app;
mod cli;
mod client;
pub mod httpbin;
mod render;
mod run;
mod views;

pub use app::{Delay, app};
pub use cli::{Args, Failure};
pub use client::{ApiError, Httpbin};
pub use run::run;
