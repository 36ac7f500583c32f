//! Cache URLs: `scheme://where?option=value`.

mod nearest;
mod shown;
mod text;

use std::fmt;
use std::time::Duration;

use crate::error::Error;

pub use nearest::suggest;
use shown::{checked, redact};
pub(crate) use text::duration;
use text::{decode, encode, with_unit};

/// A parsed cache URL whose options are taken one by one; what nobody took is an error that names the nearest option that
/// exists.
///
/// Printing one never shows a password.
#[derive(Clone)]
pub struct CacheUrl {
    scheme: String,
    rest: String,
    options: Vec<(String, String)>,
    known: Vec<&'static str>,
    blamed: Option<String>,
    takes_urls: bool,
}

impl CacheUrl {
    /// Parses `scheme:rest` or `scheme:rest?options`. Options are percent-decoded; the rest stays as it is.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if there is no scheme, an option has no value or stands twice, or an escape is
    /// wrong.
    pub fn parse(url: &str) -> Result<Self, Error> {
        let shown = redact(url);
        checked(url)?;
        let Some((scheme, rest)) = url.split_once(':') else {
            return Err(Error::config(format!(
                "{shown:?} is not a cache URL: it has no scheme; write memory: or redis://127.0.0.1:6379/0, say"
            )));
        };
        let ok = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        if scheme.is_empty() || !scheme.chars().all(ok) {
            return Err(Error::config(format!(
                "{shown:?} is not a cache URL: before the first ':' stands its scheme, such as memory or redis"
            )));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut options: Vec<(String, String)> = Vec::new();
        for pair in query.split('&').filter(|p| !p.is_empty()) {
            let Some((name, value)) = pair.split_once('=') else {
                let hint = "write name=value, and a & in a value as %26";
                return Err(Error::config(format!("an option of {shown:?} has no value; {hint}")));
            };
            let (name, value) = (decode(name, &shown)?, decode(value, &shown)?);
            if options.iter().any(|(n, _)| *n == name) {
                return Err(Error::config(format!("the option {name:?} stands twice in {shown:?}")));
            }
            options.push((name, value));
        }
        Ok(Self {
            scheme: scheme.to_ascii_lowercase(),
            rest: rest.into(),
            options,
            known: Vec::new(),
            blamed: None,
            takes_urls: false,
        })
    }

    /// Adds an option, as if it stood in the URL. It is not decoded.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if it stands there already.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) -> Result<(), Error> {
        let name = name.into();
        if self.options.iter().any(|(n, _)| *n == name) {
            let scheme = &self.scheme;
            return Err(Error::config(format!(
                "{name:?} stands twice: in a {scheme}: cache URL and beside it; leave one out"
            )));
        }
        self.options.push((name, value.into()));
        Ok(())
    }

    /// Adds the password, as if it stood in the URL, with whatever it needs as escapes.
    ///
    /// ```
    /// let mut url = larder_core::CacheUrl::parse("redis://shop@10.0.0.1/1")?;
    /// url.set_password("p@ss/word")?;
    /// assert_eq!(url.authority(), Some("shop:p%40ss%2Fword@10.0.0.1"));
    /// # Ok::<(), larder_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if there is a password already, or no server that could want one.
    pub fn set_password(&mut self, password: &str) -> Result<(), Error> {
        let scheme = &self.scheme;
        let served = |place: &str| !place.is_empty() || scheme.ends_with("+unix");
        let Some((user, place, path)) = self.rest.strip_prefix("//").and_then(|rest| {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let (user, place) = authority.rsplit_once('@').unwrap_or(("", authority));
            served(place).then_some((user, place, path))
        }) else {
            return Err(Error::config(format!(
                "a {scheme}: cache URL names no server, so there is nothing to give a password to"
            )));
        };
        if user.contains(':') {
            return Err(Error::config(format!(
                "the password of a {scheme}: cache stands twice: in its URL and beside it; leave one out"
            )));
        }
        self.rest = format!("//{user}:{}@{place}{path}", encode(password));
        Ok(())
    }

    /// A URL as it may be shown, whether or not it is one: without user and password, and without the values of its options.
    ///
    /// ```
    /// use larder_core::CacheUrl;
    ///
    /// assert_eq!(CacheUrl::masked("redis://u:p@h/1?prefix=shop"), "redis://***@h/1?prefix=…");
    /// ```
    pub fn masked(url: &str) -> String {
        redact(url)
    }

    /// Which option the last error was about, if it was about one: for those who know in which line of a file it stands.
    pub fn blamed(&self) -> Option<&str> {
        self.blamed.as_deref()
    }

    /// The scheme, in lower case.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// What stands between `//` and the next `/`: user, hosts and ports. `None` without `//`.
    pub fn authority(&self) -> Option<&str> {
        let rest = self.rest.strip_prefix("//")?;
        Some(rest.split('/').next().unwrap_or(rest))
    }

    /// What follows the authority, or the whole rest where there is none; not decoded.
    pub fn path(&self) -> &str {
        match self.rest.strip_prefix("//") {
            Some(rest) => rest.find('/').map_or("", |at| &rest[at..]),
            None => &self.rest,
        }
    }

    /// Says which option the error is about that comes now; see [`blamed`](Self::blamed).
    pub fn blame(&mut self, name: &str) {
        self.blamed = Some(name.to_owned());
    }

    /// Takes an option.
    pub fn take(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        let at = self.options.iter().position(|(n, _)| n == name)?;
        Some(self.options.swap_remove(at).1)
    }

    /// Takes an option that is a URL itself. If one is left over that nobody took, it may have belonged to that.
    pub fn take_url(&mut self, name: &'static str) -> Option<String> {
        let url = self.take(name);
        self.takes_urls |= url.is_some();
        url
    }

    /// Takes a whole number.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if it is something else.
    pub fn take_u64(&mut self, name: &'static str) -> Result<Option<u64>, Error> {
        let Some(text) = self.take(name) else { return Ok(None) };
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(self.wrong(name, &text, "a whole number, 0 or more")),
        }
    }

    /// Takes a number of bytes: `1048576`, `64KiB`, `256MiB`, `2GiB`, `500MB`.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if it is something else.
    pub fn take_bytes(&mut self, name: &'static str) -> Result<Option<u64>, Error> {
        let Some(text) = self.take(name) else { return Ok(None) };
        let units = [
            ("", 1),
            ("B", 1),
            ("KiB", 1 << 10),
            ("MiB", 1 << 20),
            ("GiB", 1 << 30),
            ("TiB", 1 << 40),
            ("kB", 1_000),
            ("KB", 1_000),
            ("MB", 1_000_000),
            ("GB", 1_000_000_000),
        ];
        match with_unit(&text, &units) {
            Some(bytes) => Ok(Some(bytes)),
            None => Err(self.wrong(name, &text, "a number of bytes such as 1048576 or 64MiB")),
        }
    }

    /// Takes a duration: `100ms`, `5s`, `10m`, `2h`, `1d`; a bare number counts seconds. Decimals will do: `0.1`, `1.5h`.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if it is something else.
    pub fn take_duration(&mut self, name: &'static str) -> Result<Option<Duration>, Error> {
        let Some(text) = self.take(name) else { return Ok(None) };
        match duration(&text) {
            Some(duration) => Ok(Some(duration)),
            None => Err(self.wrong(name, &text, "a duration such as 900, 100ms, 5s, 10m, 2h or 1d")),
        }
    }

    /// Takes a switch: `true`, `1`, `yes`, `on`, or their opposites.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if it is something else.
    pub fn take_bool(&mut self, name: &'static str) -> Result<Option<bool>, Error> {
        let Some(text) = self.take(name) else { return Ok(None) };
        match text.as_str() {
            "true" | "1" | "yes" | "on" => Ok(Some(true)),
            "false" | "0" | "no" | "off" => Ok(Some(false)),
            _ => Err(self.wrong(name, &text, "true or false")),
        }
    }

    /// Fails if an option is left that nobody took.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config), with the nearest option that exists.
    pub fn finish(mut self) -> Result<(), Error> {
        self.all_taken()
    }

    pub(crate) fn all_taken(&mut self) -> Result<(), Error> {
        self.known.sort_unstable();
        self.known.dedup();
        let Some((name, _)) = self.options.first() else { return Ok(()) };
        self.blamed = Some(name.clone());
        let nearest = suggest(name, &self.known);
        let whose = match self.takes_urls {
            true => "; if it belongs to a URL among the options, write the & before it as %26",
            false => "",
        };
        Err(Error::config(format!("{name:?} is not an option of {}: caches; {nearest}{whose}", self.scheme)))
    }

    pub(crate) fn wrong(&mut self, name: &str, value: &str, wanted: &str) -> Error {
        self.blamed = Some(name.to_owned());
        Error::config(format!("{name}={value} of a {}: cache must be {wanted}", self.scheme))
    }
}

impl fmt::Display for CacheUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", redact(&format!("{}:{}", self.scheme, self.rest)))
    }
}

impl fmt::Debug for CacheUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CacheUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_come_apart() {
        let mut url =
            CacheUrl::parse("redis://u:secret@h1:1,h2:2/1?timeout=600&prefix=a%20b&deadline=100ms&max=64MiB")
                .unwrap();
        assert_eq!((url.scheme(), url.authority(), url.path()), ("redis", Some("u:secret@h1:1,h2:2"), "/1"));
        assert_eq!(url.take_duration("deadline").unwrap(), Some(Duration::from_millis(100)));
        assert_eq!(url.take_duration("timeout").unwrap(), Some(Duration::from_secs(600)));
        assert_eq!(url.take_bytes("max").unwrap(), Some(64 << 20));
        assert_eq!(url.take("prefix").as_deref(), Some("a b"));
        assert_eq!(url.take("version"), None);
        url.finish().unwrap();
        let url = CacheUrl::parse("file:///var/cache").unwrap();
        assert_eq!((url.authority(), url.path()), (Some(""), "/var/cache"));
        assert_eq!(CacheUrl::parse("memory:").unwrap().path(), "");
    }

    #[test]
    fn an_unknown_option_names_the_nearest_one() {
        let mut url = CacheUrl::parse("memory:?timout=5").unwrap();
        url.take("timeout");
        url.take("prefix");
        let e = url.finish().unwrap_err().to_string();
        assert!(e.contains("\"timout\"") && e.contains("did you mean \"timeout\"?"), "{e}");
    }

    #[test]
    fn a_password_is_never_shown() {
        let url = CacheUrl::parse("redis://user:hunter2@h/1").unwrap();
        assert!(!format!("{url} {url:?}").contains("hunter2"));
        for wrong in ["redis//user:hunter2@h", "redis://u:hunter2@h/?a", "redis://u:hunter2@h/?a=1&a=hunter2"]
        {
            let e = CacheUrl::parse(wrong).unwrap_err();
            assert!(!format!("{e} {e:?}").contains("hunter2@") && !e.to_string().contains("=hunter2"), "{e}");
        }
    }

    #[test]
    fn an_option_from_elsewhere_counts_as_if_it_stood_in_the_url() {
        let mut url = CacheUrl::parse("memory:?timeout=5").unwrap();
        url.set("max", "64MiB").unwrap();
        assert_eq!(url.take_bytes("max").unwrap(), Some(64 << 20));
        let e = url.set("timeout", "6").unwrap_err().to_string();
        assert!(e.contains("\"timeout\" stands twice"), "{e}");
    }

    #[test]
    fn a_password_from_elsewhere_goes_before_the_server_and_nowhere_else() {
        for (url, authority) in [
            ("redis://h:1/2", ":a%3Ab@h:1"),
            ("redis://u@h1,h2/m/2", "u:a%3Ab@h1,h2"),
            ("redis+unix:///run/r.sock", ":a%3Ab@"),
        ] {
            let mut url = CacheUrl::parse(url).unwrap();
            let path = url.path().to_owned();
            url.set_password("a:b").unwrap();
            assert_eq!((url.authority(), url.path()), (Some(authority), path.as_str()));
        }
        for url in ["memory:", "file:///var/cache", "redis://u:other@h/1", "redis://:other@h/1"] {
            let e = CacheUrl::parse(url).unwrap().set_password("hunter2").unwrap_err();
            assert!(!format!("{e:?}").contains("hunter2") && !format!("{e:?}").contains("other"), "{e}");
        }
    }

    #[test]
    fn an_error_about_an_option_says_which_to_those_who_ask() {
        let mut url = CacheUrl::parse("memory:?a=x&b=1").unwrap();
        assert_eq!(url.blamed(), None);
        url.take_u64("a").unwrap_err();
        assert_eq!(url.blamed(), Some("a"));
        url.all_taken().unwrap_err();
        assert_eq!(url.blamed(), Some("b"));
    }
}
