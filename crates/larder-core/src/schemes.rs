//! Which URL opens which backend.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::backend::Backend;
use crate::backplane::{Backplane, DynBackplane, InProcess};
use crate::breaker::Breaker;
use crate::cache::{Cache, CacheBuilder};
use crate::codec::Codec;
use crate::dummy::Dummy;
use crate::erased::DynBackend;
use crate::error::{Error, ErrorKind};
use crate::pack::Compression;
use crate::timeout::Timeout;
use crate::url::{CacheUrl, suggest};

type Constructor = Arc<dyn Fn(&mut CacheUrl, &Schemes) -> Result<DynBackend, Error> + Send + Sync>;
type PlaneConstructor = Arc<dyn Fn(&mut CacheUrl) -> Result<DynBackplane, Error> + Send + Sync>;

/// The options that are a cache's, whatever its backend.
const COMMON: [&str; 12] = [
    "breaker",
    "codec",
    "compress_above",
    "compression",
    "cooldown",
    "deadline",
    "ignore_errors",
    "key_prefix",
    "lease",
    "prefix",
    "timeout",
    "version",
];

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
    backplanes: BTreeMap<&'static str, PlaneConstructor>,
    features: BTreeMap<&'static str, &'static str>,
}

impl Schemes {
    /// Only `dummy:`, and `memory:` as a backplane.
    pub fn new() -> Self {
        let schemes = Self::default().register("dummy", |_| Ok(Dummy));
        schemes.register_backplane("memory", |_| Ok(InProcess::new()))
    }

    /// Adds a scheme. The constructor takes its own options from the URL; `timeout`, `prefix` (or `key_prefix`),
    /// `version`, `deadline`, `breaker`, `cooldown`, `ignore_errors`, `lease`, `codec`, `compression` and `compress_above` are taken for all.
    /// It checks everything that needs no I/O, connects to nothing and starts no task.
    #[must_use]
    pub fn register<B: Backend>(
        self,
        scheme: &'static str,
        open: impl Fn(&mut CacheUrl) -> Result<B, Error> + Send + Sync + 'static,
    ) -> Self {
        self.register_over(scheme, move |url, _| open(url))
    }

    /// The same for a backend that stands on others, and finds those by URLs among its options: see [`backend`](Self::backend) and
    /// [`backplane`](Self::backplane).
    #[must_use]
    pub fn register_over<B: Backend>(
        mut self,
        scheme: &'static str,
        open: impl Fn(&mut CacheUrl, &Self) -> Result<B, Error> + Send + Sync + 'static,
    ) -> Self {
        self.features.remove(scheme);
        self.constructors.insert(scheme, Arc::new(move |url, all| open(url, all).map(DynBackend::new)));
        self
    }

    /// Adds a scheme for a [`Backplane`]. The constructor takes the options of the URL, as [that of a backend](Self::register) does.
    #[must_use]
    pub fn register_backplane<B: Backplane>(
        mut self,
        scheme: &'static str,
        open: impl Fn(&mut CacheUrl) -> Result<B, Error> + Send + Sync + 'static,
    ) -> Self {
        self.backplanes.insert(scheme, Arc::new(move |url| open(url).map(DynBackplane::new)));
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
        let mut builder = CacheBuilder::new(self.construct(url)?);
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
        if let Some(lives) = url.take_duration("lease")? {
            builder = builder.lease(lives);
        }
        builder = resilience(url, builder)?;
        builder = encoding(url, builder)?;
        url.all_taken()?;
        Ok(builder)
    }

    /// The backend of a URL, for one that stands on it. Options that are a cache's are refused.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn backend(&self, url: &mut CacheUrl) -> Result<DynBackend, Error> {
        let backend = self.construct(url)?;
        for name in COMMON {
            if url.take(name).is_some() {
                url.blame(name);
                return Err(Error::config(format!(
                    "{name} is an option of the cache, not of the {}: store that it stands on",
                    url.scheme()
                )));
            }
        }
        url.all_taken()?;
        Ok(backend)
    }

    /// The backplane of a URL.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) for a URL that can't be right, or whose scheme brings no backplane.
    pub fn backplane(&self, url: &mut CacheUrl) -> Result<DynBackplane, Error> {
        let Some(open) = self.backplanes.get(url.scheme()) else {
            let known: Vec<&str> = self.backplanes.keys().copied().collect();
            return Err(Error::config(format!(
                "{}: URLs bring no backplane; {}",
                url.scheme(),
                suggest(url.scheme(), &known)
            )));
        };
        let backplane = open(url)?;
        url.all_taken()?;
        Ok(backplane)
    }

    /// Whether URLs of this scheme bring a backplane.
    pub fn has_backplane(&self, scheme: &str) -> bool {
        self.backplanes.contains_key(scheme)
    }

    fn construct(&self, url: &mut CacheUrl) -> Result<DynBackend, Error> {
        match self.constructors.get(url.scheme()) {
            Some(open) => open(url, self),
            None => Err(self.unknown(url.scheme())),
        }
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
            .field("backplanes", &self.backplanes.keys())
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
    fn what_stands_on_a_store_opens_it_and_knows_whose_options_are_whose() {
        let schemes = Schemes::new().register_over("over", |url, all| {
            let place = url.take("store").unwrap_or_default();
            all.backend(&mut CacheUrl::parse(&place)?)
        });
        let schemes = schemes.register("own", |url| url.take_u64("size").map(|_| Dummy));
        assert_eq!(
            schemes.open("over:?store=own:?size=3&timeout=5").unwrap().default_timeout(),
            Timeout::from(5)
        );
        for name in COMMON {
            let e = schemes.open(&format!("over:?store=own:?{name}=5")).unwrap_err().to_string();
            assert!(e.contains(&format!("{name} is an option of the cache, not of the own: store")), "{e}");
        }
        let e = schemes.open("over:?store=own:?sze=3").unwrap_err().to_string();
        assert!(e.contains("did you mean \"size\"?"), "{e}");
        let e = schemes.open("dummy:?zzzzzzzzzzzzzzzzzzzzzzzzz=1").unwrap_err().to_string();
        assert!(e.ends_with(&COMMON.join(", ")), "all of them are taken, and no more: {e}");
    }

    #[test]
    fn a_backplane_is_found_by_its_scheme() {
        let schemes = Schemes::new();
        let find = |url: &str| schemes.backplane(&mut CacheUrl::parse(url).unwrap());
        find("memory:").unwrap();
        assert!(find("memroy:").unwrap_err().to_string().contains("did you mean \"memory\"?"));
        assert!(find("memory:?x=1").unwrap_err().to_string().contains("\"x\" is not an option"));
        assert!(schemes.has_backplane("memory") && !schemes.has_backplane("dummy"));
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
