//! Moving a value to another version.

use std::future::IntoFuture;

use super::Cache;
use super::ops::{Running, operation};
use crate::backend::When;
use crate::error::{Error, ErrorKind};

impl Cache {
    /// Moves a value to the next version and gives that version's number; what stood there is replaced. Its expiry and its tags go with
    /// it. (Django gives it the default timeout, which nobody asked for, and has no tags.)
    ///
    /// It is stored there first and removed here then, so for a moment both are there; a `set` at the old version that comes
    /// between is lost with it.
    ///
    /// # Errors
    /// When awaited: [`NotFound`](ErrorKind::NotFound) if there is no value, [`Value`](ErrorKind::Value) if there is no such version,
    /// what the backend gives, and [`Deadline`](ErrorKind::Deadline).
    pub fn incr_version<'a>(&'a self, key: &'a str) -> MoveVersion<'a> {
        MoveVersion { cache: self, key, version: None, delta: 1, down: false }
    }

    /// Moves a value to the version before; as [`incr_version`](Self::incr_version).
    ///
    /// # Errors
    /// When awaited: as [`incr_version`](Self::incr_version). There is no version below 0.
    pub fn decr_version<'a>(&'a self, key: &'a str) -> MoveVersion<'a> {
        MoveVersion { down: true, ..self.incr_version(key) }
    }
}

/// See [`Cache::incr_version`].
#[must_use = "nothing is moved until it is awaited"]
pub struct MoveVersion<'a> {
    cache: &'a Cache,
    key: &'a str,
    version: Option<u64>,
    delta: u64,
    down: bool,
}

impl MoveVersion<'_> {
    /// By how many versions; 1 unless said otherwise.
    pub fn delta(mut self, delta: u64) -> Self {
        self.delta = delta;
        self
    }
}

operation!(
    MoveVersion,
    u64,
    Set,
    |this| async move {
        let cache = this.cache;
        let from = this.version.unwrap_or(cache.inner.version);
        let to = if this.down { from.checked_sub(this.delta) } else { from.checked_add(this.delta) };
        let to = to.ok_or_else(|| {
            let (delta, way) = (this.delta, if this.down { "down" } else { "up" });
            let text =
                format!("there is no version {delta} {way} from {from}: they are whole numbers, 0 or more");
            Error::new(ErrorKind::Value, text)
        })?;
        let (old, new) = (cache.value_key(this.key, Some(from)), cache.value_key(this.key, Some(to)));
        let Some(entry) = cache.lookup_one(&old).await? else {
            return Err(nothing_to_move());
        };
        // The same place, also if a key function makes nothing of the version.
        if old == new {
            return Ok(to);
        }
        let entry = entry.with_expiry(cache.expiry(&old, &entry).await?);
        cache.overtake(crate::events::Operation::Set, std::slice::from_ref(&new)).await?;
        cache.put(&new, entry, When::Always).await?;
        cache.discard(&old).await?;
        Ok(to)
    },
    or || Err(nothing_to_move())
);

fn nothing_to_move() -> Error {
    Error::new(ErrorKind::NotFound, "there is no value under this key to move; set it first")
}
