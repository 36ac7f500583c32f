//! Reading a configuration.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use larder_core::{CacheBuilder, Caches, Error, Schemes, suggest};

use super::Config;
use super::at::{placed, wrong};
use super::document::{self, Table};
use super::site::{self, SiteSettings};
use super::variables::Variables;
use super::{alias, env};

/// How a configuration is read, for those who have URL schemes of their own, or another environment.
///
/// ```
/// use larder::{Dummy, config::Loader};
///
/// let schemes = larder::schemes().register("mine", |url| {
///     let _size = url.take_u64("size")?;
///     Ok(Dummy)
/// });
/// let config = Loader::new()
///     .schemes(schemes)
///     .variables([("SIZE", "3")])
///     .text("[default]\nurl = \"mine:\"\nsize = \"${SIZE}\"")?;
/// assert!(config.caches().default_cache().is_some());
/// # Ok::<(), larder::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "call file(), text() or environment()"]
pub struct Loader {
    schemes: Schemes,
    variables: Option<Variables>,
    each: Option<Arc<Each>>,
}

type Each = dyn Fn(&str, CacheBuilder) -> CacheBuilder + Send + Sync;

impl Loader {
    /// One that knows [`schemes`](crate::schemes) and the environment of the process.
    pub fn new() -> Self {
        Self { schemes: crate::schemes(), variables: None, each: None }
    }

    /// Which URL opens which backend.
    pub fn schemes(mut self, schemes: Schemes) -> Self {
        self.schemes = schemes;
        self
    }

    /// The environment variables that count, instead of those of the process.
    pub fn variables<N: Into<String>, V: Into<String>>(
        mut self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        self.variables = Some(Variables::given(variables.into_iter().map(|(n, v)| (n.into(), v.into()))));
        self
    }

    /// Has the last word on every cache, by its alias: for what no text can say.
    ///
    /// ```
    /// use larder::{ManualClock, config::Loader};
    ///
    /// let clock = ManualClock::new(1_000_000);
    /// let time = clock.clock();
    /// let config = Loader::new()
    ///     .each(move |_alias, cache| cache.clock(time.clone()))
    ///     .text("[default]\nurl = \"memory:\"")?;
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn each(mut self, each: impl Fn(&str, CacheBuilder) -> CacheBuilder + Send + Sync + 'static) -> Self {
        self.each = Some(Arc::new(each));
        self
    }

    /// Reads a file.
    ///
    /// # Errors
    /// As [`from_file`](super::from_file).
    pub fn file(&self, path: impl AsRef<Path>) -> Result<Config, Error> {
        self.open(read(path.as_ref())?, &self.known())
    }

    /// Reads a text as it would stand in a file.
    ///
    /// # Errors
    /// As [`from_file`](super::from_file).
    pub fn text(&self, text: &str) -> Result<Config, Error> {
        self.open(document::read(text, "configuration", None)?, &self.known())
    }

    /// Reads the `LARDER_…` of the environment, and the file it names.
    ///
    /// # Errors
    /// As [`from_env`](super::from_env).
    pub fn environment(&self) -> Result<Config, Error> {
        let variables = self.known();
        let mut tables = Vec::new();
        if env::names_a_file(&variables) {
            let path = variables.get(env::CONFIG).map_err(|error| placed(env::CONFIG, &error))?;
            tables = read(Path::new(path)).map_err(|error| placed(env::CONFIG, &error))?;
        }
        env::apply(&mut tables, &variables)?;
        if tables.is_empty() {
            return Err(Error::config(
                "the environment names no cache; set LARDER_URL to redis://127.0.0.1:6379/0, say, or LARDER_CONFIG to the path of a file",
            ));
        }
        self.open(tables, &variables)
    }

    fn known(&self) -> Variables {
        self.variables.clone().unwrap_or_else(Variables::of_process)
    }

    fn open(&self, tables: Vec<Table>, variables: &Variables) -> Result<Config, Error> {
        let (site, tables): (Vec<_>, Vec<_>) = tables.into_iter().partition(|table| table.name == site::NAME);
        let names: Vec<String> = tables.iter().map(|table| table.name.clone()).collect();
        let mut opened = Vec::with_capacity(tables.len());
        for table in tables {
            let name = table.name.clone();
            let last_word = |cache| match &self.each {
                Some(each) => each(&name, cache),
                None => cache,
            };
            let cache = alias::open(table, &self.schemes, variables, last_word)?;
            opened.push((name, cache));
        }
        let Some(default) = opened.iter().position(|(name, _)| name == "default") else {
            return Err(without_default(&names));
        };
        let default = opened.swap_remove(default).1;
        let caches =
            opened.into_iter().fold(Caches::new(default), |caches, (name, cache)| caches.with(name, cache));
        let site = match site.into_iter().next() {
            Some(table) => SiteSettings::read(table, &caches, variables)?,
            None => SiteSettings::default(),
        };
        let site_cache = caches.get(&site.alias)?;
        Ok(Config { caches, site, site_cache })
    }
}

fn read(path: &Path) -> Result<Vec<Table>, Error> {
    let shown = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|error| {
        wrong(&shown, format_args!("the configuration of the caches can't be read: {error}"))
            .with_source(error)
    })?;
    document::read(&text, &shown, path.parent())
}

/// Django: `ImproperlyConfigured`, "You must define a 'default' cache."
fn without_default(names: &[String]) -> Error {
    let near = names.iter().find(|name| suggest(name, &["default"]).starts_with("did"));
    let hint = match near {
        Some(name) => format!("is {name:?} meant to be it?"),
        None => "write a table [default] with its url, or set LARDER_URL".to_owned(),
    };
    Error::config(format!("there is no cache called default, which serves all who name none; {hint}"))
}

impl Default for Loader {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader").field("schemes", &self.schemes).finish_non_exhaustive()
    }
}
