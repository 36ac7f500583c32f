//! Asking the site.

use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use url::Url;

use super::place::Site;
use crate::failure::Failure;

#[cfg(feature = "https")]
type Connector = hyper_rustls::HttpsConnector<HttpConnector>;
#[cfg(not(feature = "https"))]
type Connector = HttpConnector;

/// In which field a server with a `RefreshLayer` looks for its secret.
const REFRESH: HeaderName = HeaderName::from_static("larder-refresh");

/// What became of asking for a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// It was there.
    Hit,
    /// It was made, and is there now.
    Made,
    /// It is not kept; why.
    NotStored(String),
    /// It could not be had; why.
    Failed(String),
}

pub(super) struct Client {
    client: legacy::Client<Connector, Empty<Bytes>>,
    fields: HeaderMap,
    secret: Option<HeaderValue>,
    patience: Duration,
}

impl Client {
    /// `fields` as `name: value`; the secret has pages made anew.
    pub(super) fn new(fields: &[String], secret: Option<&str>, patience: Duration) -> Result<Self, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("larder/", env!("CARGO_PKG_VERSION"))),
        );
        headers.insert(header::ACCEPT, HeaderValue::from_static("text/html,*/*;q=0.8"));
        for field in fields {
            let parsed = field.split_once(':').and_then(|(name, value)| {
                Some((name.trim().parse::<HeaderName>().ok()?, HeaderValue::from_str(value.trim()).ok()?))
            });
            let Some((name, value)) = parsed else {
                return Err(Failure::said("a --header is no header field; write 'accept-language: de'"));
            };
            headers.insert(name, value);
        }
        let secret = secret.map(|secret| {
            let mut value = HeaderValue::from_str(secret)
                .map_err(|_| Failure::said("LARDER_REFRESH_SECRET is no value of a header field"))?;
            value.set_sensitive(true);
            Ok::<_, Failure>(value)
        });
        let client = legacy::Client::builder(TokioExecutor::new()).build(connector()?);
        Ok(Self { client, fields: headers, secret: secret.transpose()?, patience })
    }

    /// Asks for a page and reads it to its end. Redirections are not followed: where they lead is in the list, or is not wanted.
    pub(super) async fn ask(&self, site: &Site, path: &str) -> Asked {
        let fetch = async {
            let mut request = self.request(site, path)?;
            if let Some(secret) = &self.secret {
                request.headers_mut().insert(REFRESH, secret.clone());
            }
            let (parts, mut body) = self.client.request(request).await.map_err(|e| said(&e))?.into_parts();
            while let Some(frame) = body.frame().await {
                frame.map_err(|error| said(&error))?;
            }
            Ok((parts.status, parts.headers))
        };
        match tokio::time::timeout(self.patience, fetch).await {
            Ok(Ok((status, headers))) => judge(status, &headers),
            Ok(Err(error)) => Asked::Failed(error),
            Err(_) => Asked::Failed(format!("no answer within {:?}", self.patience)),
        }
    }

    /// The body of a URL of the site.
    pub(super) async fn body(&self, site: &Site, url: &Url, limit: u64) -> Result<Vec<u8>, Failure> {
        if !site.has(url) {
            return Err(Failure::said(format!(
                "{url} is not of {site}; fetch it into a file, and name that"
            )));
        }
        let fetch = async {
            let request = self.request(site, &path_of(url))?;
            let (parts, body) = self.client.request(request).await.map_err(|e| said(&e))?.into_parts();
            if parts.status != StatusCode::OK {
                return Err(format!("the answer is {}", parts.status));
            }
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            Ok(Limited::new(body, limit).collect().await.map_err(|error| error.to_string())?.to_bytes())
        };
        match tokio::time::timeout(self.patience, fetch).await {
            Ok(Ok(bytes)) => Ok(bytes.into()),
            Ok(Err(error)) => Err(Failure::said(format!("{url} can't be had: {error}"))),
            Err(_) => Err(Failure::said(format!("{url} can't be had: no answer within {:?}", self.patience))),
        }
    }

    fn request(&self, site: &Site, path: &str) -> Result<Request<Empty<Bytes>>, String> {
        let target = site.target(path).ok_or("it is no URL that can be asked for")?;
        let mut request = Request::get(target).body(Empty::new()).map_err(|error| error.to_string())?;
        *request.headers_mut() = self.fields.clone();
        if let Some(host) = site.host() {
            request.headers_mut().insert(header::HOST, host);
        }
        Ok(request)
    }
}

/// Path and query of a URL.
pub(super) fn path_of(url: &Url) -> String {
    url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()))
}

/// An error with what caused it, which is where the reason stands.
fn said(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

fn judge(status: StatusCode, headers: &HeaderMap) -> Asked {
    if status.is_client_error() || status.is_server_error() {
        return Asked::Failed(format!("the answer is {status}"));
    }
    let lines = headers.get_all("cache-status").iter().filter_map(|line| line.to_str().ok());
    let members: Vec<&str> = lines
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .filter(|line| line.starts_with("larder;"))
        .collect();
    if members.iter().any(|member| member.contains("; stored") || member.contains("; collapsed")) {
        return Asked::Made;
    }
    if members.iter().any(|member| member.starts_with("larder; hit")) {
        return Asked::Hit;
    }
    let why = members.last().and_then(|member| member.split("detail=").nth(1));
    Asked::NotStored(match why {
        Some(why) => why.split(';').next().unwrap_or(why).to_owned(),
        None if members.is_empty() => "no Larder has answered".to_owned(),
        None => "it says no reason".to_owned(),
    })
}

#[cfg(feature = "https")]
fn connector() -> Result<Connector, Failure> {
    let provider = rustls::crypto::ring::default_provider();
    let builder = hyper_rustls::HttpsConnectorBuilder::new().with_provider_and_webpki_roots(provider);
    let builder = builder.map_err(|error| Failure::said(format!("no TLS: {error}")))?;
    Ok(builder.https_or_http().enable_http1().build())
}

#[cfg(not(feature = "https"))]
#[expect(clippy::unnecessary_wraps, reason = "with https it may fail")]
fn connector() -> Result<Connector, Failure> {
    Ok(HttpConnector::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, fields: &[&str]) -> Asked {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append("cache-status", field.parse().unwrap());
        }
        judge(StatusCode::from_u16(status).unwrap(), &headers)
    }

    #[test]
    fn what_the_layers_say_is_what_became_of_a_page() {
        assert_eq!(of(200, &["larder; hit; ttl=5"]), Asked::Hit);
        assert_eq!(of(200, &["larder; fwd=uri-miss; stored"]), Asked::Made);
        assert_eq!(of(200, &["larder; hit; ttl=5, larder; fwd=uri-miss; stored"]), Asked::Made);
        assert_eq!(of(200, &["cdn; hit"]), Asked::NotStored("no Larder has answered".into()));
        assert_eq!(of(200, &["larder; fwd=miss; detail=set-cookie"]), Asked::NotStored("set-cookie".into()));
        assert_eq!(of(503, &["larder; hit"]), Asked::Failed("the answer is 503 Service Unavailable".into()));
    }
}
