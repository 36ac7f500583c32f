//! `cargo run -p courses`: a catalogue of courses, cached. Open <http://127.0.0.1:8000/>.

use std::process::ExitCode;

use clap::Parser;
use courses::Args;

#[tokio::main]
async fn main() -> ExitCode {
    match courses::run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
