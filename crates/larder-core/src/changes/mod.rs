//! An application's event bus: which tags a change of its data makes out of date. Django: receivers of `post_save` and `post_delete`.
//!
//! ```
//! use larder_core::{Cache, Changes, Dummy};
//!
//! struct Course {
//!     id: u64,
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), larder_core::Error> {
//! # let cache = Cache::new(Dummy);
//! // Once, beside the application's state:
//! let changes = Changes::new(&cache)
//!     .on(|course: &Course| [format!("course:{}", course.id), "course_list".into()]);
//!
//! // Wherever a course was saved or deleted:
//! let course = Course { id: 7 };
//! changes.changed(&course).await?;
//! changes.deleted(&course).await?;
//! # Ok(()) }
//! ```
//!
//! # What is promised
//! - All receivers of the type add up, and what they name is invalidated by one call on each cache. Once it returned `Ok`, nothing that carries one
//!   of the tags and whose fill began before the call is served, as [`Cache::invalidate`] promises.
//! - Effects ([`Changes::then`]) run afterwards, one after another.
//! - What was begun goes on if nobody waits for it any more: a client that goes away takes no invalidation with it.
//! - A receiver that panics, or whose effect fails, keeps no other from being heard; the error names its type and its place in the source.
//!
//! Call it after the commit: what is told before can be made again from the old data. A process that dies between the two has told nobody; where that
//! must not be, the tags belong into the transaction itself ([`Changes::tags_of`] gives them).

mod changing;

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;

pub use changing::Changing;

use crate::cache::Cache;
use crate::caches::Caches;
use crate::error::{Error, ErrorKind};
use crate::tag::Tag;

/// What happened to it. Django: `post_save` with `created`, `post_save` without, `post_delete`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// It is new.
    Created,
    /// It was there, and is another now.
    Updated,
    /// It is gone.
    Deleted,
}

impl Change {
    /// As a lower-case word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who hears of which change, and the caches that follow. An ordinary value: put it into the application's state. Clones share what was registered
/// before.
#[derive(Clone)]
pub struct Changes {
    caches: Vec<Cache>,
    receivers: Arc<HashMap<TypeId, Vec<Receiver>>>,
}

type Source = Box<dyn StdError + Send + Sync>;
type Effect = Pin<Box<dyn Future<Output = Result<(), Source>> + Send>>;

type Hear<R> = dyn Fn(&dyn Any, Change) -> R + Send + Sync;

#[derive(Clone)]
struct Receiver {
    at: &'static Location<'static>,
    hears: Hears,
}

#[derive(Clone)]
enum Hears {
    Tags(Arc<Hear<Vec<Tag>>>),
    Then(Arc<Hear<Effect>>),
}

impl Changes {
    /// Nobody hears of anything yet. What is told will be invalidated in all of these caches: one, or all aliases of [`Caches`].
    pub fn new(caches: impl Into<Caches>) -> Self {
        Self { caches: caches.into().distinct(), receivers: Arc::default() }
    }

    /// Names the tags that go out of date with a `T`, whatever happened to it. What is registered twice is heard twice.
    #[must_use = "the receiver is in what this returns"]
    #[track_caller]
    pub fn on<T: Any, R>(self, tags: impl Fn(&T) -> R + Send + Sync + 'static) -> Self
    where
        R: IntoIterator,
        R::Item: Into<Tag>,
    {
        self.on_change(move |it, _| tags(it))
    }

    /// The same, by what happened.
    ///
    /// ```
    /// # use larder_core::{Cache, Change, Changes, Dummy};
    /// # struct Course { id: u64 }
    /// let changes = Changes::new(Cache::new(Dummy)).on_change(|course: &Course, change| {
    ///     let list = (change != Change::Updated).then(|| "course_list".to_owned());
    ///     [format!("course:{}", course.id)].into_iter().chain(list)
    /// });
    /// ```
    #[must_use = "the receiver is in what this returns"]
    #[track_caller]
    pub fn on_change<T: Any, R>(self, tags: impl Fn(&T, Change) -> R + Send + Sync + 'static) -> Self
    where
        R: IntoIterator,
        R::Item: Into<Tag>,
    {
        let named = move |it: &dyn Any, change| match it.downcast_ref::<T>() {
            Some(it) => tags(it, change).into_iter().map(Into::into).collect(),
            // The map is keyed by the type, so this is never so.
            None => Vec::new(),
        };
        self.add::<T>(Location::caller(), Hears::Tags(Arc::new(named)))
    }

    /// Has something done after the tags were invalidated: a page warmed, a search index told. The closure takes out of the `T` what the future needs.
    ///
    /// ```
    /// # use larder_core::{Cache, Changes, Dummy};
    /// # struct Course { id: u64 }
    /// # async fn reindex(_: u64) -> std::io::Result<()> { Ok(()) }
    /// let changes = Changes::new(Cache::new(Dummy)).then(|course: &Course, _| reindex(course.id));
    /// ```
    #[must_use = "the receiver is in what this returns"]
    #[track_caller]
    pub fn then<T: Any, F, E>(self, effect: impl Fn(&T, Change) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Source>,
    {
        let begun = move |it: &dyn Any, change| -> Effect {
            match it.downcast_ref::<T>() {
                Some(it) => {
                    let effect = effect(it, change);
                    Box::pin(async move { effect.await.map_err(Into::into) })
                }
                None => Box::pin(async { Ok(()) }),
            }
        };
        self.add::<T>(Location::caller(), Hears::Then(Arc::new(begun)))
    }

    fn add<T: Any>(mut self, at: &'static Location<'static>, hears: Hears) -> Self {
        let receivers = Arc::make_mut(&mut self.receivers);
        receivers.entry(TypeId::of::<T>()).or_default().push(Receiver { at, hears });
        self
    }

    /// Whether anybody hears of a `T`.
    pub fn hears<T: Any>(&self) -> bool {
        self.receivers.contains_key(&TypeId::of::<T>())
    }

    /// Tells of one that was updated, or saved without anybody knowing whether it is new.
    ///
    /// # Errors
    /// When awaited: as [`Changes::tell_all`].
    ///
    /// # Cancel safety
    /// As there.
    pub fn changed<T: Any>(&self, it: &T) -> Changing {
        self.tell_all(Change::Updated, [it])
    }

    /// Tells of one that is new.
    ///
    /// # Errors
    /// When awaited: as [`Changes::tell_all`].
    ///
    /// # Cancel safety
    /// As there.
    pub fn created<T: Any>(&self, it: &T) -> Changing {
        self.tell_all(Change::Created, [it])
    }

    /// Tells of one that is gone.
    ///
    /// # Errors
    /// When awaited: as [`Changes::tell_all`].
    ///
    /// # Cancel safety
    /// As there.
    pub fn deleted<T: Any>(&self, it: &T) -> Changing {
        self.tell_all(Change::Deleted, [it])
    }

    /// Tells of several that were updated, with one invalidation for all.
    ///
    /// # Errors
    /// When awaited: as [`Changes::tell_all`].
    ///
    /// # Cancel safety
    /// As there.
    pub fn changed_all<'a, T: Any>(&self, all: impl IntoIterator<Item = &'a T>) -> Changing {
        self.tell_all(Change::Updated, all)
    }

    /// Tells of several to which the same happened, with one invalidation for all.
    ///
    /// # Errors
    /// When awaited: what a cache gives, after which the outcome is unknown and the call may be repeated;
    /// [`Receiver`](ErrorKind::Receiver) if a receiver panicked or its effect failed, after all others were heard;
    /// [`Config`](ErrorKind::Config) if nobody hears of a `T`: an `Arc<Course>` or a `&Course` is another type than a `Course`. Of several the
    /// first is given and all are logged.
    ///
    /// # Cancel safety
    /// Before it was first awaited nothing happens. From then on it goes on by itself, as long as its runtime.
    pub fn tell_all<'a, T: Any>(&self, change: Change, all: impl IntoIterator<Item = &'a T>) -> Changing {
        let mut heard = match self.hear(change, all) {
            Ok(heard) => heard,
            Err(error) => {
                return Changing::new(Vec::new(), Heard { failed: vec![error], ..Heard::default() });
            }
        };
        heard.sort();
        Changing::new(self.caches.clone(), heard)
    }

    /// The tags that go out of date, for a transaction's outbox: sorted, each once.
    ///
    /// # Errors
    /// [`Receiver`](ErrorKind::Receiver) and [`Config`](ErrorKind::Config) as [`Changes::tell_all`].
    pub fn tags_of<T: Any>(&self, change: Change, it: &T) -> Result<Vec<Tag>, Error> {
        let mut heard = self.hear(change, [it])?;
        heard.sort();
        match heard.failed.into_iter().next() {
            Some(error) => Err(error),
            None => Ok(heard.tags),
        }
    }

    fn hear<'a, T: Any>(&self, change: Change, all: impl IntoIterator<Item = &'a T>) -> Result<Heard, Error> {
        let name = type_name::<T>();
        let Some(receivers) = self.receivers.get(&TypeId::of::<T>()) else {
            return Err(Error::config(format!(
                "nobody hears of a change of {name}; register it with Changes::on, tell of the type that is registered, or ask Changes::hears"
            )));
        };
        let mut heard = Heard::default();
        for it in all {
            for Receiver { at, hears } in receivers {
                let told = catch_unwind(AssertUnwindSafe(|| match hears {
                    Hears::Tags(tags) => heard.tags.extend(tags(it, change)),
                    Hears::Then(effect) => heard.effects.push((name, at, effect(it, change))),
                }));
                if let Err(panic) = told {
                    heard.failed.push(panicked(name, at, &*panic));
                }
            }
        }
        Ok(heard)
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let receivers: usize = self.receivers.values().map(Vec::len).sum();
        f.debug_struct("Changes")
            .field("caches", &self.caches)
            .field("types", &self.receivers.len())
            .field("receivers", &receivers)
            .finish()
    }
}

/// What the receivers said.
#[derive(Default)]
struct Heard {
    tags: Vec<Tag>,
    effects: Vec<(&'static str, &'static Location<'static>, Effect)>,
    failed: Vec<Error>,
}

impl Heard {
    fn sort(&mut self) {
        self.tags.retain(|tag| !tag.as_str().is_empty());
        self.tags.sort_unstable();
        self.tags.dedup();
    }
}

fn panicked(name: &str, at: &Location<'_>, panic: &(dyn Any + Send)) -> Error {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let error = Error::new(ErrorKind::Receiver, format!("the receiver of {name} at {at} panicked"));
    error.with_source(text.unwrap_or("a panic without a text").to_owned())
}

fn effect_failed(name: &str, at: &Location<'_>, source: Source) -> Error {
    Error::new(ErrorKind::Receiver, format!("the effect of a change of {name} at {at} failed"))
        .with_source(source)
}
