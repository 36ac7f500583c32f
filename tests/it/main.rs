//! Larder end to end. One binary, one module a topic; `cargo xtask test` brings the servers.

mod compose;
mod delay;
mod delay_browser;
mod django_cc;
mod django_cg;
mod django_ck;
mod django_guide;
mod django_mw;
mod django_mw_nested;
mod django_mw_served;
mod docs;
mod g1_model;
mod g1_right_page;
mod g1_vary;
mod g2_cookies;
mod g2_private;
mod g2_sessions;
mod g2_tower_sessions;
mod mounts;
mod mounts_ready;
mod servers;
mod support;
