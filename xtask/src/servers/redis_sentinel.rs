//! Redis under Sentinel: a primary with two replicas, in memory only, and one who watches them.

use std::{fs, process::Command};

use anyhow::Result;

use super::{
    Server, Site, Started,
    process::{Process, ask, free_port},
    programs::Program,
    redis::{says, server, until},
    retried,
};
use crate::names::{self, Name};

pub(super) struct Sentinel;

impl Server for Sentinel {
    fn name(&self) -> Name {
        names::REDIS_SENTINEL
    }

    fn programs(&self) -> &'static [Program] {
        &[Program(&["redis-server", "valkey-server"])]
    }

    fn start(&self, site: &Site) -> Result<Started> {
        let one = |primary: Option<u16>| {
            retried(|| {
                let port = free_port()?;
                let of = primary.map(|port| port.to_string()).unwrap_or_default();
                let more: &[&str] = if primary.is_some() { &["--replicaof", "127.0.0.1", &of] } else { &[] };
                let more = [more, &["--repl-diskless-sync-delay", "0"]].concat();
                Ok((server(site, port, &more)?, port))
            })
        };
        let (primary, first) = one(None)?;
        let (second, third) = (one(Some(first))?, one(Some(first))?);
        until("the replicas follow", || {
            [second.1, third.1].iter().all(|port| says(*port, "INFO replication", "master_link_status:up"))
        })?;
        let (sentinel, watching) = retried(|| sentinel(site, first))?;
        until("the sentinel finds the replicas", || {
            says(watching, "INFO sentinel", "status=ok,") && says(watching, "INFO sentinel", "slaves=2")
        })?;
        let replicas =
            format!("redis://127.0.0.1:{first}/0?replicas=127.0.0.1:{},127.0.0.1:{}", second.1, third.1);
        Ok(Started {
            processes: vec![sentinel, primary, second.0, third.0],
            address: format!("redis+sentinel://127.0.0.1:{watching}/larder/0"),
            extra: vec![(names::REDIS_REPLICAS, replicas)],
        })
    }
}

fn sentinel(site: &Site, primary: u16) -> Result<(Process, u16)> {
    let port = free_port()?;
    let folder = site.folder.join(port.to_string());
    fs::create_dir_all(&folder)?;
    // A busy machine is no reason for a failover.
    let configuration = format!(
        "bind 127.0.0.1\nport {port}\nsentinel monitor larder 127.0.0.1 {primary} 1\nsentinel down-after-milliseconds larder 30000\n"
    );
    fs::write(folder.join("sentinel.conf"), configuration)?;
    let mut command = Command::new(&site.programs[0]);
    command.current_dir(&folder).args(["sentinel.conf", "--sentinel"]);
    let process = Process::start(&mut command, folder.join("log"))?
        .until(|| ask(port, b"PING\r\n").starts_with(b"+PONG"))?;
    Ok((process, port))
}
