//! The example under load: built once, started afresh for each run, in a process of its own.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::cli::Args;

/// A server to load, ours or somebody's.
#[derive(Debug)]
pub(crate) struct Server {
    url: String,
    child: Option<Child>,
}

const OWN_PACKAGE: [&str; 4] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_"];

/// Builds the example the way that the README says.
pub(crate) async fn build() -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--release", "-p", "delay"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    // What cargo tells a program about its own package; some build scripts run again when it changes.
    for (name, _) in std::env::vars_os() {
        let told = name.to_str().is_some_and(|name| OWN_PACKAGE.iter().any(|own| name.starts_with(own)));
        if told {
            build.env_remove(name);
        }
    }
    let status = build.status().await?;
    ensure!(status.success(), "cargo build --release -p delay failed");
    Ok(())
}

/// Where cargo put it: beside this program, whatever the profile of this one.
fn program() -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let target =
        here.parent().and_then(|profile| profile.parent()).context("this program lies in no folder")?;
    Ok(target.join("release").join("delay").with_extension(std::env::consts::EXE_EXTENSION))
}

impl Server {
    /// Somebody's server; it is neither started nor stopped.
    pub(crate) fn given(url: &str) -> Self {
        Self { url: url.trim_end_matches('/').to_owned(), child: None }
    }

    /// Starts the example on a free port and waits until it listens.
    pub(crate) async fn start(args: &Args) -> Result<Self> {
        let program = program()?;
        let mut child = Command::new(&program)
            .args(["--listen", "127.0.0.1:0", "--cache", &args.cache, "--delay", &args.delay])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} does not start", program.display()))?;
        let stdout = child.stdout.take().context("the example has a standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let greeting = tokio::time::timeout(Duration::from_secs(20), lines.next_line());
        let Some(line) = greeting.await.context("the example says nothing")?? else {
            bail!("the example ended: {}", child.wait().await?);
        };
        // What else it says is not needed, but somebody has to listen.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let url = line.split_whitespace().find(|word| word.starts_with("http://"));
        let url = url.with_context(|| format!("the example names no address: {line}"))?;
        Ok(Self { url: url.trim_end_matches('/').to_owned(), child: Some(child) })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What the API was asked so far; `None` from a server that doesn't count.
    pub(crate) async fn origin_calls(&self) -> Option<u64> {
        let answer = reqwest::get(format!("{}/calls", self.url)).await.ok()?.error_for_status().ok()?;
        let calls: serde_json::Value = serde_json::from_slice(&answer.bytes().await.ok()?).ok()?;
        calls.get("total")?.as_u64()
    }

    /// Ends what was started.
    pub(crate) async fn stop(self) -> Result<()> {
        if let Some(mut child) = self.child {
            child.kill().await?;
        }
        Ok(())
    }
}
