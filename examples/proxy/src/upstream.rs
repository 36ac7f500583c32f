//! One request on its way to the server behind, and its answer back.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, Version, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use larder::{OriginUnreachable, http_rules};

use crate::Failure;
use crate::front::{self, own};
use crate::interim::Interim;

/// The server behind, and the connections to it.
#[derive(Clone, Debug)]
pub struct Upstream {
    client: Client<HttpConnector, Body>,
    authority: http::uri::Authority,
    patience: Duration,
}

impl Upstream {
    /// The server at `http://host:port`. It may take `patience` to begin an answer.
    ///
    /// # Errors
    /// If the URI is anything else.
    pub fn new(uri: &Uri, patience: Duration) -> Result<Self, Failure> {
        let wrong = || format!("--upstream {uri}: it must be http://host:port, without a path");
        if uri.scheme_str() != Some("http") || uri.path() != "/" {
            return Err(wrong().into());
        }
        let authority = uri.authority().ok_or_else(wrong)?.clone();
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(5)));
        let mut client = Client::builder(TokioExecutor::new());
        // Read as it was meant, for what is dropped may be what forbids storing; what can't be read is a 502.
        client.http1_allow_spaces_after_header_name_in_responses(true);
        client.http1_allow_obsolete_multiline_headers_in_responses(true);
        Ok(Self { client: client.build(connector), authority, patience })
    }

    /// Sends a request on. Never fails: what goes wrong is a 502 or a 504.
    pub(crate) async fn forward(
        self,
        mut request: Request<Body>,
        peer: SocketAddr,
        interim: Interim,
    ) -> Result<Response<Body>, Infallible> {
        if let Some(answer) = front::hops_used_up(&mut request) {
            return Ok(answer);
        }
        let upgrade = upgrade_of(request.headers());
        let asked = request.version();
        let client_side = upgrade.as_ref().map(|_| hyper::upgrade::on(&mut request));
        if !self.readdress(&mut request, peer) {
            return Ok(own(StatusCode::BAD_REQUEST));
        }
        if let Some(protocol) = &upgrade {
            request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            request.headers_mut().insert(header::UPGRADE, protocol.clone());
        }
        if asked == Version::HTTP_11 {
            hyper::ext::on_informational(&mut request, move |news| {
                interim.send(news.status(), news.headers());
            });
        }
        let mut response = match self.answered(request).await {
            Ok(response) => response,
            Err(status) => return Ok(unreachable(status)),
        };
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            // Nobody asked for it: what follows is nothing that could be passed on.
            let Some(client_side) = client_side else { return Ok(unreachable(StatusCode::BAD_GATEWAY)) };
            tokio::spawn(tunnel(client_side, hyper::upgrade::on(&mut response)));
            return Ok(response.map(Body::new));
        }
        let via = version(response.version());
        // As HTTP/1.0 if it must be; the server in front says its own.
        *response.version_mut() = Version::HTTP_11;
        http_rules::strip_hop_by_hop(response.headers_mut());
        add_via(response.headers_mut(), via);
        Ok(response.map(Body::new))
    }

    /// The beginning of the answer, or the status of why there is none. The server's time does not run while the client is sending.
    async fn answered(&self, request: Request<Body>) -> Result<Response<Incoming>, StatusCode> {
        let sending = Arc::new(AtomicBool::new(false));
        let frame_came = Arc::clone(&sending);
        let request = request.map(|body| match body.is_end_stream() {
            true => body,
            false => Body::new(body.map_frame(move |frame| {
                frame_came.store(true, Ordering::Relaxed);
                frame
            })),
        });
        match patiently(self.client.request(request), self.patience, &sending).await {
            Some(Ok(response)) => Ok(response),
            Some(Err(error)) if !timed_out(&error) => Err(StatusCode::BAD_GATEWAY),
            _ => Err(StatusCode::GATEWAY_TIMEOUT),
        }
    }

    /// Points the request at the server behind; false if it can't be.
    fn readdress(&self, request: &mut Request<Body>, peer: SocketAddr) -> bool {
        let path = request.uri().path_and_query().map_or("/", |pq| pq.as_str()).to_owned();
        // An absolute form beats Host (RFC 9112, section 3.2.2), and HTTP/2 has only that.
        if let Some(authority) = request.uri().authority().cloned() {
            let Ok(host) = HeaderValue::from_str(authority.as_str()) else { return false };
            request.headers_mut().insert(header::HOST, host);
        }
        let Ok(uri) =
            Uri::builder().scheme("http").authority(self.authority.clone()).path_and_query(path).build()
        else {
            return false;
        };
        *request.uri_mut() = uri;
        let via = version(request.version());
        *request.version_mut() = Version::HTTP_11;
        let headers = request.headers_mut();
        http_rules::strip_hop_by_hop(headers);
        add_via(headers, via);
        if let Ok(address) = HeaderValue::from_str(&peer.ip().to_string()) {
            headers.append(HeaderName::from_static("x-forwarded-for"), address);
        }
        true
    }
}

fn upgrade_of(headers: &HeaderMap) -> Option<HeaderValue> {
    let lists = |value: &HeaderValue| {
        value
            .as_bytes()
            .split(|b| *b == b',')
            .any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
    };
    let wanted = headers.get_all(header::CONNECTION).iter().any(lists);
    // A tunnel of HTTP/2 to the server behind would carry requests that nobody looks at.
    let h2c =
        |protocol: &&HeaderValue| protocol.as_bytes().to_ascii_lowercase().windows(3).any(|w| w == b"h2c");
    headers.get(header::UPGRADE).filter(|protocol| wanted && !h2c(protocol)).cloned()
}

async fn tunnel(client: hyper::upgrade::OnUpgrade, server: hyper::upgrade::OnUpgrade) {
    if let (Ok(client), Ok(server)) = tokio::join!(client, server) {
        let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(server)).await;
    }
}

/// Waits for so long, and anew where the client has sent something meanwhile; `None`: it took too long.
async fn patiently<A: Future>(answer: A, patience: Duration, sending: &AtomicBool) -> Option<A::Output> {
    let mut answer = pin!(answer);
    loop {
        match tokio::time::timeout(patience, &mut answer).await {
            Ok(answer) => return Some(answer),
            Err(_) if sending.swap(false, Ordering::Relaxed) => {}
            Err(_) => return None,
        }
    }
}

/// Whether it was the connection that took too long.
fn timed_out(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source())
        .filter_map(|error| error.downcast_ref::<std::io::Error>())
        .any(|error| error.kind() == std::io::ErrorKind::TimedOut)
}

/// RFC 9110, section 7.6.3.
fn add_via(headers: &mut HeaderMap, version: &str) {
    if let Ok(via) = HeaderValue::from_str(&format!("{version} larder")) {
        headers.append(header::VIA, via);
    }
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}

/// An answer of the proxy's own, because the server behind gave none: what is stale may stand in for it.
fn unreachable(status: StatusCode) -> Response<Body> {
    let mut response = own(status);
    response.extensions_mut().insert(OriginUnreachable);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_slow_upload_is_not_the_servers_silence() {
        let sending = AtomicBool::new(false);
        let upload = async {
            for _ in 0..100 {
                tokio::time::sleep(SECOND / 2).await;
                sending.store(true, Ordering::Relaxed);
            }
            "done"
        };
        assert_eq!(patiently(upload, SECOND, &sending).await, Some("done"));
        let silence = tokio::time::sleep(SECOND * 4);
        assert_eq!(patiently(silence, SECOND, &AtomicBool::new(true)).await, None);
    }
}
