//! What is refused before anything is looked up: requests that two servers could read in two ways.

use axum::body::Body;
use http::uri::Authority;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};

/// An answer of the proxy's own, where the request can't be passed on.
pub(crate) fn refused<B>(request: &Request<B>) -> Option<Response<Body>> {
    if *request.method() == Method::CONNECT {
        return Some(own(StatusCode::NOT_IMPLEMENTED));
    }
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let sound = match (hosts.next(), hosts.next()) {
        (_, Some(_)) => false,
        (Some(host), None) => is_host(host),
        (None, None) => request.uri().authority().is_some() || request.version() < Version::HTTP_11,
    };
    let sound = sound && request.uri().authority().is_none_or(|authority| !authority.as_str().contains('@'));
    (!sound).then(|| own(StatusCode::BAD_REQUEST))
}

/// RFC 9112, section 3.2.
fn is_host(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    bytes.is_empty() || Authority::try_from(bytes).is_ok_and(|authority| !authority.as_str().contains('@'))
}

/// Who answers a request that may not be passed on any further (RFC 9110, section 7.6.2): `None`, the server behind.
pub(crate) fn hops_used_up<B>(request: &mut Request<B>) -> Option<Response<Body>> {
    let status = match *request.method() {
        Method::OPTIONS => StatusCode::NO_CONTENT,
        Method::TRACE => StatusCode::METHOD_NOT_ALLOWED,
        _ => return None,
    };
    let left = request.headers().get(header::MAX_FORWARDS)?;
    // One that is no number says nothing.
    let left: u32 = left.to_str().ok()?.parse().ok()?;
    if left > 0 {
        request.headers_mut().insert(header::MAX_FORWARDS, HeaderValue::from(left - 1));
        return None;
    }
    let mut response = own(status);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    Some(response)
}

/// An answer of the proxy's own.
pub(crate) fn own(status: StatusCode) -> Response<Body> {
    let text = if status == StatusCode::NO_CONTENT { String::new() } else { format!("{status}\n") };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
}
