//! Purges: pages forgotten by where they are, without a word of their tags.

use std::fmt;
use std::future::Future;

use http::Uri;
use larder_core::{Cache, Error, Tag};

use crate::labels;

/// Which pages are to be forgotten: of a URL, a route, a host, a part of the path, or all. See [`PurgePages::purge`].
///
/// A purge is of pages alone, of all variants and methods, and of all layers on the cache; values stay. It costs the same
/// however many pages there are, since none is looked for: pages stand under bounded groups, and now and then two share one, so that a few more
/// pages may be made anew than had to be.
///
/// What was wrong about it is told when it is run.
#[derive(Clone, Debug)]
#[must_use = "nothing is purged until Cache::purge is called with it"]
pub struct Purge {
    what: What,
    soft: bool,
}

#[derive(Clone, Debug)]
enum What {
    Url(String),
    Route(String),
    Host(String),
    Prefix(String),
    All,
}

impl Purge {
    /// The pages of this URL, with its query: `https://example.org/courses?page=2` on this host, `/courses?page=2` on every host. The scheme
    /// does not count, and a port only if it is not the scheme's own.
    ///
    /// Where a layer lets only a part of the query count, or reads it in any order, a URL with a query takes all pages of its path from that layer:
    /// which of them it means, only the layer could say.
    pub fn url(url: impl Into<String>) -> Self {
        Self::of(What::Url(url.into()))
    }

    /// The pages of a route of axum, as it was written: `/courses/{id}`, with the prefix of routers that it is nested in.
    ///
    /// Layers know their route if they are mounted on one (`get(…).layer(…)`, `Router::layer`). The per-site pair around the router does not, but
    /// for a router that tells it: mount [`name_routes`](crate::name_routes) on that, or call `larder::site(app).name_routes()`.
    pub fn route(pattern: impl Into<String>) -> Self {
        Self::of(What::Route(pattern.into()))
    }

    /// The pages of a host, as clients name it: `example.org`, with a port if they say one.
    pub fn host(host: impl Into<String>) -> Self {
        Self::of(What::Host(host.into()))
    }

    /// The pages of a path and of all below it, with any query, on every host: `/courses` is for `/courses`, `/courses/7` and `/courses/7/edit`, and
    /// not for `/courses-of-old`. Of a path with more than eight segments, the first eight count.
    pub fn prefix(path: impl Into<String>) -> Self {
        Self::of(What::Prefix(path.into()))
    }

    /// All pages of the cache; [`Cache::clear`] removes its values as well.
    pub fn all() -> Self {
        Self::of(What::All)
    }

    /// Only marks the pages as stale. They may be shown in their windows (`stale_while_revalidate`, `stale_if_error`), and are made anew meanwhile;
    /// without windows it is the same as a hard purge.
    pub fn soft(mut self) -> Self {
        self.soft = true;
        self
    }

    fn of(what: What) -> Self {
        Self { what, soft: false }
    }

    fn tags(&self, cache: &Cache) -> Result<Vec<Tag>, Error> {
        match &self.what {
            What::All => Ok(vec![labels::all()]),
            What::Host(host) => Ok(vec![labels::host(&checked_host(host)?)]),
            What::Route(pattern) => {
                if !pattern.starts_with('/') {
                    let text =
                        format!("{pattern:?} is no route; write it as the router has it, /courses/{{id}}");
                    return Err(Error::config(text));
                }
                Ok(vec![labels::route(pattern)])
            }
            What::Prefix(path) => {
                let path = checked_path(path)?;
                let path = path.trim_end_matches('/');
                Ok(vec![labels::beginnings(path).last().map_or_else(labels::all, labels::path)])
            }
            What::Url(url) => url_tags(cache, url),
        }
    }
}

fn checked_host(host: &str) -> Result<String, Error> {
    let lower = host.to_ascii_lowercase();
    let one = lower.parse::<http::uri::Authority>().is_ok_and(|authority| !authority.as_str().contains('@'));
    if one {
        return Ok(lower);
    }
    Err(Error::config(format!(
        "{host:?} is no host; write it as clients do, without a scheme or a path: example.org"
    )))
}

fn checked_path(path: &str) -> Result<String, Error> {
    let wrong = |why| Error::config(format!("{path:?} is no beginning of a path: {why}"));
    if !path.starts_with('/') {
        return Err(wrong(
            "it is for every host, and begins with /; for one host there is Purge::host, for one URL Purge::url",
        ));
    }
    if path.contains(['?', '#']) {
        return Err(wrong("it is for every query; leave the query out, or use Purge::url"));
    }
    // As it stands in requests.
    match url::Url::parse("http://host").and_then(|base| base.join(path)) {
        Ok(url) if url.host_str() == Some("host") => Ok(url.path().to_owned()),
        _ => Err(wrong("it is not part of a URL")),
    }
}

fn url_tags(cache: &Cache, text: &str) -> Result<Vec<Tag>, Error> {
    let wrong = || {
        Error::config(format!(
            "{text:?} is no URL of a page; write https://example.org/courses?page=2, or /courses?page=2 for every host"
        ))
    };
    // What is written by hand is encoded as clients do it.
    let anywhere = text.starts_with('/') && !text.starts_with("//");
    let url = match anywhere {
        true => url::Url::parse("http://host").and_then(|base| base.join(text)),
        false => url::Url::parse(text),
    };
    let url = url.map_err(|_| wrong())?;
    let host = url.host_str().ok_or_else(wrong)?;
    if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() {
        return Err(wrong());
    }
    let path_and_query = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let narrowed = |host| url.query().map(|_| labels::narrowed(host, url.path()));
    if anywhere {
        return Ok([labels::url(None, &path_and_query)].into_iter().chain(narrowed(None)).collect());
    }
    // Most clients leave the scheme's own port out, and some don't.
    let own = if url.scheme() == "https" { 443 } else { 80 };
    let hosts = match url.port() {
        Some(port) => vec![format!("{host}:{port}")],
        None => vec![host.to_owned(), format!("{host}:{own}")],
    };
    let mut tags = Vec::new();
    for host in &hosts {
        tags.push(labels::url(Some(host), &path_and_query));
        tags.extend(narrowed(Some(host)));
        let uri: Uri = path_and_query.parse().map_err(|_| wrong())?;
        let canonical = labels::canonical(cache, host.as_bytes(), &uri);
        tags.extend(canonical.map(|canonical| labels::url(Some(host), &canonical)));
    }
    Ok(tags)
}

/// [`Cache`]s of pages. In the prelude.
pub trait PurgePages {
    /// Purges pages: once this returned `Ok`, no request that starts later is served one of them whose making began before the call; in this process
    /// and any other on the same store. With [`Purge::soft`], none is served as fresh.
    ///
    /// ```
    /// # use larder_core::{Cache, Dummy};
    /// use larder_tower::{Purge, PurgePages};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), larder_core::Error> {
    /// # let cache = Cache::new(Dummy);
    /// cache.purge(Purge::url("https://example.org/courses?page=2")).await?;
    /// cache.purge(Purge::route("/courses/{id}")).await?;
    /// cache.purge(Purge::prefix("/courses").soft()).await?;
    /// let error = cache.purge(Purge::host("https://example.org")).await.unwrap_err();
    /// assert!(error.to_string().contains("without a scheme"));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Config`](larder_core::ErrorKind::Config) if what is to be purged can't be right; else what the backend gives: the outcome is unknown then, and
    /// the call may be repeated.
    fn purge(&self, purge: Purge) -> impl Future<Output = Result<(), Error>> + Send;
}

impl PurgePages for Cache {
    async fn purge(&self, purge: Purge) -> Result<(), Error> {
        let tags = purge.tags(self)?;
        match purge.soft {
            true => self.soft_invalidate(tags).await,
            false => self.invalidate(tags).await,
        }
    }
}

impl fmt::Display for Purge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Url(url) => write!(f, "the pages of {url}"),
            What::Route(pattern) => write!(f, "the pages of the route {pattern}"),
            What::Host(host) => write!(f, "the pages of the host {host}"),
            What::Prefix(path) => write!(f, "the pages of {path} and below"),
            What::All => f.write_str("all pages"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_core::Dummy;

    fn tags(purge: &Purge) -> Result<Vec<Tag>, String> {
        purge.tags(&Cache::new(Dummy)).map_err(|error| error.to_string())
    }

    #[test]
    fn what_can_not_be_right_is_an_error_that_names_it_and_the_remedy() {
        for (purge, remedy) in [
            (Purge::url("courses"), "https://example.org/courses"),
            (Purge::url("ftp://a/b"), "https://example.org/courses"),
            (Purge::url("https://u:p@a/b"), "https://example.org/courses"),
            (Purge::url(""), "https://example.org/courses"),
            (Purge::host("https://a"), "without a scheme"),
            (Purge::host("a/b"), "without a scheme"),
            (Purge::host(""), "without a scheme"),
            (Purge::prefix("courses"), "begins with /"),
            (Purge::prefix("https://a/b"), "Purge::url"),
            (Purge::prefix("/a?b"), "leave the query out"),
            (Purge::prefix("//a/b"), "not part of a URL"),
            (Purge::route("courses"), "/courses/{id}"),
        ] {
            let error = tags(&purge).unwrap_err();
            assert!(error.contains(remedy), "{purge}: {error}");
        }
    }

    #[test]
    fn urls_are_read_as_clients_write_them() {
        let url = |text: &str| tags(&Purge::url(text)).unwrap();
        assert!(url("https://Example.ORG").contains(&labels::url(Some("example.org"), "/")));
        assert!(url("http://a:8000/ä b?q=ö").contains(&labels::url(Some("a:8000"), "/%C3%A4%20b?q=%C3%B6")));
        assert!(url("https://a/x").contains(&labels::url(Some("a:443"), "/x")));
        assert_eq!(url("/a"), [labels::url(None, "/a")]);
        assert_eq!(url("/a?b"), [labels::url(None, "/a?b"), labels::narrowed(None, "/a")]);
        assert_eq!(tags(&Purge::host("A:80")).unwrap(), [labels::host("a:80")]);
        let prefix = |path: &str| tags(&Purge::prefix(path)).unwrap();
        assert_eq!(prefix("/"), [labels::all()]);
        assert_eq!(prefix("/a/b/"), [labels::path("/a/b")]);
        assert_eq!(prefix(&"/x".repeat(20)), [labels::path(&"/x".repeat(labels::LEVELS))]);
    }
}
