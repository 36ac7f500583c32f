//! Cache URLs: `scheme://where?option=value`.

use std::fmt;
use std::time::Duration;

use crate::error::Error;

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
}

impl CacheUrl {
    /// Parses `scheme:rest` or `scheme:rest?options`. Options are percent-decoded; the rest stays as it is.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if there is no scheme, an option has no value or stands twice, or an escape is
    /// wrong.
    pub fn parse(url: &str) -> Result<Self, Error> {
        let shown = redact(url);
        let Some((scheme, rest)) = url.split_once(':') else {
            return Err(Error::config(format!(
                "{shown:?} is not a cache URL: it has no scheme; write memory: or redis://127.0.0.1:6379/0, say"
            )));
        };
        let ok = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        if scheme.is_empty() || !scheme.chars().all(ok) {
            return Err(Error::config(format!("{shown:?} is not a cache URL: {scheme:?} can't be a scheme")));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut options: Vec<(String, String)> = Vec::new();
        for pair in query.split('&').filter(|p| !p.is_empty()) {
            let Some((name, value)) = pair.split_once('=') else {
                return Err(Error::config(format!("the option {pair:?} of {shown:?} has no value")));
            };
            let (name, value) = (decode(name, &shown)?, decode(value, &shown)?);
            if options.iter().any(|(n, _)| *n == name) {
                return Err(Error::config(format!("the option {name:?} stands twice in {shown:?}")));
            }
            options.push((name, value));
        }
        Ok(Self { scheme: scheme.to_ascii_lowercase(), rest: rest.into(), options, known: Vec::new() })
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

    /// Takes an option.
    pub fn take(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        let at = self.options.iter().position(|(n, _)| n == name)?;
        Some(self.options.swap_remove(at).1)
    }

    /// Takes a whole number.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if it is something else.
    pub fn take_u64(&mut self, name: &'static str) -> Result<Option<u64>, Error> {
        let Some(text) = self.take(name) else { return Ok(None) };
        let number = text.parse().map_err(|_| self.wrong(name, &text, "a whole number, 0 or more"))?;
        Ok(Some(number))
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

    /// Takes a duration: `100ms`, `5s`, `10m`, `2h`, `1d`; a bare number counts seconds.
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
        self.known.sort_unstable();
        self.known.dedup();
        match self.options.first() {
            None => Ok(()),
            Some((name, _)) => Err(Error::config(format!(
                "{:?} is not an option of {}: cache URLs; {}",
                name,
                self.scheme,
                suggest(name, &self.known)
            ))),
        }
    }

    fn wrong(&self, name: &str, value: &str, wanted: &str) -> Error {
        Error::config(format!("{name}={value} in a {}: cache URL: it must be {wanted}", self.scheme))
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

pub(crate) fn duration(text: &str) -> Option<Duration> {
    let units = [("ms", 1), ("", 1_000), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    with_unit(text, &units).map(Duration::from_millis)
}

fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor = units.iter().find(|(name, _)| *name == unit)?.1;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// A URL without what stands before an `@`, and without the values of its options.
fn redact(url: &str) -> String {
    let (head, query) = url.split_once('?').map_or((url, ""), |(h, q)| (h, q));
    let mut shown = match (head.find("//"), head.rfind('@')) {
        (Some(slashes), Some(at)) if at > slashes => format!("{}***{}", &head[..slashes + 2], &head[at..]),
        _ => head.to_owned(),
    };
    if !query.is_empty() {
        let names: Vec<String> =
            query.split('&').map(|pair| format!("{}=…", pair.split('=').next().unwrap_or(pair))).collect();
        shown.push('?');
        shown.push_str(&names.join("&"));
    }
    shown
}

fn decode(text: &str, url: &str) -> Result<String, Error> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        if b != b'%' {
            out.push(b);
            continue;
        }
        let hex = [bytes.next(), bytes.next()].map(|h| h.and_then(|h| char::from(h).to_digit(16)));
        match hex {
            [Some(high), Some(low)] => out.push((high * 16 + low) as u8),
            _ => {
                return Err(Error::config(format!(
                    "{url:?} has a % that two hex digits do not follow; write it %25"
                )));
            }
        }
    }
    String::from_utf8(out).map_err(|_| Error::config(format!("{url:?} has an option that is not UTF-8")))
}

/// `did you mean "x"?`, or the list of what there is.
pub(crate) fn suggest(name: &str, known: &[&str]) -> String {
    let nearest = known.iter().map(|k| (distance(name, k), *k)).min();
    match nearest {
        Some((d, k)) if d <= 2.max(k.len() / 3) => format!("did you mean {k:?}?"),
        _ if known.is_empty() => "there are none".to_owned(),
        _ => format!("there are {}", known.join(", ")),
    }
}

/// Levenshtein distance, of short words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let next = (diagonal + usize::from(ca != *cb)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], next);
        }
    }
    row[b.len()]
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
    fn wrong_numbers_say_what_would_be_right() {
        for (url, wanted) in [
            ("memory:?a=-5", "duration"),
            ("memory:?a=5x", "100ms"),
            ("memory:?a=99999999999999999999", "900"),
        ] {
            let e = CacheUrl::parse(url).unwrap().take_duration("a").unwrap_err().to_string();
            assert!(e.contains(wanted), "{e}");
        }
    }
}
