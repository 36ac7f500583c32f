//! `cargo run --release -p delay`: a slow view and what caching makes of it. Open <http://127.0.0.1:8000/>.

use std::process::ExitCode;

use clap::Parser;
use delay::Args;

#[tokio::main]
async fn main() -> ExitCode {
    match delay::run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}
