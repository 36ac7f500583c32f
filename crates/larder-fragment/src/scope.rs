//! What the thread knows that renders: how it may wait, which fragments it is in the middle of, and the handles whose waits
//! add up.

use std::cell::RefCell;
use std::fmt;

use larder_core::{Attachment, Cache};

use crate::drive::Patience;
#[cfg(feature = "tera")]
use crate::fill::Making;

thread_local! {
    static RENDERS: RefCell<Vec<Render>> = const { RefCell::new(Vec::new()) };
}

/// One rendering.
#[derive(Debug)]
struct Render {
    patience: Patience,
    /// One for each cache, so that all fragments together wait no longer for a store than one may.
    handles: Vec<Cache>,
    /// The fragments whose bodies are being rendered, the innermost last.
    open: Vec<Open>,
    /// Those of engines that come back with the body, by number.
    #[cfg(feature = "tera")]
    aside: Vec<(u64, Making)>,
}

/// A fragment whose body is being rendered.
#[derive(Debug)]
struct Open {
    cache: Cache,
    key: String,
    /// Notes what it is made of.
    reads: Option<Attachment>,
}

/// A rendering on this thread, until it is dropped.
pub(crate) struct Scope {
    entered: bool,
}

impl Scope {
    /// A rendering of its own, that may wait like this.
    pub(crate) fn begin(patience: Patience) -> Self {
        let render = Render {
            patience,
            handles: Vec::new(),
            open: Vec::new(),
            #[cfg(feature = "tera")]
            aside: Vec::new(),
        };
        RENDERS.with_borrow_mut(|renders| renders.push(render));
        Self { entered: true }
    }

    /// The rendering that is under way on this thread, or one that begins now.
    pub(crate) fn join() -> Self {
        match RENDERS.with_borrow(Vec::is_empty) {
            true => Self::begin(Patience::here()),
            false => Self { entered: false },
        }
    }

    /// Whether the rendering was there before.
    #[cfg(feature = "tera")]
    pub(crate) fn is_joined(&self) -> bool {
        !self.entered
    }

    pub(crate) fn patience(&self) -> Patience {
        with(|render| render.patience).unwrap_or(Patience::Now)
    }

    /// The handle of this rendering on a cache.
    pub(crate) fn handle(&self, cache: &Cache) -> Cache {
        let found = with(|render| {
            if let Some(known) = render.handles.iter().find(|known| known.is_same(cache)) {
                return known.clone();
            }
            let handle = cache.for_request();
            render.handles.push(handle.clone());
            handle
        });
        found.unwrap_or_else(|| cache.for_request())
    }

    /// Whether the body of this fragment is being rendered right now, so that it would wait for itself.
    pub(crate) fn is_open(&self, cache: &Cache, key: &str) -> bool {
        with(|render| render.open.iter().any(|open| open.cache.is_same(cache) && open.key == key))
            .unwrap_or(false)
    }

    /// Whether this is inside the body of a fragment.
    pub(crate) fn is_nested(&self) -> bool {
        with(|render| !render.open.is_empty()).unwrap_or(false)
    }

    pub(crate) fn enter(&self, cache: &Cache, key: &str, reads: Option<Attachment>) -> Body {
        let depth = with(|render| {
            render.open.push(Open { cache: cache.clone(), key: key.to_owned(), reads });
            render.open.len()
        });
        Body { depth: depth.unwrap_or(0) }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        if self.entered {
            let render = RENDERS.with_borrow_mut(Vec::pop);
            // What it put aside looks here when it goes.
            drop(render);
        }
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}

/// The body of a fragment is being rendered, until this is dropped.
#[derive(Debug)]
pub(crate) struct Body {
    depth: usize,
}

impl Drop for Body {
    fn drop(&mut self) {
        with(|render| render.open.truncate(self.depth.saturating_sub(1)));
    }
}

fn with<T>(look: impl FnOnce(&mut Render) -> T) -> Option<T> {
    RENDERS.with_borrow_mut(|renders| renders.last_mut().map(look))
}

/// Runs what belongs to the innermost body, so that what it reads is noted there. Engines that come back with a body do not render it inside of
/// anything that could do so.
pub(crate) fn within_body<T>(run: impl FnOnce() -> T) -> T {
    let reads = with(|render| render.open.last().and_then(|open| open.reads.clone()));
    match reads.flatten() {
        Some(reads) => reads.sync_scope(run),
        None => run(),
    }
}

/// Keeps a fragment until its body is there, or the rendering is over; the number to take it back by. Where no rendering is known of, nobody would
/// ever know that the body failed, and nothing is kept.
#[cfg(feature = "tera")]
pub(crate) fn put_aside(making: Making) -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};

    static NUMBERS: AtomicU64 = AtomicU64::new(0);
    let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
    if making.is_within() {
        with(|render| render.aside.push((number, making)));
    }
    number
}

/// What was [put aside](put_aside). What was put aside after it and is still there failed.
#[cfg(feature = "tera")]
pub(crate) fn take_back(number: u64) -> Option<Making> {
    let later = with(|render| {
        let at = render.aside.iter().position(|(n, _)| *n == number)?;
        Some(render.aside.split_off(at))
    });
    later.flatten()?.into_iter().next().map(|(_, making)| making)
}
