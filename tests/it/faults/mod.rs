//! Servers that were never there, die, fall silent, are restarted, emptied, filled up, or talk nonsense, while requests go on: no request fails
//! because of it, every answer is right, attempts are few, and all mends itself.
//!
//! Only here do caches have the short deadline that they have by themselves. Attempts are counted; milliseconds are printed.

mod load;
pub(crate) mod own;
mod places;
mod rogue;
mod servers;
