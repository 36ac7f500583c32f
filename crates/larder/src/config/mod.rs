//! Caches by alias, in a file or in the environment. Django: `CACHES` and `CACHE_MIDDLEWARE_*` in the settings.
//!
//! ```
//! let caches = larder::from_str(r#"
//!     [default]
//!     url = "memory:"
//!     timeout = "10m"
//!     prefix = "shop"
//!
//!     [sessions]
//!     url = "memory:?max_entries=10000"
//! "#)?;
//! assert_eq!(caches.get("sessions")?.name(), "sessions");
//! # Ok::<(), larder::Error>(())
//! ```
//!
//! # The file
//! TOML, one table an alias; `default` has to be there. A table has a `url`, and the options of that URL as keys if they are not in
//! the URL itself: numbers, or text as the URL would have it (`"10m"`, `"64MiB"`). Which options there are is on
//! [one page](https://github.com/larder-rs/larder/blob/main/docs/configuration.md).
//!
//! - `${NAME}` in any text but a password becomes the value of that environment variable, as it is; one that is not set, or empty, is an error.
//!   `$${` is a plain `${`.
//! - A password may stand apart from the URL: `password`, as it is without escapes; `password_env`, the name of a variable; or `password_file`, the path of a
//!   file (a relative one begins where the configuration file is) of which the last line break does not count. The same with
//!   `sentinel_password`.
//! - `[site]` is for the per-site pair, see [`Config::site_layer`]: `alias` (`default`), `timeout` (600 s), `key_prefix` (none), `stale_while_revalidate`,
//!   `stale_if_error` and `soft_timeout` (none), `early_refresh` (0) and `lease` (true), each as the layer's method of that name. No cache can be called so.
//!
//! # The environment
//! | variable | what |
//! |---|---|
//! | `LARDER_CONFIG` | the path of a file as above, which is read first |
//! | `LARDER_URL` | the URL of `default` |
//! | `LARDER_<ALIAS>_URL` | the URL of another alias: `LARDER_MY_PAGES_URL` is that of `my_pages`, or of `my-pages` if the file has it |
//! | `LARDER_PASSWORD`, `LARDER_<ALIAS>_PASSWORD` | the password, without escapes |
//! | `LARDER_PASSWORD_FILE`, `LARDER_<ALIAS>_PASSWORD_FILE` | the path of a file with it |
//!
//! A URL from the environment replaces the whole table of that alias, its prefix and password too; a password replaces a password. An empty variable is an
//! error, and so is any other that begins with `LARDER_`, except for those of Larder's own tests (`LARDER_TEST_…`) and those that Kubernetes sets for a service
//! called `larder…` (`LARDER_SERVICE_HOST`, `LARDER_PORT_6379_TCP`, …).
//!
//! # What to know
//! - Nothing is connected before it is used: a server that is down does not stop a start-up.
//! - Errors say in which line what is wrong, and what was probably meant. No password stands in them, in a `Debug` output or in a log.
//! - Two aliases may be one store with one prefix, as in Django. They are one namespace then: what one stores the other reads, whatever their timeouts;
//!   `clear` on one clears both, of all versions; and what one leaves to be read has to be what the other expects. Two aliases that are
//!   `memory:` are two stores, unless both have the same `name`.

mod alias;
mod at;
mod document;
mod env;
mod interpolate;
mod loader;
mod secret;
mod site;
mod variables;

use std::path::Path;
use std::str::FromStr;

use larder_core::{Cache, Caches, Error};
use larder_site::UpdateCacheLayer;

pub use loader::Loader;

use site::SiteSettings;

/// The caches of a file. See [`config`](self) for what stands in it, and [`Config::from_file`] for its `[site]`.
///
/// # Errors
/// [`Config`](larder_core::ErrorKind::Config), with the line, if the file can't be read or something in it can't be right;
/// [`Unsupported`](larder_core::ErrorKind::Unsupported) for a backend that was not compiled in.
pub fn from_file(path: impl AsRef<Path>) -> Result<Caches, Error> {
    Ok(Config::from_file(path)?.into_caches())
}

/// The caches of a text as it would stand in a file.
///
/// # Errors
/// As [`from_file`].
pub fn from_str(text: &str) -> Result<Caches, Error> {
    Ok(text.parse::<Config>()?.into_caches())
}

/// The caches that the environment names: `LARDER_URL` for `default`, `LARDER_<ALIAS>_URL` for others, or a file by `LARDER_CONFIG`. See
/// [`config`](self).
///
/// # Errors
/// As [`from_file`], with the name of the variable.
pub fn from_env() -> Result<Caches, Error> {
    Ok(Config::from_env()?.into_caches())
}

/// What was read: the caches, and the settings of the per-site pair.
#[derive(Clone, Debug)]
pub struct Config {
    caches: Caches,
    site: SiteSettings,
    site_cache: Cache,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// As [`from_file`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        Loader::new().file(path)
    }

    /// Reads the environment.
    ///
    /// # Errors
    /// As [`from_env`].
    pub fn from_env() -> Result<Self, Error> {
        Loader::new().environment()
    }

    /// The caches.
    pub fn caches(&self) -> &Caches {
        &self.caches
    }

    /// The caches, for [`CachesLayer`](crate::CachesLayer) or [`Caches::install`].
    pub fn into_caches(self) -> Caches {
        self.caches
    }

    /// The outer end of the per-site pair as `[site]` says, with its cache: `alias`, `timeout` and `key_prefix` are Django's `CACHE_MIDDLEWARE_ALIAS`,
    /// `CACHE_MIDDLEWARE_SECONDS` and `CACHE_MIDDLEWARE_KEY_PREFIX`, and default as they do. Without a `[site]` it is the default cache and 600 s.
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use larder::{FetchFromCacheLayer, config::Config};
    /// use tower::ServiceBuilder;
    ///
    /// let config: Config = r#"
    ///     [default]
    ///     url = "memory:"
    ///
    ///     [site]
    ///     timeout = "15m"
    ///     key_prefix = "site"
    /// "#.parse()?;
    /// let pages: Router = Router::new().route("/", get(|| async { "hello" }));
    /// let site: Router = Router::new().fallback_service(
    ///     ServiceBuilder::new().layer(config.site_layer()).layer(FetchFromCacheLayer::new()).service(pages),
    /// );
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn site_layer(&self) -> UpdateCacheLayer {
        self.site.layer().cache(&self.site_cache)
    }
}

impl FromStr for Config {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Loader::new().text(text)
    }
}
