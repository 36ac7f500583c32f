//! Runs a function, or reads what it gave.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use larder_core::{Error, FillError};
use larder_tower::RequestScope;
use parking_lot::Mutex;
use serde::de::{DeserializeOwned, Deserializer};
use serde::{Deserialize, Serialize, Serializer};

use super::Memo;

/// What a function under [`#[cached]`](crate::cached) may give: whatever is written and read by `serde`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be kept in a cache",
    label = "what this function gives is not written and read by `serde`",
    note = "derive `serde::Serialize` and `serde::Deserialize` for it, without borrowed fields"
)]
pub trait Keepable: Serialize + DeserializeOwned + Send {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send> Keepable for T {}

#[doc(hidden)]
impl Memo {
    pub async fn run<T, F, Fut>(self, make: F) -> T
    where
        T: Keepable,
        F: FnOnce() -> Fut + Send,
        Fut: Future<Output = T> + Send,
    {
        match self.run_fallible(|| async { Ok::<T, Infallible>(make().await) }).await {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    pub async fn run_optional<T, F, Fut>(self, make: F) -> Option<T>
    where
        T: Keepable,
        F: FnOnce() -> Fut + Send,
        Fut: Future<Output = Option<T>> + Send,
    {
        self.run_fallible(|| async { make().await.ok_or(()) }).await.ok()
    }

    pub async fn run_fallible<T, E, F, Fut>(self, make: F) -> Result<T, E>
    where
        T: Keepable,
        E: Send,
        F: FnOnce() -> Fut + Send,
        Fut: Future<Output = Result<T, E>> + Send,
    {
        let Self { cache: Some(cache), key: Ok(key), version, timeout, tags, attach } = self else {
            if let Err(error) = &self.key {
                tracing::warn!(target: "larder::memo", %error, "a cached function runs each time");
            }
            return make().await;
        };
        let desk = Desk { make: Mutex::new(Some(make)), made: Mutex::new(None) };
        let outcome = {
            let fill = || async {
                let make = desk.make.lock().take();
                let Some(make) = make else { return Err(None) };
                let value = Slot::of(make().await.map_err(Some)?);
                *desk.made.lock() = Some(value.clone());
                Ok(value)
            };
            let read = cache.try_get_or_set(&key, fill).timeout(timeout).tags(tags).attach(attach);
            match version {
                Some(version) => read.version(version).await,
                None => read.await,
            }
        };
        let kept = match outcome {
            Ok(value) => value.take(),
            Err(FillError::Fill(Some(error))) => return Err(error),
            Err(FillError::Fill(None)) => None,
            // It was made, and can't be written. It is the caller's all the same.
            Err(FillError::Cache(error)) => {
                tracing::warn!(target: "larder::memo", %error, "what a cached function gives can't be kept: it runs each time");
                None
            }
        };
        if let Some(value) = kept.or_else(|| desk.made.lock().take().and_then(Slot::take)) {
            return Ok(value);
        }
        let make = desk.make.lock().take();
        match make {
            Some(make) => make().await,
            None => unreachable!("either the value was made, or who makes it is still there"),
        }
    }
}

/// Who makes the value, and what became of it.
struct Desk<T, F> {
    make: Mutex<Option<F>>,
    made: Mutex<Option<Slot<T>>>,
}

/// A value that is there for who called even if it can't be stored. It is written as what is in it.
struct Slot<T>(Arc<Mutex<Option<T>>>);

impl<T> Slot<T> {
    fn of(value: T) -> Self {
        Self(Arc::new(Mutex::new(Some(value))))
    }

    fn take(self) -> Option<T> {
        self.0.lock().take()
    }
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Serialize> Serialize for Slot<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &*self.0.lock() {
            Some(value) => value.serialize(serializer),
            None => Err(serde::ser::Error::custom("it was taken")),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Slot<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::of)
    }
}

#[doc(hidden)]
pub fn own_key(place: &str, function: &str, this: &str, key: Result<String, Error>) -> Result<String, Error> {
    key.map(|key| format!("{place}::{function}\0{this}\0{key}"))
}

#[doc(hidden)]
pub async fn once<T, F, Fut>(key: Result<String, Error>, make: F) -> T
where
    T: Clone + Send + Sync + 'static,
    F: FnOnce() -> Fut,
    Fut: Future<Output = T>,
{
    match (RequestScope::current(), key) {
        (Some(scope), Ok(key)) => scope.once(&key, make).await,
        _ => make().await,
    }
}

#[doc(hidden)]
pub async fn fallibly_once<T, E, F, Fut>(key: Result<String, Error>, make: F) -> Result<T, E>
where
    T: Clone + Send + Sync + 'static,
    F: FnOnce() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    match (RequestScope::current(), key) {
        (Some(scope), Ok(key)) => scope.try_once(&key, make).await,
        _ => make().await,
    }
}
