//! Layers that set caching headers: Django's `never_cache`, `cache_control`, `vary_on_headers`, and conditional requests.
//!
//! They store nothing. Where they stand matters: inside a caching layer, they tell it what to do; outside, they only tell clients.

mod cache_control;
mod conditional_get;
mod never_cache;
mod preconditions;
mod server_timing;
mod service;
mod vary_on;

#[cfg(test)]
mod tests;

pub use cache_control::{CacheControlLayer, cache_control};
pub use conditional_get::{ConditionalGetLayer, ConditionalGetService, conditional_get};
pub use never_cache::{NeverCacheLayer, never_cache};
pub use preconditions::{PreconditionsLayer, PreconditionsService, preconditions, preconditions_of};
pub use server_timing::{ServerTimingFuture, ServerTimingLayer, ServerTimingService, server_timing};
pub use service::{Edit, HeaderFuture, HeaderService};
pub use vary_on::{VaryOnLayer, vary_on};
