//! An application on a free port, and clients for it.

use std::net::SocketAddr;

use axum::Router;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

/// An application that is being served on loopback until this is dropped.
#[derive(Debug)]
#[must_use = "the server stops when this is dropped"]
pub struct Served {
    /// Where it listens.
    pub addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<std::io::Result<()>>,
}

/// Serves an application by `axum::serve`, HTTP/1.1 and HTTP/2 (prior knowledge), on a free port of 127.0.0.1.
///
/// # Panics
/// When no port can be had.
pub async fn serve(app: Router) -> Served {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port on loopback");
    let addr = listener.local_addr().expect("a bound listener has an address");
    let (stop, stopped) = oneshot::channel();
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    let task = tokio::spawn(async move {
        axum::serve(listener, app)
            .with_graceful_shutdown(async move {
                // A dropped sender stops the server too.
                let _ = stopped.await;
            })
            .await
    });
    Served { addr, stop: Some(stop), task }
}

impl Served {
    /// An absolute URL of this application.
    #[must_use]
    pub fn url(&self, path_and_query: &str) -> String {
        format!("http://{}{path_and_query}", self.addr)
    }

    /// Stops taking connections and waits until those under way have been answered.
    ///
    /// # Panics
    /// When the server itself failed or panicked.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        (&mut self.task).await.expect("the server does not panic").expect("the server ends cleanly");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Not graceful: a test that failed half-way must not wait for bodies that never end.
        self.task.abort();
    }
}

/// An HTTP/1.1 client that shows responses as they are: no redirects followed, no cookies kept, no proxy asked.
///
/// # Panics
/// Never in practice: it needs no TLS and no resolver.
#[must_use]
pub fn client() -> reqwest::Client {
    plain().http1_only().build().expect("a client without TLS always builds")
}

/// Like [`client`], over HTTP/2 with prior knowledge.
///
/// # Panics
/// Never in practice: it needs no TLS and no resolver.
#[must_use]
pub fn http2_client() -> reqwest::Client {
    plain().http2_prior_knowledge().build().expect("a client without TLS always builds")
}

fn plain() -> reqwest::ClientBuilder {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy()
}

#[cfg(test)]
mod tests {
    use axum::{http::Version, response::Redirect, routing::get};

    use super::*;

    fn app() -> Router {
        Router::new()
            .route("/", get(|version: Version| async move { format!("{version:?}") }))
            .route("/away", get(|| async { Redirect::to("/") }))
    }

    #[tokio::test]
    async fn one_port_speaks_both_versions_of_http() {
        let app = serve(app()).await;
        let one = client().get(app.url("/")).send().await.unwrap().text().await.unwrap();
        let two = http2_client().get(app.url("/")).send().await.unwrap().text().await.unwrap();
        assert_eq!((one.as_str(), two.as_str()), ("HTTP/1.1", "HTTP/2.0"));
    }

    #[tokio::test]
    async fn a_redirect_is_shown_and_not_followed() {
        let app = serve(app()).await;
        let answer = client().get(app.url("/away")).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), &answer.headers()["location"]), (303, &"/".parse().unwrap()));
    }

    #[tokio::test]
    async fn a_stopped_server_refuses_connections() {
        let app = serve(app()).await;
        let url = app.url("/");
        app.stop().await;
        assert!(client().get(url).send().await.unwrap_err().is_connect());
    }
}
