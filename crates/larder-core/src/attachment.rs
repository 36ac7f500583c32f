//! What is made of cached values is forgotten with them: while a page or a value is being made, the tags of everything read go to it.
//!
//! A task-local notes what is read. What it hands on are the pairs of tag and nonce *as they are stored* with what was read, never read
//! again: a page made of a value that was invalidated meanwhile is then invalid from its first moment.
//!
//! ```
//! use larder_core::{Attachment, attached};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let making = Attachment::new();
//! making
//!     .scope(async {
//!         assert!(Attachment::current().is_some(), "what is read here is noted");
//!         // A task of its own is not a part of this one, unless it is told so.
//!         let noted = tokio::spawn(attached(async { Attachment::current().is_some() })).await;
//!         assert!(noted.is_ok_and(|noted| noted));
//!     })
//!     .await;
//! assert!(Attachment::current().is_none());
//! # }
//! ```

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::cache::Cache;
use crate::entry::Entry;
use crate::tag::{Fill, Nonce, Tag};

/// More tags than these are not attached to one thing: each would have to be looked at whenever it is read.
const MOST_TAGS: usize = 256;

tokio::task_local! {
    static SCOPE: Scope;
}

/// What stands around the code that runs now.
struct Scope {
    /// Made when it is first needed, so that a scope in which nothing is read costs nothing.
    at: OnceLock<Attachment>,
    outside: Option<Attachment>,
    shut: bool,
}

impl Scope {
    fn of(attachment: Attachment) -> Self {
        Self { at: OnceLock::from(attachment), outside: None, shut: false }
    }
}

/// Notes what is read while something is made, for what is made. Clones share their notes.
///
/// `cache_page`, the per-site pair, [`Cache::get_or_set`] and [`Cache::try_get_or_set`] have one around what they run. Who makes things in
/// another way begins one with [`new`](Self::new), runs the making in its [`scope`](Self::scope), and before sealing the fill calls
/// [`give`](Self::give).
///
/// Whatever is noted is also noted by the one that stood around it when it was begun: a page is forgotten with all that went into the
/// fragments of which it is made.
#[derive(Clone)]
pub struct Attachment(Arc<Shared>);

struct Shared {
    outside: Option<Attachment>,
    notes: Mutex<Notes>,
}

#[derive(Clone, Default)]
struct Notes {
    sources: Vec<Source>,
    tags: usize,
    stale: bool,
    too_many: bool,
}

/// What was read from one cache.
#[derive(Clone)]
struct Source {
    cache: Cache,
    pairs: Vec<(Tag, Nonce)>,
    /// Tags of what was made meanwhile and is not stored, so that there are no nonces for them.
    unpaired: Vec<Tag>,
}

/// Why what was read can't guard what is made of it; see [`Attachment::give`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unattachable {
    /// A tagged value was read from another cache: an invalidation there would not be noticed here.
    Foreign,
    /// Something stale was read.
    Stale,
    /// What was read has more tags, in all, than one entry may carry.
    TooMany,
}

impl Attachment {
    /// Begins to note, within what stands around the caller.
    #[must_use]
    pub fn new() -> Self {
        Self::within(Self::current())
    }

    fn within(outside: Option<Self>) -> Self {
        Self(Arc::new(Shared { outside, notes: Mutex::default() }))
    }

    /// The one in whose scope the caller runs.
    #[must_use]
    pub fn current() -> Option<Self> {
        let current = |scope: &Scope| {
            let begin = || Self::within(scope.outside.clone());
            (!scope.shut).then(|| scope.at.get_or_init(begin).clone())
        };
        SCOPE.try_with(current).ok().flatten()
    }

    /// Runs a future so that what it reads is noted here. Not what tasks read that it spawns; for those there is [`attached`].
    pub fn scope<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        SCOPE.scope(Scope::of(self.clone()), future)
    }

    /// The same for code that does not wait: a template that is rendered, or what runs on a thread that may block.
    pub fn sync_scope<R>(&self, run: impl FnOnce() -> R) -> R {
        SCOPE.sync_scope(Scope::of(self.clone()), run)
    }

    /// Runs a future in a scope of its own that takes no room until something is read there; [`current`](Self::current) gives it.
    pub fn lazily<F: Future>(future: F) -> impl Future<Output = F::Output> + use<F> {
        let scope = Scope { at: OnceLock::new(), outside: Self::current(), shut: false };
        SCOPE.scope(scope, future)
    }

    /// Notes that an entry of `cache` was read, and whether it is stale. The low-level API does it for all it reads.
    pub fn read(&self, cache: &Cache, entry: &Entry) {
        self.note(cache, &entry.stamp().tags, &[]);
    }

    /// Notes that something with these tags was made and not stored in `cache`, and that what is being made here is made of it.
    pub fn made(&self, cache: &Cache, tags: &[Tag]) {
        self.note(cache, &[], tags);
    }

    /// Notes that something stale was read: what is made of it is not stored.
    pub fn read_stale(&self) {
        self.each(|notes| notes.stale = true);
    }

    /// Notes pairs as they are stored, and tags of something that is not stored.
    pub(crate) fn note(&self, cache: &Cache, pairs: &[(Tag, Nonce)], unpaired: &[Tag]) {
        if !pairs.is_empty() || !unpaired.is_empty() {
            self.each(|notes| notes.add(cache, pairs, unpaired));
        }
    }

    /// Notes all that another has noted: what was made there is used here.
    pub fn absorb(&self, other: &Self) {
        if Arc::ptr_eq(&self.0, &other.0) {
            return;
        }
        let theirs = other.0.notes.lock().clone();
        self.each(|notes| {
            notes.stale |= theirs.stale;
            notes.too_many |= theirs.too_many;
            for source in &theirs.sources {
                notes.add(&source.cache, &source.pairs, &source.unpaired);
            }
        });
    }

    /// For this and all those around it.
    fn each(&self, edit: impl Fn(&mut Notes)) {
        let mut at = Some(self);
        while let Some(one) = at {
            edit(&mut one.0.notes.lock());
            at = one.0.outside.as_ref();
        }
    }

    /// Why what was noted so far can't be handed to something stored in `cache`, if that is so.
    #[must_use]
    pub fn refusal(&self, cache: &Cache) -> Option<Unattachable> {
        let notes = self.0.notes.lock();
        let foreign = |source: &Source| match source.unpaired.is_empty() {
            true => !pairs_hold(&source.cache, cache),
            false => !source.cache.shares_store_with(cache),
        };
        match () {
            () if notes.stale => Some(Unattachable::Stale),
            () if notes.too_many => Some(Unattachable::TooMany),
            () if notes.sources.iter().any(foreign) => {
                let source = notes.sources.iter().find(|source| foreign(source));
                told_once(source.map_or("", |source| source.cache.name()), cache.name());
                Some(Unattachable::Foreign)
            }
            () => None,
        }
    }

    /// Hands what was read to a fill in `cache`: the pairs to the fill itself. The tags that it gives back have none; they are for
    /// [`Cache::seal`], beside those that are the fill's own.
    ///
    /// # Errors
    /// If what was read can't guard what was made of it. It must not be stored then.
    pub fn give(&self, cache: &Cache, fill: &mut Fill) -> Result<Vec<Tag>, Unattachable> {
        if let Some(refusal) = self.refusal(cache) {
            return Err(refusal);
        }
        let notes = self.0.notes.lock();
        let mut unpaired = Vec::new();
        for source in &notes.sources {
            fill.inherit_pairs(&source.pairs);
            unpaired.extend(source.unpaired.iter().cloned());
        }
        Ok(unpaired)
    }
}

impl Notes {
    fn add(&mut self, cache: &Cache, pairs: &[(Tag, Nonce)], unpaired: &[Tag]) {
        let known = self.sources.iter().position(|source| source.cache.shares_store_with(cache));
        let at = known.unwrap_or_else(|| {
            self.sources.push(Source { cache: cache.clone(), pairs: Vec::new(), unpaired: Vec::new() });
            self.sources.len() - 1
        });
        for pair in pairs {
            if !self.sources[at].pairs.contains(pair) && self.room() {
                self.sources[at].pairs.push(pair.clone());
            }
        }
        for tag in unpaired {
            let news = !tag.as_str().is_empty() && !self.sources[at].unpaired.contains(tag);
            if news && self.room() {
                self.sources[at].unpaired.push(tag.clone());
            }
        }
    }

    /// Whether there is room for one more, which is taken.
    fn room(&mut self) -> bool {
        self.too_many |= self.tags >= MOST_TAGS;
        self.tags += usize::from(!self.too_many);
        !self.too_many
    }
}

/// Whether nonces of one cache mean anything in another: they are random where processes share a store, so those of a store that merely has
/// the same name are found to be wrong when the fill is sealed.
fn pairs_hold(from: &Cache, to: &Cache) -> bool {
    let both_shared = from.capabilities().shared && to.capabilities().shared;
    from.shares_store_with(to) || (both_shared && from.space() == to.space())
}

fn told_once(from: &str, to: &str) {
    static TOLD: AtomicBool = AtomicBool::new(false);
    if TOLD.swap(true, Ordering::Relaxed) {
        tracing::debug!(target: "larder::decision", from, to, "not stored: made of a tagged value of another cache");
    } else {
        tracing::warn!(
            target: "larder::decision",
            from,
            to,
            "not stored: made of a tagged value of another cache, whose invalidation would go unnoticed; use one cache for both, or attach(false). \
             This is said once"
        );
    }
}

impl Default for Attachment {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachment").field("tags", &self.0.notes.lock().tags).finish_non_exhaustive()
    }
}

impl Unattachable {
    /// As a lower-case word, the same in logs, metrics and tests.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Foreign => "foreign-tags",
            Self::Stale => "made-of-stale",
            Self::TooMany => "too-many-tags",
        }
    }
}

impl fmt::Display for Unattachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Carries the caller's [`Attachment`] into a task of its own: `tokio::spawn(attached(…))`. Without it, what the task reads has nothing to
/// do with what is being made.
///
/// What is read after the page was stored comes too late, so wait for the task.
pub fn attached<F: Future>(future: F) -> impl Future<Output = F::Output> + use<F> {
    let scope = match Attachment::current() {
        Some(current) => Scope::of(current),
        None => Scope { at: OnceLock::new(), outside: None, shut: true },
    };
    SCOPE.scope(scope, future)
}

/// Runs a future whose reads leave no trace on what is being made around it.
pub fn unattached<F: Future>(future: F) -> impl Future<Output = F::Output> + use<F> {
    SCOPE.scope(Scope { at: OnceLock::new(), outside: None, shut: true }, future)
}
