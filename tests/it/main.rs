//! Larder end to end. One binary, one module a topic; `cargo xtask test` brings the servers.

mod compose;
mod delay;
mod delay_browser;
mod docs;
mod servers;
