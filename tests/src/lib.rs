//! What Larder's end-to-end tests share: the servers' addresses, proxies that count, an application on a free port, an HTTP client and a
//! browser.
//!
//! The tests themselves are one binary, `tests/it/`. Run them with `cargo xtask test`, which brings the servers.
//!
//! ```
//! use axum::{Router, routing::get};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), reqwest::Error> {
//! let app = larder_tests::serve(Router::new().route("/", get(|| async { "hello" }))).await;
//! let answer = larder_tests::client().get(app.url("/")).send().await?;
//! assert_eq!(answer.text().await?, "hello");
//! # Ok(()) }
//! ```

pub mod browser;
mod certificates;
pub mod env;
mod http;
pub mod names;
mod ports;
pub mod proxy;

pub use certificates::certificates;
pub use http::{Served, client, http2_client, serve};
pub use ports::own_port;
/// The HTTP client of the tests, re-exported so that one version serves them all.
pub use reqwest;
