//! A value that is kept warm.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::job::{Outcome, Warm, WarmJob, Warmed};
use crate::cache::Cache;
use crate::error::{Error, FillError};
use crate::tag::Tag;
use crate::timeout::Timeout;

type Made<T> = Pin<Box<dyn Future<Output = Result<T, String>> + Send>>;

/// A value under a key, and how it is made; for [`Warmer::warm`](super::Warmer::warm).
///
/// ```
/// use larder_core::{Cache, Dummy, WarmKey, Warmer};
///
/// # async fn count() -> Result<u64, std::io::Error> { Ok(12) }
/// # let cache = Cache::new(Dummy);
/// let warmer = Warmer::new(&cache).warm(WarmKey::fallible("course_count", count).tags(["course_list"]).timeout(900));
/// ```
#[must_use = "nothing is made until a warmer has it"]
pub struct WarmKey<T> {
    key: Arc<str>,
    version: Option<u64>,
    timeout: Option<Timeout>,
    tags: Arc<[Tag]>,
    make: Arc<dyn Fn() -> Made<T> + Send + Sync>,
    value: PhantomData<fn() -> T>,
}

impl<T> WarmKey<T> {
    /// Made by a closure that can't fail.
    pub fn new<F, Fut>(key: impl Into<String>, make: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = T> + Send + 'static,
    {
        Self::fallible(key, move || {
            let made = make();
            async move { Ok::<T, Infallible>(made.await) }
        })
    }

    /// Made by a closure that may fail: the value there is stays, and it is tried again soon.
    pub fn fallible<E, F, Fut>(key: impl Into<String>, make: F) -> Self
    where
        E: fmt::Display,
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        let make = move || -> Made<T> {
            let made = make();
            Box::pin(async move { made.await.map_err(|error| error.to_string()) })
        };
        Self {
            key: key.into().into(),
            version: None,
            timeout: None,
            tags: Arc::default(),
            make: Arc::new(make),
            value: PhantomData,
        }
    }

    /// How long it lives; as the warmer says unless said otherwise. Less than the interval, and it is not there in between.
    pub fn timeout(mut self, timeout: impl Into<Timeout>) -> Self {
        self.timeout = Some(timeout.into());
        self
    }

    /// Under which tags it is invalidated.
    pub fn tags<G: Into<Tag>>(mut self, tags: impl IntoIterator<Item = G>) -> Self {
        self.tags = self.tags.iter().cloned().chain(tags.into_iter().map(Into::into)).collect();
        self
    }

    /// Another version than the cache's own.
    pub fn version(mut self, version: u64) -> Self {
        self.version = Some(version);
        self
    }
}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Warm for WarmKey<T> {
    fn jobs(self) -> Result<Vec<WarmJob>, Error> {
        let Self { key, version, timeout, tags, make, .. } = self;
        if timeout.is_some_and(Timeout::is_zero) {
            return Err(Error::config(format!(
                "the value {key:?} can't be kept warm with a timeout of 0; give it more than the interval"
            )));
        }
        let job = WarmJob::within(Arc::clone(&key), move |cache, usual| {
            let (key, tags, make) = (Arc::clone(&key), Arc::clone(&tags), Arc::clone(&make));
            let timeout = timeout.unwrap_or(usual);
            Box::pin(refresh(cache, key, version, timeout, tags, make))
        });
        Ok(vec![job])
    }
}

impl<T> fmt::Debug for WarmKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WarmKey").field("key", &self.key).finish_non_exhaustive()
    }
}

async fn refresh<T: Serialize + DeserializeOwned + Send + Sync>(
    cache: Cache,
    key: Arc<str>,
    version: Option<u64>,
    timeout: Timeout,
    tags: Arc<[Tag]>,
    make: Arc<dyn Fn() -> Made<T> + Send + Sync>,
) -> Outcome {
    if !cache.capabilities().stores {
        return Ok(Warmed::NotStored("the cache keeps nothing".into()));
    }
    let text = |error: Error| error.to_string();
    // Before the look: what is invalidated or changed after it must not be overwritten.
    let fill = cache.begin(&tags).await.map_err(text)?;
    let name = cache.key_of(&key, version);
    let Some(there) = cache.stored(&name).await.map_err(text)? else {
        return first(&cache, &key, version, timeout, &tags, &*make).await;
    };
    let value = make().await?;
    let value = cache.encode(&value).map_err(text)?;
    match cache.replace(&name, &there, value, timeout, &fill).await.map_err(text)? {
        true => Ok(Warmed::Refreshed),
        false => Ok(Warmed::Overtaken),
    }
}

/// Who misses it at the same time waits for ours, or we for theirs.
async fn first<T: Serialize + DeserializeOwned + Send + Sync>(
    cache: &Cache,
    key: &str,
    version: Option<u64>,
    timeout: Timeout,
    tags: &[Tag],
    make: &(dyn Fn() -> Made<T> + Send + Sync),
) -> Outcome {
    let filled = cache.try_get_or_set(key, make).timeout(timeout).tags(tags.iter().cloned());
    let filled = match version {
        Some(version) => filled.version(version),
        None => filled,
    };
    match filled.await {
        Ok(_) if cache.stored(&cache.key_of(key, version)).await.is_ok_and(|there| there.is_some()) => {
            Ok(Warmed::Refreshed)
        }
        Ok(_) => Ok(Warmed::Overtaken),
        Err(FillError::Fill(error)) => Err(error),
        Err(FillError::Cache(error)) => Err(error.to_string()),
    }
}
