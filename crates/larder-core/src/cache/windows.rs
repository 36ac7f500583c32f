//! How long `get_or_set` keeps a value beyond its timeout.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::beyond::window;
use super::{GetOrSet, TryGetOrSet};
use crate::timeout::Timeout;

impl<T, F> GetOrSet<'_, T, F> {
    /// For how long after its timeout the value is still given while the closure makes a new one behind the caller; not at all unless said otherwise.
    /// [`get`](crate::Cache::get) never gives it then.
    ///
    /// What the closure uses it must own, since it may outlive the caller. One runs at a time for each key.
    ///
    /// ```
    /// # use larder_core::{Cache, Dummy};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), larder_core::Error> {
    /// # let cache = Cache::new(Dummy);
    /// let n: u32 = cache.get_or_set("n", || async { 6 * 7 }).timeout(600).stale_while_revalidate(60).await?;
    /// # assert_eq!(n, 42);
    /// # Ok(()) }
    /// ```
    pub fn stale_while_revalidate<Fut>(mut self, limit: impl Into<Timeout>) -> Self
    where
        T: Serialize + DeserializeOwned + Send + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = T> + Send + 'static,
    {
        self.0.plan.beyond.while_revalidate = window(limit.into());
        self.0.behind = Some(|start, cache, plan, make: F| {
            start.run(cache, plan, || async { Ok::<T, Infallible>(make().await) });
        });
        self
    }
}

impl<T, E, F> TryGetOrSet<'_, T, E, F> {
    /// For how long after its timeout the value is still given while the closure makes a new one behind the caller; not at all unless said otherwise.
    /// [`get`](crate::Cache::get) never gives it then.
    ///
    /// What the closure uses it must own, since it may outlive the caller. One runs at a time for each key.
    pub fn stale_while_revalidate<Fut>(mut self, limit: impl Into<Timeout>) -> Self
    where
        T: Serialize + DeserializeOwned + Send + 'static,
        E: Send + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.0.plan.beyond.while_revalidate = window(limit.into());
        self.0.behind = Some(|start, cache, plan, make: F| start.run(cache, plan, make));
        self
    }

    /// For how long after its timeout the value is given where the closure fails, to those too who waited for it; not at all unless said otherwise. It is counted from the end
    /// of the timeout, as [`stale_while_revalidate`](Self::stale_while_revalidate) is, and [`get`](crate::Cache::get) never gives the
    /// value then.
    ///
    /// ```
    /// # use larder_core::{Cache, Dummy, FillError};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), FillError<std::io::Error>> {
    /// # let cache = Cache::new(Dummy);
    /// # async fn fetch() -> std::io::Result<u32> { Ok(42) }
    /// let rate: u32 = cache.try_get_or_set("rate", fetch).timeout(600).stale_if_error(86_400).await?;
    /// # assert_eq!(rate, 42);
    /// # Ok(()) }
    /// ```
    pub fn stale_if_error(mut self, limit: impl Into<Timeout>) -> Self {
        self.0.plan.beyond.if_error = window(limit.into());
        self
    }

    /// How long to wait for a new value where there is a stale one that may stand in: a closure that is slower goes on behind the caller. As long as it
    /// takes unless said otherwise. It needs [`stale_if_error`](Self::stale_if_error), and a closure that owns what it uses.
    pub fn soft_timeout<Fut>(mut self, limit: Duration) -> Self
    where
        T: Serialize + DeserializeOwned + Send + 'static,
        E: Send + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.0.plan.beyond.soft_timeout = Some(limit);
        self.0.behind = Some(|start, cache, plan, make: F| start.run(cache, plan, make));
        self
    }
}
