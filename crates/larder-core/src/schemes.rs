//! Which URL opens which backend.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::backend::Backend;
use crate::breaker::Breaker;
use crate::cache::{Cache, CacheBuilder};
use crate::codec::Codec;
use crate::dummy::Dummy;
use crate::erased::DynBackend;
use crate::error::{Error, ErrorKind};
use crate::pack::Compression;
use crate::timeout::Timeout;
use crate::url::{CacheUrl, suggest};

type Constructor = Arc<dyn Fn(&mut CacheUrl) -> Result<DynBackend, Error> + Send + Sync>;

/// Which URL scheme opens which backend. The facade's knows those that were compiled in; an application adds its own.
///
/// ```
/// use larder_core::{Dummy, Schemes};
///
/// let schemes = Schemes::new().register("mine", |url| {
///     let _size = url.take_u64("size")?;
///     Ok(Dummy)
/// });
/// let cache = schemes.open("mine:?size=3&timeout=60&prefix=shop")?;
/// assert_eq!(cache.space().prefix(), "shop");
/// assert!(schemes.open("mien:").unwrap_err().to_string().contains("did you mean \"mine\"?"));
/// # Ok::<(), larder_core::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Schemes {
    constructors: BTreeMap<&'static str, Constructor>,
    features: BTreeMap<&'static str, &'static str>,
}

impl Schemes {
    /// Only `dummy:`.
    pub fn new() -> Self {
        Self::default().register("dummy", |_| Ok(Dummy))
    }

    /// Adds a scheme. The constructor takes its own options from the URL; `timeout`, `prefix` (or `key_prefix`),
    /// `version`, `deadline`, `breaker`, `cooldown`, `ignore_errors`, `codec`, `compression` and `compress_above` are taken for all.
    /// It checks everything that needs no I/O, connects to nothing and starts no task.
    #[must_use]
    pub fn register<B: Backend>(
        mut self,
        scheme: &'static str,
        open: impl Fn(&mut CacheUrl) -> Result<B, Error> + Send + Sync + 'static,
    ) -> Self {
        self.features.remove(scheme);
        self.constructors.insert(scheme, Arc::new(move |url| open(url).map(DynBackend::new)));
        self
    }

    /// Names a scheme that exists but was not compiled in, and the feature that brings it.
    #[must_use]
    pub fn missing(mut self, scheme: &'static str, feature: &'static str) -> Self {
        if !self.constructors.contains_key(scheme) {
            self.features.insert(scheme, feature);
        }
        self
    }

    /// The schemes that are there to be opened.
    pub fn known(&self) -> impl Iterator<Item = &'static str> {
        self.constructors.keys().copied()
    }

    /// The feature that brings `scheme`, if it is known and not compiled in.
    pub fn feature_of(&self, scheme: &str) -> Option<&'static str> {
        self.features.get(scheme).copied()
    }

    /// Opens a cache. Nothing is connected yet.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) for a URL that can't be right; [`Unsupported`](crate::ErrorKind::Unsupported) for a scheme
    /// that was not compiled in.
    pub fn open(&self, url: &str) -> Result<Cache, Error> {
        self.builder(url)?.build()
    }

    /// The settings of a cache from its URL, to be added to.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn builder(&self, url: &str) -> Result<CacheBuilder, Error> {
        self.builder_of(&mut CacheUrl::parse(url)?)
    }

    /// The same from a URL that was parsed, and that options from elsewhere were [added](CacheUrl::set) to. After an error, it says which
    /// option is to [blame](CacheUrl::blamed).
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn builder_of(&self, url: &mut CacheUrl) -> Result<CacheBuilder, Error> {
        let Some(open) = self.constructors.get(url.scheme()) else { return Err(self.unknown(url.scheme())) };
        let backend = open(url)?;
        let mut builder = CacheBuilder::new(backend);
        if let Some(text) = url.take("timeout") {
            match text.parse::<Timeout>() {
                Ok(Timeout::FOREVER) => builder = builder.no_timeout(),
                Ok(timeout) => builder = builder.timeout(timeout),
                Err(_) => return Err(url.wrong("timeout", &text, Timeout::READS)),
            }
        }
        match (url.take("prefix"), url.take("key_prefix")) {
            (Some(_), Some(_)) => {
                return Err(Error::config(
                    "prefix and key_prefix are two names of one option; leave one out",
                ));
            }
            (Some(prefix), None) | (None, Some(prefix)) => builder = builder.key_prefix(prefix),
            (None, None) => {}
        }
        if let Some(version) = url.take_u64("version")? {
            builder = builder.version(version);
        }
        if let Some(deadline) = url.take_duration("deadline")? {
            builder = builder.deadline(deadline);
        }
        builder = resilience(url, builder)?;
        builder = encoding(url, builder)?;
        url.all_taken()?;
        Ok(builder)
    }

    fn unknown(&self, scheme: &str) -> Error {
        if let Some(feature) = self.features.get(scheme) {
            return Error::unsupported(format!(
                "{scheme}: caches are not compiled in; enable the feature {feature:?} of the crate `larder`"
            ));
        }
        let known: Vec<&str> = self.constructors.keys().chain(self.features.keys()).copied().collect();
        Error::config(format!("no cache opens {scheme:?} URLs; {}", suggest(scheme, &known)))
    }
}

/// How values become bytes.
fn encoding(url: &mut CacheUrl, mut builder: CacheBuilder) -> Result<CacheBuilder, Error> {
    if let Some(name) = url.take("codec") {
        let codec = Codec::named(&name).ok_or_else(|| url.wrong("codec", &name, "json, msgpack or raw"))?;
        builder = builder.codec(codec);
    }
    if let Some(text) = url.take("compression") {
        let compression = Compression::named(&text).map_err(|error| match error.kind() {
            ErrorKind::Config => url.wrong("compression", &text, Compression::READS),
            _ => error,
        })?;
        builder = builder.compression(compression);
    }
    if let Some(bytes) = url.take_bytes("compress_above")? {
        builder = builder.compress_above(usize::try_from(bytes).unwrap_or(usize::MAX));
    }
    Ok(builder)
}

/// `breaker`, `cooldown` and `ignore_errors`.
fn resilience(url: &mut CacheUrl, mut builder: CacheBuilder) -> Result<CacheBuilder, Error> {
    let (outages, cooldown) = (url.take("breaker"), url.take_duration("cooldown")?);
    if outages.as_deref() == Some("off") {
        if cooldown.is_some() {
            return Err(Error::config(format!(
                "cooldown= in a {}: cache URL says for how long the breaker opens, and breaker=off that there is none; leave one of them out",
                url.scheme()
            )));
        }
        builder = builder.no_breaker();
    } else {
        let mut breaker = Breaker::default();
        if let Some(text) = outages {
            let wanted = "off, or how many outages in a row open it";
            breaker.outages = text.parse().map_err(|_| url.wrong("breaker", &text, wanted))?;
        }
        breaker.cooldown = cooldown.unwrap_or(breaker.cooldown);
        builder = builder.breaker(breaker);
    }
    if let Some(ignore) = url.take_bool("ignore_errors")? {
        builder = builder.ignore_errors(ignore);
    }
    Ok(builder)
}

impl fmt::Debug for Schemes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schemes")
            .field("known", &self.constructors.keys())
            .field("missing", &self.features)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_urls_share_is_taken_from_each() {
        let cache = Schemes::new().open("dummy:?timeout=10m&version=3&prefix=shop&deadline=50ms").unwrap();
        assert_eq!((cache.default_timeout(), cache.version()), (Timeout::from(600), 3));
        let cache = Schemes::new().open("dummy:?key_prefix=shop").unwrap();
        assert_eq!(cache.space().prefix(), "shop");
        for url in ["dummy:?breaker=off&ignore_errors=true", "dummy:?breaker=3&cooldown=500ms"] {
            Schemes::new().open(url).unwrap();
        }
        let cache = Schemes::new().open("dummy:?timeout=none").unwrap();
        assert_eq!(cache.default_timeout(), Timeout::FOREVER);
    }

    #[test]
    fn a_scheme_that_is_not_compiled_in_names_its_feature() {
        let e = Schemes::new().missing("redis", "redis").open("redis://h/1").unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Unsupported);
        assert!(e.to_string().contains("feature \"redis\""), "{e}");
    }

    #[test]
    fn codec_and_compression_are_options_of_every_url() {
        for options in ["codec=json", "codec=msgpack&compress_above=4KiB", "codec=raw&compression=none"] {
            assert!(Schemes::new().open(&format!("dummy:?{options}")).is_ok(), "{options}");
        }
        for (feature, there) in [("zstd", cfg!(feature = "zstd")), ("lz4", cfg!(feature = "lz4"))] {
            match Schemes::new().open(&format!("dummy:?compression={feature}")) {
                Ok(_) => assert!(there, "{feature}"),
                Err(e) => {
                    assert!(!there && e.kind() == ErrorKind::Unsupported, "{e}");
                    assert!(e.to_string().contains(&format!("feature \"{feature}\"")), "{e}");
                }
            }
        }
    }

    #[test]
    fn wrong_urls_are_config_errors_at_once() {
        for url in [
            "",
            "nothing",
            "reddis://h",
            "dummy:?timeout=-1",
            "dummy:?timeout=abc",
            "dummy:?version=x",
            "dummy:?deadline=0",
            "dummy:?breaker=0",
            "dummy:?breaker=never",
            "dummy:?cooldown=0",
            "dummy:?breaker=off&cooldown=1s",
            "dummy:?ignore_errors=maybe",
            "dummy:?prefix=a:b",
            "dummy:?x=1",
            "dummy:?codec=pickle",
            "dummy:?compression=gzip",
            "dummy:?compress_above=much",
            "dummy:?prefix=a&key_prefix=a",
        ] {
            let e = Schemes::new().missing("redis", "redis").open(url).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Config, "{url}: {e}");
        }
    }
}
