//! Asking the slow API, as the seeds' view does with `requests.get` and `raise_for_status`.

use std::fmt;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Limited};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// How long the API may take on top of the delay it was asked for.
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer is far smaller; a wrong URL may lead to a download.
const LARGEST_ANSWER: usize = 1 << 20;

#[cfg(feature = "https")]
type Connector = hyper_rustls::HttpsConnector<HttpConnector>;
#[cfg(not(feature = "https"))]
type Connector = HttpConnector;

/// An httpbin, or its stand-in, that answers after a delay. A clone shares the connections.
#[derive(Clone, Debug)]
pub struct Httpbin {
    client: Client<Connector, Body>,
    base: String,
    delay: f64,
}

impl Httpbin {
    /// An httpbin at `base`, such as `https://httpbin.org`, to be asked for answers after `delay` seconds.
    ///
    /// # Errors
    /// When `base` is no absolute http URL, or an https one and the feature `https` is not compiled in; the text says
    /// what to do.
    pub fn new(base: &str, delay: f64) -> Result<Self, String> {
        let uri: Uri = base.parse().map_err(|error| format!("{base:?} is no URL: {error}"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") if cfg!(feature = "https") => {}
            Some("https") => {
                return Err(
                    "https is not compiled in; run: cargo run --release -p delay --features https".into()
                );
            }
            _ => return Err(format!("{base:?} must begin with http:// or https://")),
        }
        // The page shows this URL, so it is no place for a password.
        if uri.query().is_some() || uri.authority().is_some_and(|authority| authority.as_str().contains('@'))
        {
            return Err("the URL must have no query and no password".to_owned());
        }
        let client = Client::builder(TokioExecutor::new()).build(connector());
        Ok(Self { client, base: base.trim_end_matches('/').to_owned(), delay })
    }

    /// Where it is.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The delay asked for, in seconds.
    #[must_use]
    pub fn delay(&self) -> f64 {
        self.delay
    }

    /// Asks `/delay/{n}` on behalf of a view, whose path travels along as `for` and comes back in `args`.
    ///
    /// # Errors
    /// When the API can't be reached, is late, answers with an error or with something other than JSON.
    ///
    /// # Cancel safety
    /// A dropped call closes its connection; nothing else is left behind.
    pub async fn ask(&self, view: &str) -> Result<Value, ApiError> {
        let limit = Duration::try_from_secs_f64(self.delay).unwrap_or_default() + PATIENCE;
        let answer = self.get(format!("{}/delay/{}?for={view}", self.base, self.delay));
        tokio::time::timeout(limit, answer).await.unwrap_or(Err(ApiError::Late(limit)))
    }

    async fn get(&self, url: String) -> Result<Value, ApiError> {
        let request = Request::get(url)
            .header(header::USER_AGENT, concat!("larder-delay/", env!("CARGO_PKG_VERSION")))
            .header(header::ACCEPT, "application/json")
            .body(Body::empty())
            .map_err(|error| ApiError::Unreadable(error.to_string()))?;
        let answer =
            self.client.request(request).await.map_err(|error| ApiError::Unreachable(root_cause(&error)))?;
        if !answer.status().is_success() {
            return Err(ApiError::Refused(answer.status()));
        }
        let body = Limited::new(answer.into_body(), LARGEST_ANSWER)
            .collect()
            .await
            .map_err(|error| ApiError::Unreadable(error.to_string()))?;
        serde_json::from_slice(&body.to_bytes()).map_err(|error| ApiError::Unreadable(error.to_string()))
    }
}

#[cfg(feature = "https")]
fn connector() -> Connector {
    // The provider is named, as another crate in the program may have brought a second one.
    let provider = rustls::crypto::ring::default_provider();
    let builder = hyper_rustls::HttpsConnectorBuilder::new();
    builder
        .with_provider_and_webpki_roots(provider)
        .expect("ring speaks the default versions of TLS")
        .https_or_http()
        .enable_http1()
        .build()
}

#[cfg(not(feature = "https"))]
fn connector() -> Connector {
    HttpConnector::new()
}

/// The innermost message: hyper's own says only "client error (Connect)".
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// Why the API gave nothing to show.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ApiError {
    /// No connection, or one that broke.
    Unreachable(String),
    /// No answer within this time.
    Late(Duration),
    /// An answer other than success.
    Refused(StatusCode),
    /// Success, but not with JSON.
    Unreadable(String),
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "it can't be reached ({why})"),
            Self::Late(limit) => write!(f, "it gave no answer within {limit:?}"),
            Self::Refused(status) => write!(f, "it answered {status}"),
            Self::Unreadable(why) => write!(f, "it answered with something other than JSON ({why})"),
        }
    }
}

impl std::error::Error for ApiError {}
