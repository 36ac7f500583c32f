//! A caching reverse proxy: `proxy --listen 127.0.0.1:8080 --upstream http://127.0.0.1:9000 --cache memory:`.
//!
//! Everything that has to do with caching is [`layer`]; the rest is a plain proxy on hyper: [`forward`](upstream::forward) sends one request
//! on, and [`serve`] keeps the connections.

mod interim;
mod upstream;

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use http::Uri;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::{conn::auto, graceful::GracefulShutdown};
use hyper_util::service::TowerToHyperService;
use larder::http_rules::shared::Heuristics;
use larder::{CachePage, Policy, Timeout, cache_page};
use tokio::net::TcpListener;
use tower::{Layer as _, service_fn};
use upstream::Upstream;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A caching reverse proxy.
#[derive(Debug, Parser)]
struct Args {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The server behind: `http://host:port`.
    #[arg(long)]
    upstream: Uri,
    /// Where responses are kept: `memory:`, `file:///dir`, `redis://host/1`, …
    #[arg(long, default_value = "memory:")]
    cache: String,
    /// By which rules: RFC 9111 (`shared`), or Django's with the cache's timeout (`origin`).
    #[arg(long, value_enum, default_value = "shared")]
    policy: Rules,
    /// How long the server behind may take to begin its answer, in seconds.
    #[arg(long, default_value_t = 60)]
    patience: u64,
    /// Guess a lifetime for every response that RFC 9110 allows it for, errors that a client can provoke among them.
    #[arg(long)]
    all_heuristics: bool,
    /// Store `Set-Cookie`: one visitor's cookie is then everybody's.
    #[arg(long)]
    store_set_cookie: bool,
    /// Complete parts that have no validator, trusting that nothing changed between.
    #[arg(long)]
    trust_parts: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Rules {
    Shared,
    Origin,
}

/// All the caching there is.
fn layer(args: &Args) -> Result<CachePage, larder::Error> {
    let policy = match args.policy {
        Rules::Origin => Policy::origin(),
        Rules::Shared => Policy::shared()
            .heuristics(if args.all_heuristics { Heuristics::All } else { Heuristics::Safe })
            .store_set_cookie(args.store_set_cookie)
            .combine_without_validator(args.trust_parts),
    };
    Ok(cache_page(Timeout::DEFAULT).cache(larder::open(&args.cache)?).policy(policy))
}

async fn serve(args: Args) -> Result<(), Failure> {
    let upstream = Upstream::new(&args.upstream, Duration::from_secs(args.patience))?;
    let layer = layer(&args)?;
    let listener = TcpListener::bind(args.listen).await?;
    eprintln!("listening on http://{}, in front of {}", listener.local_addr()?, args.upstream);
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(30));
    let graceful = GracefulShutdown::new();
    let mut end = std::pin::pin!(ended());
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
        let service = tower::ServiceBuilder::new()
            .map_request(|request: http::Request<hyper::body::Incoming>| request.map(axum::body::Body::new))
            .service(layer.layer(inner));
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
    Ok(())
}

/// Ctrl-C, or a `kill`.
async fn ended() {
    let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).ok();
    let term = async {
        match &mut term {
            Some(term) => _ = term.recv().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = term => {}
    }
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    match serve(Args::parse()).await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            std::process::ExitCode::FAILURE
        }
    }
}
