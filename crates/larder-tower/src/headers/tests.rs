use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Method, Request, Response, StatusCode, header};
use http_body::Body as _;
use tower::ServiceExt as _;

use super::{conditional_get, preconditions, preconditions_of};

async fn asked(app: &Router, method: Method, conditions: &[(&str, &str)]) -> Response<Body> {
    let mut request = Request::builder().method(method).uri("/");
    for (name, value) in conditions {
        request = request.header(*name, *value);
    }
    app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

/// RFC 9110, section 8.6: what a 304 said of its length would be the length of the page.
#[tokio::test]
async fn a_304_says_no_length() {
    let page = || get(|| async { ([(header::ETAG, "\"v\"")], "hello") });
    let known = conditional_get().etag(|_| Some("v".to_owned()));
    for (name, app, methods) in [
        ("after", page().layer(conditional_get()), &[Method::GET][..]),
        ("before", page().layer(known), &[Method::GET, Method::HEAD]),
        (
            "preconditions",
            page().layer(preconditions(|_| async { Some("v".to_owned()) })),
            &[Method::GET, Method::HEAD],
        ),
        ("preconditions_of", page().layer(preconditions_of(page())), &[Method::GET]),
    ] {
        let app = Router::new().route("/", app);
        for method in methods {
            let answer = asked(&app, method.clone(), &[("if-none-match", "\"v\"")]).await;
            assert_eq!(answer.status(), StatusCode::NOT_MODIFIED, "{name} {method}");
            assert_eq!(answer.headers().get(header::CONTENT_LENGTH), None, "{name} {method}");
            assert_eq!(answer.headers()[header::ETAG], "\"v\"", "{name} {method}");
            // By this a server would say one. (Axum takes the body of an answer to HEAD away itself.)
            let length = answer.body().size_hint().exact().filter(|_| *method == Method::GET);
            assert_eq!(length, None, "{name} {method}");
            let whole = asked(&app, method.clone(), &[]).await;
            assert_eq!(whole.headers()[header::CONTENT_LENGTH], "5", "{name} {method}");
        }
        let failed = asked(&app, Method::GET, &[("if-match", "\"w\"")]).await;
        assert_eq!(failed.status(), StatusCode::PRECONDITION_FAILED, "{name}");
        assert_eq!(failed.headers()[header::CONTENT_LENGTH], "0", "{name}");
    }
}
