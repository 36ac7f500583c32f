//! What a template says of a fragment.

use std::fmt;

use larder_core::{Tag, Timeout};

/// What a template says of a fragment: what it is called, how long it lives, what it varies on.
///
/// ```
/// use larder_fragment::Fragment;
///
/// let fragment = Fragment::new("top_author").timeout(500).vary_on(["ada"]).tags(["authors"]);
/// assert!(fragment.key().starts_with("template.cache.top_author."));
/// ```
#[derive(Clone)]
#[must_use = "hand it to Fragments::get_or_render"]
pub struct Fragment {
    pub(crate) name: String,
    pub(crate) vary_on: Vec<String>,
    pub(crate) timeout: Timeout,
    pub(crate) using: Option<String>,
    pub(crate) tags: Vec<Tag>,
}

impl Fragment {
    /// A fragment of that name, with the cache's default timeout.
    pub fn new(name: impl Into<String>) -> Self {
        let (vary_on, tags) = (Vec::new(), Vec::new());
        Self { name: name.into(), vary_on, timeout: Timeout::DEFAULT, using: None, tags }
    }

    /// How long it lives.
    pub fn timeout(mut self, timeout: impl Into<Timeout>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// One fragment for each of these values, as text.
    pub fn vary_on<V: fmt::Display>(mut self, values: impl IntoIterator<Item = V>) -> Self {
        self.vary_on.extend(values.into_iter().map(|value| value.to_string()));
        self
    }

    /// The alias of another cache than `template_fragments` or `default`.
    pub fn using(mut self, alias: impl Into<String>) -> Self {
        self.using = Some(alias.into());
        self
    }

    /// Under which tags it is invalidated, and the page around it.
    pub fn tags<T: Into<Tag>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// What it is called in its cache; see [`fragment_key`](crate::fragment_key).
    pub fn key(&self) -> String {
        crate::fragment_key(&self.name, &self.vary_on)
    }
}

// What it varies on may be somebody's name, or worse.
impl fmt::Debug for Fragment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fragment")
            .field("name", &self.name)
            .field("vary_on", &self.vary_on.len())
            .field("timeout", &self.timeout)
            .field("using", &self.using)
            .finish_non_exhaustive()
    }
}

/// A timeout as templates have it.
#[cfg(any(feature = "minijinja", feature = "tera", feature = "askama", test))]
#[cfg_attr(
    not(any(feature = "minijinja", feature = "tera", test)),
    expect(dead_code, reason = "templates that are compiled have typed timeouts")
)]
#[derive(Clone, Copy, Debug)]
pub(crate) enum Said<'a> {
    /// None: for ever.
    Nothing,
    Integer(i128),
    Float(f64),
    Text(&'a str),
    /// What is no number at all, by its kind.
    Other(&'a str),
}

#[cfg(any(feature = "minijinja", feature = "tera", feature = "askama", test))]
impl Said<'_> {
    /// As Django's `int()` takes it: a number of seconds, digits as text too; negative is not stored.
    pub(crate) fn timeout(self) -> Result<Timeout, larder_core::Error> {
        let seconds = |seconds: i128| Timeout::secs(u64::try_from(seconds.max(0)).unwrap_or(u64::MAX));
        let wrong = |said: &str| {
            Err(larder_core::Error::config(format!(
                "the timeout of a cached fragment is {said}; give a number of seconds, or none for ever"
            )))
        };
        match self {
            Self::Nothing => Ok(Timeout::FOREVER),
            Self::Integer(number) => Ok(seconds(number)),
            // What does not fit saturates.
            Self::Float(number) if number.is_finite() => Ok(seconds(number as i128)),
            Self::Float(number) => wrong(&number.to_string()),
            Self::Text(text) => match text.trim().parse::<i128>() {
                Ok(number) => Ok(seconds(number)),
                Err(_) => wrong(&format!("{text:?}")),
            },
            Self::Other(kind) => wrong(kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_a_number_of_seconds_or_none_as_in_django() {
        for (said, timeout) in [
            (Said::Nothing, Timeout::FOREVER),
            (Said::Integer(500), Timeout::from(500)),
            (Said::Integer(0), Timeout::ZERO),
            (Said::Integer(-1), Timeout::ZERO),
            (Said::Integer(i128::MAX), Timeout::from(u64::MAX)),
            (Said::Float(1.9), Timeout::from(1)),
            (Said::Text(" 500 "), Timeout::from(500)),
        ] {
            assert_eq!(said.timeout().unwrap(), timeout, "{said:?}");
        }
        for said in [Said::Text("foo"), Said::Text(""), Said::Float(f64::NAN), Said::Other("a list")] {
            let error = said.timeout().unwrap_err().to_string();
            assert!(error.contains("give a number of seconds"), "{error}");
        }
    }
}
