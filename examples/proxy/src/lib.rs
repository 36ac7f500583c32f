//! A caching reverse proxy: `proxy --listen 127.0.0.1:8080 --upstream http://127.0.0.1:9000 --cache memory:`.
//!
//! Everything that has to do with caching is [`layer`]; the rest is a plain proxy on hyper: [`Upstream`] sends one request on, and [`serve`]
//! keeps the connections.

mod front;
mod interim;
mod upstream;

use std::net::SocketAddr;
use std::time::Duration;

use clap::{ArgAction::Set, Parser, ValueEnum};
use http::Uri;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::{conn::auto, graceful::GracefulShutdown};
use hyper_util::service::TowerToHyperService;
use larder::http_rules::shared::Heuristics;
use larder::{Cache, CachePage, Policy, Timeout, cache_page};
use tokio::net::TcpListener;
use tower::{Layer as _, ServiceExt as _, service_fn};

pub use upstream::Upstream;

/// What keeps the proxy from starting.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A caching reverse proxy.
#[derive(Debug, Parser)]
pub struct Args {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// The server behind: `http://host:port`.
    #[arg(long)]
    pub upstream: Uri,
    /// Where responses are kept: `memory:`, `file:///dir`, `redis://host/1`, …
    #[arg(long, default_value = "memory:")]
    pub cache: String,
    /// By which rules: RFC 9111 (`shared`), or Django's with the cache's timeout (`origin`).
    #[arg(long, value_enum, default_value = "shared")]
    pub policy: Rules,
    /// How long the server behind may take to begin its answer, in seconds.
    #[arg(long, default_value_t = 60)]
    pub patience: u64,
    /// Guess a lifetime for every response that RFC 9110 allows it for, errors that a client can provoke among them.
    #[arg(long, value_name = "BOOL", action = Set, default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub all_heuristics: bool,
    /// Store `Set-Cookie` where the response gives its lifetime itself, as the RFCs have it; `=false`: no response with a cookie is stored.
    #[arg(long, value_name = "BOOL", action = Set, default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub store_set_cookie: bool,
    /// Join parts that have no validator, trusting that nothing changed between. RFC 9111 forbids it.
    #[arg(long)]
    pub trust_parts: bool,
}

/// By which rules.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Rules {
    /// RFC 9111.
    Shared,
    /// Django's.
    Origin,
}

/// All the caching there is.
pub fn layer(args: &Args, cache: &Cache) -> CachePage {
    let policy = match args.policy {
        Rules::Origin => Policy::origin(),
        Rules::Shared => Policy::shared()
            .heuristics(if args.all_heuristics { Heuristics::All } else { Heuristics::Safe })
            .store_set_cookie(args.store_set_cookie)
            .combine_without_validator(args.trust_parts),
    };
    cache_page(Timeout::DEFAULT).cache(cache).policy(policy)
}

/// Serves connections until `end`, and then those that are under way, for ten seconds at most.
pub async fn serve(
    listener: TcpListener,
    upstream: Upstream,
    layer: CachePage,
    end: impl Future<Output = ()>,
) {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(30));
    let graceful = GracefulShutdown::new();
    let mut end = std::pin::pin!(end);
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                // Out of file descriptors, say: others may be closed in a moment.
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = &mut end => break,
        };
        let _ = stream.set_nodelay(true);
        let (stream, interim) = interim::wrap(stream);
        let upstream = upstream.clone();
        let inner = service_fn(move |request| upstream.clone().forward(request, peer, interim.clone()));
        let cached = layer.layer(inner);
        let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
            let cached = cached.clone();
            async move {
                match front::refused(&request) {
                    Some(refused) => Ok(refused),
                    None => cached.oneshot(request.map(axum::body::Body::new)).await,
                }
            }
        });
        let connection = server.serve_connection_with_upgrades(stream, TowerToHyperService::new(service));
        let connection = graceful.watch(connection.into_owned());
        tokio::spawn(async move {
            // A client that breaks off is its own affair.
            let _ = connection.await;
        });
    }
    drop(listener);
    tokio::select! {
        () = graceful.shutdown() => {}
        () = tokio::time::sleep(Duration::from_secs(10)) => eprintln!("some connections are still busy; leaving"),
    }
}
