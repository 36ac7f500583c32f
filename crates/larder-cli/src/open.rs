//! Which cache is meant.

use std::time::Duration;

use larder::config::Loader;
use larder::{Cache, CacheBuilder, CacheUrl, Error, Timeout};

use crate::args::CommandLine;
use crate::failure::Failure;

/// A cache, and what to call it.
pub(crate) struct Opened {
    pub(crate) cache: Cache,
    /// Its URL without secrets, or its alias.
    pub(crate) place: String,
}

/// Opens the cache that the command line or the environment names. Nothing is connected.
pub(crate) fn open(args: &CommandLine) -> Result<Opened, Failure> {
    let said = |error: Error| Failure::said(error.to_string());
    if let Some(url) = &args.cache {
        let builder = larder::schemes().builder(url).map(|cache| patient(cache, args.deadline));
        let cache = builder.and_then(CacheBuilder::build).map_err(said)?;
        return Ok(Opened { cache, place: CacheUrl::masked(url) });
    }
    let deadline = args.deadline;
    let loader = Loader::new().each(move |_, cache| patient(cache, deadline));
    let config = match &args.config {
        Some(path) => loader.file(path),
        None => loader.environment(),
    };
    let config = config.map_err(|error| match args.config {
        Some(_) => said(error),
        None => Failure::said(format!("{error}; or name a cache with --cache or --config")),
    })?;
    let alias = args.alias.as_deref().unwrap_or("default");
    let cache = config.caches().get(alias).map_err(said)?;
    Ok(Opened { cache, place: format!("the cache {alias:?}") })
}

/// As a person wants it: an application would rather do without a store than wait for it, or be told.
fn patient(cache: CacheBuilder, deadline: Timeout) -> CacheBuilder {
    let limit = deadline.as_millis().map_or(Duration::MAX, Duration::from_millis);
    cache.deadline(limit).no_breaker().ignore_errors(false)
}
