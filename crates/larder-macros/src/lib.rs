//! Larder's attributes. An application uses them through the facade, with the feature `macros`: what they expand to stands there.

mod cached;
mod function;
mod once;
mod options;

use proc_macro::TokenStream;

/// Keeps what an async function gives in a cache: the first call with given arguments runs it, those that follow read what it gave. Calls that miss at the same
/// time share one run.
///
/// ```
/// # use larder::prelude::*;
/// # #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)] struct User { id: u64 }
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// # let cache = larder::open("memory:")?;
/// /// Errors are never kept.
/// #[larder::cached(timeout = 60, key = "user:{id}", tags = ["user:{id}", "users"], cache = cache)]
/// async fn fetch_user(cache: &Cache, id: u64) -> Result<User, std::io::Error> {
///     Ok(User { id }) // from the database
/// }
///
/// assert_eq!(fetch_user(&cache, 7).await?, User { id: 7 });
/// assert!(fetch_user_cached(&cache, 7).is_stored().await?);
/// cache.invalidate(["users"]).await?; // or
/// fetch_user_cached(&cache, 7).delete().await?;
/// # assert!(!fetch_user_cached(&cache, 7).is_stored().await?);
/// # Ok(()) }
/// ```
///
/// Beside the function stand two more of the same visibility:
///
/// | function | gives |
/// |---|---|
/// | `fetch_user_cached(…)`, not async | a [`Memo`](https://docs.rs/larder/latest/larder/memo/struct.Memo.html): the place that the value has for these arguments, with `key()`, `is_stored()` and `delete()` |
/// | `fetch_user_refreshed(…)`, async | what the function gives when it is run anew; it is kept in place of what was there |
///
/// # Options
///
/// | option | what it says |
/// |---|---|
/// | `timeout = 60` | seconds, a `Duration` or a `Timeout`; `None` is for ever. Left out, the cache's own. |
/// | `key = "user:{id}"` | the key: a format string with the arguments, or any expression. Left out, where the function stands, its name and a digest of all arguments, which have to be `Serialize` then. |
/// | `skip(pool)` | arguments that do not belong to the default key. |
/// | `tags = ["user:{id}"]` | under which tags it is invalidated; format strings or expressions. |
/// | `version = 2` | another version than the cache's own. |
/// | `cache = self.cache` | the cache: an expression of type `Cache` or `&Cache`. |
/// | `using = "other"` | the alias of an installed cache. |
/// | `attach = false` | the tags of what is read meanwhile are not the value's, nor its own those of the page that is being made with it. |
/// | `some_only` | a `None` is not kept. |
/// | `associated` | the function stands in an `impl` and has no `self`; left out there, the compiler can't find the function. |
/// | `helpers = false` | none of the two functions, which can't stand in the `impl` of a trait. |
/// | `crate = path` | where `larder` is, if it is called otherwise. |
///
/// With neither `cache` nor `using` it is the installed `default` ([`Caches::install`](https://docs.rs/larder/latest/larder/struct.Caches.html#method.install)), else one in this process. All expressions may use the
/// arguments; they are evaluated on each call.
///
/// # What is kept
///
/// The value has to be `Serialize` and `DeserializeOwned`. Of what is called `Result` (or ends so: `QueryResult`), only an `Ok` is kept; an `Err` is what this caller gets, and whoever waited for it
/// tries for themselves. The tags of what the function reads from a cache become the value's, and its tags those of the page or value that is being made with it. A store that can't be reached is as good as none: the function runs. So does one whose value can't be stored, each time, and the log says so.
///
/// The function's future has to be `Send`. `self` is no part of the default key: give a `key`, or `skip(self)` if it makes no difference. In `impl` blocks of a trait, and
/// with `async_trait`, write a free function and call that.
///
/// What can't be kept does not compile, and says why:
///
/// ```compile_fail
/// struct Connection;
///
/// #[larder::cached] // `Connection` can't be kept in a cache
/// async fn connect() -> Connection { Connection }
/// ```
///
/// ```compile_fail
/// struct Pool;
///
/// #[larder::cached] // `&Pool` can't be a part of the key: skip(pool)
/// async fn count(pool: &Pool) -> u64 { 7 }
/// ```
///
/// ```
/// struct Pool;
///
/// #[larder::cached(skip(pool))]
/// async fn count(pool: &Pool) -> u64 { 7 }
/// ```
#[proc_macro_attribute]
pub fn cached(options: TokenStream, function: TokenStream) -> TokenStream {
    cached::expand(options.into(), function.into()).unwrap_or_else(|error| error.into_compile_error()).into()
}

/// Runs an async function once for each request and its arguments: Django's `cached_property`. Every call within the same request gets a clone of what the first one
/// gave, and those who ask at the same time wait for it; the next request begins anew.
///
/// ```
/// # #[derive(Clone, Debug, PartialEq)] struct User { id: u64 }
/// #[larder::once_per_request]
/// async fn current_user(id: u64) -> Result<User, std::io::Error> {
///     Ok(User { id }) // from the database; it need not be serialised
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), std::io::Error> {
/// // The layer RequestScopeLayer does this around each request.
/// larder::RequestScope::new().enter(async {
///     let user = current_user(7).await?;
///     assert_eq!(current_user(7).await?, user); // the same, not run again
///     Ok(())
/// }).await
/// # }
/// ```
///
/// An `Err` of what is called `Result` (or ends so) is not kept. Outside of a request the function runs each time. The value has to be `Clone + Send + Sync + 'static`; the arguments
/// `Serialize`, unless a `key` is given. Options: `key`, `skip(…)`, `associated` and `crate`, as for [`cached`].
#[proc_macro_attribute]
pub fn once_per_request(options: TokenStream, function: TokenStream) -> TokenStream {
    once::expand(options.into(), function.into()).unwrap_or_else(|error| error.into_compile_error()).into()
}
