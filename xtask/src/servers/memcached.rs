//! Memcached: three of them, as keys spread over several servers is how it is used.

use std::process::Command;

use anyhow::Result;

use super::{
    Server, Site, Started,
    process::{Process, User, ask, command, free_port},
    programs::Program,
    retried,
};
use crate::names::{self, Name};

pub(super) struct Memcached;

const SERVERS: usize = 3;

impl Server for Memcached {
    fn name(&self) -> Name {
        names::MEMCACHED
    }

    fn programs(&self) -> &'static [Program] {
        &[Program(&["memcached"])]
    }

    fn start(&self, site: &Site) -> Result<Started> {
        let user = User::instead_of_root(&["memcache", "nobody"])?;
        let one = |number: usize| {
            retried(|| {
                let port = free_port()?;
                let mut command: Command = command(&site.programs[0], &site.folder, user)?;
                command.args(["-l", "127.0.0.1", "-p", &port.to_string(), "-U", "0", "-m", "64"]);
                let process = Process::start(&mut command, site.folder.join(format!("log{number}")))?
                    .until(|| ask(port, b"version\r\n").starts_with(b"VERSION"))?;
                Ok((process, format!("127.0.0.1:{port}")))
            })
        };
        let started = (1..=SERVERS).map(one).collect::<Result<Vec<_>>>()?;
        let (processes, addresses): (Vec<_>, Vec<_>) = started.into_iter().unzip();
        Ok(Started { processes, address: addresses.join(","), extra: Vec::new() })
    }
}
