//! Which cache is meant.

use larder::config::Config;
use larder::{Cache, CacheUrl, Error};

use crate::args::Args;
use crate::failure::Failure;

/// A cache, and what to call it.
pub(crate) struct Opened {
    pub(crate) cache: Cache,
    /// Its URL without secrets, or its alias.
    pub(crate) place: String,
}

/// Opens the cache that the command line or the environment names. Nothing is connected.
pub(crate) fn open(args: &Args) -> Result<Opened, Failure> {
    let said = |error: Error| Failure::said(error.to_string());
    if let Some(url) = &args.cache {
        return Ok(Opened { cache: larder::open(url).map_err(said)?, place: CacheUrl::masked(url) });
    }
    let config = match &args.config {
        Some(path) => Config::from_file(path),
        None => Config::from_env(),
    };
    let config = config.map_err(|error| match args.config {
        Some(_) => said(error),
        None => Failure::said(format!("{error}; or name a cache with --cache or --config")),
    })?;
    let alias = args.alias.as_deref().unwrap_or("default");
    let cache = config.caches().get(alias).map_err(said)?;
    Ok(Opened { cache, place: format!("the cache {alias:?}") })
}
