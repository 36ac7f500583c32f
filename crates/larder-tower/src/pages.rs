//! Pages that are kept warm, through the application's own service.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::header::{self, HeaderName};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt as _;
use larder_core::{Error, Warm, WarmJob, Warmed};
use larder_http::CACHE_STATUS;
use tower::ServiceExt as _;
use tower_service::Service;

use crate::refresh::Refresh;

/// The pages of an application that a [`Warmer`](larder_core::Warmer) keeps warm.
///
/// Each is asked for through the whole application, with all of its middleware, as a client would, and with a [`Refresh`], so that
/// it is made anew and replaces the stored one once it is there.
///
/// ```
/// use std::time::Duration;
/// use axum::{Router, routing::get};
/// use larder_core::{Cache, Warmer};
/// use larder_tower::Pages;
///
/// # fn main() -> Result<(), larder_core::Error> {
/// # let (app, cache): (Router, _) = (Router::new(), Cache::new(larder_core::Dummy));
/// // let app = Router::new().route("/courses", get(courses).layer(cache_page(900).cache(&cache)));
/// let pages = Pages::of(app).host("shop.example").urls(["/", "/courses", "/courses?page=2"]);
/// let warmer = Warmer::new(&cache).every(Duration::from_secs(600)).warm(pages);
/// # let _ = warmer;
/// # Ok(()) }
/// ```
///
/// A page is stored under what the request says: the host, and what proxies in front of the application add. Say the same here with
/// [`host`](Self::host) and [`header`](Self::header), or what is kept warm is another page than what visitors ask for.
#[must_use = "nothing is kept warm until a warmer has it"]
#[derive(Clone)]
pub struct Pages<S> {
    service: S,
    host: String,
    headers: Vec<(String, String)>,
    urls: Vec<String>,
}

impl<S> Pages<S> {
    /// Pages of this service: a `Router`, or whatever else answers requests.
    pub fn of(service: S) -> Self {
        Self { service, host: "localhost".to_owned(), headers: Vec::new(), urls: Vec::new() }
    }

    /// The host that visitors name, with its port if that is not the usual one; `localhost` unless said otherwise.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = host.into();
        self
    }

    /// A field that is sent with each request: a language, `x-forwarded-proto`, …
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// A page: `/courses?page=2`, or `https://shop.example/courses` for another host than the others'.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.urls.push(url.into());
        self
    }

    /// Several pages.
    pub fn urls<U: Into<String>>(mut self, urls: impl IntoIterator<Item = U>) -> Self {
        self.urls.extend(urls.into_iter().map(Into::into));
        self
    }
}

impl<S> fmt::Debug for Pages<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("host", &self.host).field("urls", &self.urls).finish_non_exhaustive()
    }
}

impl<S, R> Warm for Pages<S>
where
    S: Service<Request<Body>, Response = Response<R>> + Clone + Send + Sync + 'static,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    S::Future: Send,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    fn jobs(self) -> Result<Vec<WarmJob>, Error> {
        let mut fields = HeaderMap::new();
        for (name, value) in &self.headers {
            let wrong = || {
                Error::config(format!(
                    "{name:?}: {value:?} is no header field; pages are not kept warm with it"
                ))
            };
            let name: HeaderName = name.parse().map_err(|_| wrong())?;
            fields.append(name, HeaderValue::from_str(value).map_err(|_| wrong())?);
        }
        let job = |url: String| {
            let (uri, host) = target(&url, &self.host)?;
            let mut fields = fields.clone();
            fields.insert(header::HOST, host);
            let (service, fields) = (self.service.clone(), Arc::new(fields));
            Ok(WarmJob::new(url, move || refresh(service.clone(), uri.clone(), Arc::clone(&fields))))
        };
        self.urls.into_iter().map(job).collect()
    }
}

/// What a server sees of a URL: path and query, and the host beside them.
fn target(url: &str, host: &str) -> Result<(Uri, HeaderValue), Error> {
    let wrong = |what: &str| {
        Error::config(format!(
            "{url:?} on {host:?} can't be kept warm: {what}; write \"/path?query\" or \"https://host/path\""
        ))
    };
    let parsed: Uri = url.parse().map_err(|_| wrong("that is no URL"))?;
    let host = parsed.authority().map_or(host, |authority| authority.as_str());
    if host.contains('@') || host.parse::<Authority>().is_err() {
        return Err(wrong("the host is not one"));
    }
    let host = HeaderValue::from_str(host).map_err(|_| wrong("the host is not one"))?;
    match parsed.into_parts().path_and_query {
        Some(path) if path.as_str().starts_with('/') => Ok((path.into(), host)),
        _ => Err(wrong("it has no path")),
    }
}

async fn refresh<S, R>(service: S, uri: Uri, fields: Arc<HeaderMap>) -> Result<Warmed, String>
where
    S: Service<Request<Body>, Response = Response<R>> + Clone + Send,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    R: http_body::Body<Data = Bytes> + Send,
    R::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = uri;
    *request.headers_mut() = HeaderMap::clone(&fields);
    request.extensions_mut().insert(Refresh);
    let said = |error: Box<dyn StdError + Send + Sync>| error.to_string();
    let (parts, body) = service.oneshot(request).await.map_err(|error| said(error.into()))?.into_parts();
    // The page is stored while it is read.
    let mut body = std::pin::pin!(body);
    while let Some(frame) = body.frame().await {
        frame.map_err(|error| said(error.into()))?;
    }
    judge(parts.status, &parts.headers)
}

/// What the caching layers said of it.
fn judge(status: StatusCode, headers: &HeaderMap) -> Result<Warmed, String> {
    let lines = headers.get_all(CACHE_STATUS).iter().filter_map(|line| line.to_str().ok());
    let members: Vec<&str> =
        lines.flat_map(|line| line.split(", ")).filter(|member| member.starts_with("larder;")).collect();
    // Another request may have been making the same page.
    if members.iter().any(|member| member.contains("; stored") || member.contains("; collapsed")) {
        return Ok(Warmed::Refreshed);
    }
    if status.is_server_error() {
        return Err(format!("the page is a {status}"));
    }
    let why = members.last().and_then(|member| member.split("detail=").nth(1));
    Ok(Warmed::NotStored(match why {
        Some(why) => why.to_owned().into(),
        None => "no caching layer has seen it".into(),
    }))
}
