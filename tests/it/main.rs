//! Larder end to end. One binary, one module a topic; `cargo xtask test` brings the servers.

mod compose;
mod delay;
mod delay_browser;
mod django_mw;
mod django_mw_served;
mod docs;
mod servers;
mod support;
