//! The program: opens the cache, starts the stand-in, listens, and ends when it is told to.

use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::httpbin::StandIn;
use crate::{Args, Delay, Failure, Httpbin, app};

/// How long requests under way may take to end once the program was told to.
const FAREWELL: Duration = Duration::from_secs(1);

/// Runs the example until Ctrl-C or SIGTERM.
///
/// # Errors
/// When an argument can't work (exit code 2), or the address can't be had (exit code 1).
pub async fn run(args: Args) -> Result<(), Failure> {
    let cache = args.open_cache()?;
    let stand_in = match args.httpbin {
        Some(_) => None,
        None => Some(StandIn::start().await.map_err(|error| {
            Failure::io(format!("the stand-in for httpbin finds no port on loopback: {error}"))
        })?),
    };
    let base = args.httpbin.clone().or(stand_in.as_ref().map(StandIn::url)).unwrap_or_default();
    let httpbin =
        Httpbin::new(&base, args.delay).map_err(|error| Failure::usage(format!("--httpbin: {error}")))?;
    let listener = listen(&args.listen).await?;
    let addr = listener.local_addr().map_err(|error| Failure::io(error.to_string()))?;
    let told_to_stop = told_to_stop();
    // Whoever closed the other end, as `| head` does, still wants the server.
    let _ = writeln!(std::io::stdout(), "{}", greeting(addr, &httpbin, cache.name(), stand_in.is_some()));

    let (stopping, mut stopped) = watch::channel(false);
    tokio::spawn(async move {
        told_to_stop.await;
        stopping.send_replace(true);
    });
    let mut told = stopped.clone();
    let app = app(Delay { cache, httpbin, calls: stand_in.as_ref().map(StandIn::calls) });
    let server = axum::serve(listener, app).with_graceful_shutdown(async move {
        let _ = told.wait_for(|stopping| *stopping).await;
    });
    // Open connections and slow answers would hold a graceful end for as long as they like.
    let overdue = async {
        let _ = stopped.wait_for(|stopping| *stopping).await;
        tokio::time::sleep(FAREWELL).await;
    };
    tokio::select! {
        ended = server => ended.map_err(|error| Failure::io(error.to_string())),
        () = overdue => Ok(()),
    }
}

async fn listen(addr: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(addr).await.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => {
            Failure::io(format!("{addr} is in use; choose another address, such as --listen 127.0.0.1:0"))
        }
        ErrorKind::InvalidInput => Failure::usage(format!(
            "--listen {addr}: it must be an address and a port, such as 127.0.0.1:8000"
        )),
        _ => Failure::io(format!("--listen {addr}: {error}")),
    })
}

fn greeting(addr: SocketAddr, httpbin: &Httpbin, cache: &str, stand_in: bool) -> String {
    let kind = if stand_in { "a stand-in for httpbin" } else { "httpbin" };
    format!(
        "Open http://{addr}/ and press \"Get new data\".\n\
         It asks {kind} at {base}, which takes {delay} s, and caches in {cache:?}.\n\n\
         Or watch the headers: the first is slow and stored, the second is a hit.\n  \
         curl -i http://{addr}/playground/hello/\n  \
         curl -i http://{addr}/playground/hello/\n\n\
         Ctrl-C ends it.",
        base = httpbin.base(),
        delay = httpbin.delay(),
    )
}

/// Ctrl-C, or what else ends a program. From this call on: whoever is greeted may send it.
#[cfg(unix)]
fn told_to_stop() -> impl Future<Output = ()> + Send {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
    async move {
        match signals {
            [Ok(mut interrupt), Ok(mut terminate)] => tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            },
            _ => drop(tokio::signal::ctrl_c().await),
        }
    }
}

#[cfg(not(unix))]
async fn told_to_stop() {
    drop(tokio::signal::ctrl_c().await);
}
