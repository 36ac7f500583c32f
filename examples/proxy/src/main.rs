//! `cargo run --release -p proxy -- --upstream http://127.0.0.1:9000`

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use proxy::{Args, Failure, Upstream};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

async fn run(args: Args) -> Result<(), Failure> {
    let upstream = Upstream::new(&args.upstream, Duration::from_secs(args.patience))?;
    let layer = proxy::layer(&args, &larder::open(&args.cache)?);
    let listener = TcpListener::bind(args.listen).await?;
    eprintln!("listening on http://{}, in front of {}", listener.local_addr()?, args.upstream);
    let mut term = signal(SignalKind::terminate())?;
    let end = async {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = term.recv() => {}
        }
    };
    proxy::serve(listener, upstream, layer, end).await;
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}
