//! What is kept warm.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::cache::Cache;
use crate::error::Error;
use crate::timeout::Timeout;

/// What became of making a thing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warmed {
    /// It is new.
    Refreshed,
    /// It was invalidated, deleted or set by somebody else meanwhile: that wins, and it is made again soon.
    Overtaken,
    /// It was made and can't be stored; why.
    NotStored(Cow<'static, str>),
}

/// What a job comes to; the error is for people.
pub(super) type Outcome = Result<Warmed, String>;

/// What is made, given the warmer's cache and how long values live for which nothing else is said.
type Work = dyn Fn(Cache, Timeout) -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Send + Sync;

/// One thing that a [`Warmer`](super::Warmer) makes again and again.
#[derive(Clone)]
#[must_use = "nothing is made until a warmer has it"]
pub struct WarmJob {
    name: Arc<str>,
    work: Arc<Work>,
}

impl WarmJob {
    /// A job of your own: `work` makes the thing and stores it. The name is what events and logs call it.
    ///
    /// ```
    /// use larder_core::{WarmJob, Warmed};
    ///
    /// # async fn build_index() -> Result<(), std::io::Error> { Ok(()) }
    /// let job = WarmJob::new("search index", || async {
    ///     build_index().await?;
    ///     Ok::<_, std::io::Error>(Warmed::Refreshed)
    /// });
    /// ```
    pub fn new<E, F, Fut>(name: impl Into<Arc<str>>, work: F) -> Self
    where
        E: fmt::Display,
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Warmed, E>> + Send + 'static,
    {
        Self::within(name, move |_, _| {
            let made = work();
            Box::pin(async move { made.await.map_err(|error| error.to_string()) })
        })
    }

    pub(super) fn within(
        name: impl Into<Arc<str>>,
        work: impl Fn(Cache, Timeout) -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), work: Arc::new(work) }
    }

    /// What events and logs call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn run(
        &self,
        cache: &Cache,
        timeout: Timeout,
    ) -> Pin<Box<dyn Future<Output = Outcome> + Send>> {
        (self.work)(cache.clone(), timeout)
    }
}

impl fmt::Debug for WarmJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WarmJob").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What can be kept warm.
pub trait Warm {
    /// As jobs.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) with what is wrong; [`Warmer::spawn`](super::Warmer::spawn) gives it.
    fn jobs(self) -> Result<Vec<WarmJob>, Error>;
}

impl Warm for WarmJob {
    fn jobs(self) -> Result<Vec<WarmJob>, Error> {
        Ok(vec![self])
    }
}

impl Warm for Vec<WarmJob> {
    fn jobs(self) -> Result<Vec<WarmJob>, Error> {
        Ok(self)
    }
}
