//! Sessions whose copy in the cache could not be taken away when their original changed.

use std::collections::HashSet;

use larder_core::{Error, ErrorKind};
use parking_lot::Mutex;

use crate::plain::digest;
use crate::shelf::Shelf;

/// How many are remembered; beyond it, writing fails.
const MOST: usize = 100_000;

/// They are read from the durable store, in this process, until the copy is gone.
#[derive(Debug, Default)]
pub(crate) struct Unreached(Mutex<HashSet<[u8; 32]>>);

impl Unreached {
    /// Notes one.
    ///
    /// # Errors
    /// When there are too many.
    pub(crate) fn note(&self, id: i128) -> Result<(), Error> {
        let mut noted = self.0.lock();
        if noted.len() >= MOST {
            let text = "the cache has been out of reach for so long that no more sessions can be kept apart from their old copies";
            return Err(Error::new(ErrorKind::Unavailable, text));
        }
        noted.insert(digest(id));
        Ok(())
    }

    pub(crate) fn forget(&self, id: i128) {
        let mut noted = self.0.lock();
        if !noted.is_empty() {
            noted.remove(&digest(id));
        }
    }

    /// Whether the copy of this session may be trusted; one that may not is taken away if the cache can be reached by now.
    pub(crate) async fn trusts(&self, shelf: &Shelf, id: i128) -> bool {
        let is_noted = {
            let noted = self.0.lock();
            !noted.is_empty() && noted.contains(&digest(id))
        };
        if is_noted {
            match shelf.mark(id).await {
                Ok(_) => self.forget(id),
                Err(_) => return false,
            }
        }
        true
    }
}
