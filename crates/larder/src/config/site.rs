//! The table `[site]`.

use std::time::Duration;

use larder_core::{Caches, Error, Timeout, suggest};
use larder_site::UpdateCacheLayer;

use super::at::{placed, wrong};
use super::document::{Pair, Table};
use super::interpolate::interpolate;
use super::variables::Variables;

/// The name of the table, which no cache can have.
pub(super) const NAME: &str = "site";
const KEYS: [&str; 8] = [
    "alias",
    "early_refresh",
    "key_prefix",
    "lease",
    "soft_timeout",
    "stale_if_error",
    "stale_while_revalidate",
    "timeout",
];

/// Django's `CACHE_MIDDLEWARE_*`.
#[derive(Clone, Debug)]
pub(super) struct SiteSettings {
    pub(super) alias: String,
    timeout: Timeout,
    key_prefix: String,
    stale_while_revalidate: Timeout,
    stale_if_error: Timeout,
    soft_timeout: Option<Duration>,
    early_refresh: f64,
    lease: bool,
}

impl Default for SiteSettings {
    fn default() -> Self {
        Self {
            alias: "default".to_owned(),
            timeout: Timeout::secs(600),
            key_prefix: String::new(),
            stale_while_revalidate: Timeout::ZERO,
            stale_if_error: Timeout::ZERO,
            soft_timeout: None,
            early_refresh: 0.0,
            lease: true,
        }
    }
}

impl SiteSettings {
    pub(super) fn layer(&self) -> UpdateCacheLayer {
        let layer = UpdateCacheLayer::new(self.timeout)
            .key_prefix(self.key_prefix.as_str())
            .stale_while_revalidate(self.stale_while_revalidate)
            .stale_if_error(self.stale_if_error)
            .early_refresh(self.early_refresh)
            .lease(self.lease);
        match self.soft_timeout {
            Some(limit) => layer.soft_timeout(limit),
            None => layer,
        }
    }

    /// Reads the table. Whether there is a cache of this alias turns out against `caches`.
    ///
    /// # Errors
    /// [`Config`](larder_core::ErrorKind::Config), with the line.
    pub(super) fn read(table: Table, caches: &Caches, variables: &Variables) -> Result<Self, Error> {
        let mut site = Self::default();
        for pair in table.pairs {
            let value = interpolate(&pair.value, variables).map_err(|error| placed(&pair.at, &error))?;
            match pair.name.as_str() {
                "alias" => {
                    caches.get(&value).map_err(|error| wrong(&pair.at, error))?;
                    site.alias = value;
                }
                "key_prefix" => site.key_prefix = value,
                "timeout" => site.timeout = timeout(&pair, &value)?,
                "stale_while_revalidate" => site.stale_while_revalidate = timeout(&pair, &value)?,
                "stale_if_error" => site.stale_if_error = timeout(&pair, &value)?,
                "soft_timeout" => {
                    let limit = timeout(&pair, &value)?.as_millis().filter(|millis| *millis > 0);
                    let limit = limit.ok_or_else(|| {
                        wrong(
                            &pair.at,
                            format_args!(
                                "soft_timeout = {value:?} must be a time such as 500ms; leave it out for none"
                            ),
                        )
                    })?;
                    site.soft_timeout = Some(Duration::from_millis(limit));
                }
                "early_refresh" => {
                    let beta = value.parse().ok().filter(|beta: &f64| beta.is_finite() && *beta >= 0.0);
                    site.early_refresh = beta.ok_or_else(|| {
                        wrong(
                            &pair.at,
                            format_args!(
                                "early_refresh = {value:?} must be a number such as 1.0; 0 switches it off"
                            ),
                        )
                    })?;
                }
                "lease" => {
                    site.lease = value.parse().map_err(|_| {
                        wrong(&pair.at, format_args!("lease = {value:?} must be true or false"))
                    })?;
                }
                other => {
                    let nearest = suggest(other, &KEYS);
                    return Err(wrong(
                        &pair.at,
                        format_args!("{other:?} is not an option of [site]; {nearest}"),
                    ));
                }
            }
        }
        Ok(site)
    }
}

fn timeout(pair: &Pair, value: &str) -> Result<Timeout, Error> {
    value.parse().map_err(|error| placed(&pair.at, &error))
}
