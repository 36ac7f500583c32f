//! Redis: in memory only, under no password.

use std::process::Command;

use anyhow::Result;

use super::{
    Server, Site, Started,
    process::{Process, ask, free_port},
    programs::Program,
    retried,
};
use crate::names::{self, Name};

pub(super) struct Redis;

impl Server for Redis {
    fn name(&self) -> Name {
        names::REDIS
    }

    fn programs(&self) -> &'static [Program] {
        &[Program(&["redis-server", "valkey-server"])]
    }

    fn start(&self, site: &Site) -> Result<Started> {
        retried(|| {
            let port = free_port()?;
            let mut command = Command::new(&site.programs[0]);
            command
                .current_dir(&site.folder)
                .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
                .args(["--save", "", "--appendonly", "no", "--daemonize", "no"]);
            let process = Process::start(&mut command, site.folder.join("log"))?
                .until(|| ask(port, b"PING\r\n").starts_with(b"+PONG"))?;
            let address = format!("redis://127.0.0.1:{port}/0");
            Ok(Started { processes: vec![process], address, extra: Vec::new() })
        })
    }
}
