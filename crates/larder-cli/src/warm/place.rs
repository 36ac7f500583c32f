//! Which site is warmed, and where its list comes from.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use http::{HeaderValue, Uri};
use url::Url;

use crate::failure::Failure;

/// A file, or a URL to fetch.
#[derive(Clone, Debug)]
pub(super) enum Source {
    File(PathBuf),
    Url(Url),
}

impl Source {
    pub(super) fn of(text: &str) -> Self {
        match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => Self::Url(url),
            _ => Self::File(text.into()),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Url(url) => url.fmt(f),
        }
    }
}

/// At most one more than `limit` bytes of a file.
pub(super) fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes));
    read.map_err(|error| Failure::said(format!("{} can't be read: {error}", path.display())))?;
    Ok(bytes)
}

/// The site: where its server is, and what it calls itself.
#[derive(Clone, Debug)]
pub(super) struct Site {
    base: Url,
    /// What visitors call it, if that is not where the server is.
    host: Option<Url>,
}

impl Site {
    pub(super) fn new(base: &str, host: Option<&str>) -> Result<Self, Failure> {
        let wrong = |what: &str| {
            Failure::said(format!("{base:?} can't be warmed: {what}; name the site as http://127.0.0.1:8000"))
        };
        let parsed = Url::parse(base).map_err(|error| wrong(&error.to_string()))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(wrong("it does not begin with http:// or https://"));
        }
        if parsed.scheme() == "https" && cfg!(not(feature = "https")) {
            return Err(Failure::said("https is not compiled in; build larder-cli with its feature https"));
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(Failure::said("the URL of a site to warm has no password; take --header"));
        }
        if parsed.path() != "/" || parsed.query().is_some() {
            return Err(wrong("it has a path, which the list says"));
        }
        let host = host.map(|host| {
            let url = Url::parse(&format!("http://{host}/")).ok();
            let url = url.filter(|url| url.path() == "/" && url.username().is_empty());
            url.ok_or_else(|| {
                Failure::said(format!("{host:?} is no host; write shop.example or shop.example:8080"))
            })
        });
        Ok(Self { base: parsed, host: host.transpose()? })
    }

    /// Whether a URL is of this site, by either of its schemes.
    pub(super) fn has(&self, url: &Url) -> bool {
        let own = self.host.as_ref().unwrap_or(&self.base);
        let port = |url: &Url| url.port_or_known_default();
        let usual = |url: &Url| matches!(port(url), Some(80 | 443)) && url.port().is_none();
        matches!(url.scheme(), "http" | "https")
            && url.host() == own.host()
            && (port(url) == port(own) || (usual(url) && usual(own)))
    }

    /// Where to ask for a path.
    pub(super) fn target(&self, path_and_query: &str) -> Option<Uri> {
        let joined = format!("{}{path_and_query}", self.base.as_str().trim_end_matches('/'));
        joined.parse().ok().filter(|_| path_and_query.starts_with('/'))
    }

    /// What the request says to be the host, if not where it goes.
    pub(super) fn host(&self) -> Option<HeaderValue> {
        let host = self.host.as_ref()?;
        let name = host.host_str()?;
        let text = host.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
        HeaderValue::from_str(&text).ok()
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.base.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_urls_of_the_site_are_its_own() {
        let of = |base, host: Option<&str>, url: &str| {
            Site::new(base, host).unwrap().has(&Url::parse(url).unwrap())
        };
        assert!(of("http://a.example", None, "https://A.example/x"));
        assert!(of("http://a.example:8000", None, "http://a.example:8000/x"));
        assert!(of("http://127.0.0.1:8000", Some("a.example"), "https://a.example/x"));
        for foreign in
            ["http://b.example/", "http://a.example:81/", "http://a.example.evil/", "ftp://a.example/"]
        {
            assert!(!of("http://a.example", None, foreign), "{foreign}");
        }
        assert!(!of("http://127.0.0.1:8000", Some("a.example"), "http://127.0.0.1:8000/"));
    }

    #[test]
    fn what_is_no_site_says_what_would_be() {
        for (base, host) in [
            ("shop.example", None),
            ("ftp://a/", None),
            ("http://u:hunter2@a/", None),
            ("http://a/path", None),
            ("http://a", Some("b/c")),
            ("http://a", Some("u@b")),
        ] {
            let Err(Failure::Said(error)) = Site::new(base, host) else { panic!("{base} {host:?}") };
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
