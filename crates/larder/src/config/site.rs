//! The table `[site]`.

use larder_core::{Caches, Error, Timeout, suggest};
use larder_site::UpdateCacheLayer;

use super::at::{placed, wrong};
use super::document::Table;
use super::interpolate::interpolate;
use super::variables::Variables;

/// The name of the table, which no cache can have.
pub(super) const NAME: &str = "site";
const KEYS: [&str; 3] = ["alias", "key_prefix", "timeout"];

/// Django's `CACHE_MIDDLEWARE_*`.
#[derive(Clone, Debug)]
pub(super) struct SiteSettings {
    pub(super) alias: String,
    timeout: Timeout,
    key_prefix: String,
}

impl Default for SiteSettings {
    fn default() -> Self {
        Self { alias: "default".to_owned(), timeout: Timeout::secs(600), key_prefix: String::new() }
    }
}

impl SiteSettings {
    pub(super) fn layer(&self) -> UpdateCacheLayer {
        UpdateCacheLayer::new(self.timeout).key_prefix(self.key_prefix.as_str())
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
                "timeout" => site.timeout = value.parse().map_err(|error| placed(&pair.at, &error))?,
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
