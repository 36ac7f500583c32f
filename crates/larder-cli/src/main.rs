//! `larder`: looks into a cache and changes it, whatever its backend, and never outside its namespace; and warms the cache of a site.

mod args;
mod commands;
mod failure;
mod open;
mod output;
mod warm;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use args::{Command, CommandLine};
use failure::Failure;
use output::Output;

fn main() -> ExitCode {
    // With a number it is that of keys.
    if std::env::args_os().skip(1).eq(["--version"]) {
        let _ = writeln!(std::io::stdout(), "{}", CommandLine::command().render_version().trim_end());
        return ExitCode::SUCCESS;
    }
    let args = match CommandLine::try_parse() {
        Ok(args) => args,
        Err(error) => return failure::usage(&error),
    };
    let mut output = Output::new(std::io::stdout().lock(), std::io::stdout().is_terminal());
    let outcome = run(args, &mut output).and_then(|found| {
        output.finish()?;
        Ok(found)
    });
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        // Who reads had enough.
        Err(Failure::Unread) => ExitCode::SUCCESS,
        Err(Failure::Said(message)) => {
            // If nobody can be told, the exit code has to do.
            let _ = writeln!(std::io::stderr(), "larder: {message}");
            ExitCode::from(2)
        }
    }
}

/// Whether what was asked for was there.
fn run(args: CommandLine, output: &mut Output<impl std::io::Write>) -> Result<bool, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Said(format!("no runtime: {error}")))?;
    if let Command::Warm(warm) = args.command {
        return runtime.block_on(warm::run(*warm, output));
    }
    let opened = open::open(&args)?;
    runtime.block_on(async {
        let found = commands::run(args.command, &opened, args.version, output).await;
        // What it did is done, whatever becomes of the connection.
        let _ = opened.cache.close().await;
        found
    })
}
