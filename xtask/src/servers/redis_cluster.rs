//! A Redis Cluster: three primaries with a replica each, in memory only.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context as _, Result};

use super::{
    Server, Site, Started,
    process::{Process, ask, free_port},
    programs::Program,
    redis::{says, server, tell, until},
    retried,
};
use crate::names::{self, Name};

pub(super) struct Cluster;

const PRIMARIES: usize = 3;
const NODES: usize = 2 * PRIMARIES;
const SLOTS: usize = 16_384;
/// The nodes talk to each other at a port so much higher.
const BUS: u16 = 10_000;

impl Server for Cluster {
    fn name(&self) -> Name {
        names::REDIS_CLUSTER
    }

    fn programs(&self) -> &'static [Program] {
        &[Program(&["redis-server", "valkey-server"])]
    }

    fn start(&self, site: &Site) -> Result<Started> {
        let nodes = (0..NODES).map(|_| retried(|| node(site))).collect::<Result<Vec<_>>>()?;
        let (processes, ports): (Vec<_>, Vec<_>) = nodes.into_iter().unzip();
        join(&ports)?;
        let places: Vec<_> = ports[..PRIMARIES].iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let address = format!("redis+cluster://{}", places.join(","));
        Ok(Started { processes, address, extra: Vec::new() })
    }
}

fn node(site: &Site) -> Result<(Process, u16)> {
    let port = port()?;
    let more = ["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"];
    // A busy machine is no reason for a failover.
    let more = [&more[..], &["--cluster-node-timeout", "30000", "--repl-diskless-sync-delay", "0"]].concat();
    Ok((server(site, port, &more)?, port))
}

/// A free port whose counterpart is free as well.
fn port() -> Result<u16> {
    for _ in 0..1_000 {
        let port = free_port()?;
        if let Some(bus) = port.checked_add(BUS)
            && TcpListener::bind((Ipv4Addr::LOCALHOST, bus)).is_ok()
        {
            return Ok(port);
        }
    }
    None.context("no two free ports that are 10000 apart")
}

/// Makes one Cluster of the nodes.
fn join(ports: &[u16]) -> Result<()> {
    for (i, port) in ports[..PRIMARIES].iter().enumerate() {
        let slots: Vec<_> =
            (i * SLOTS / PRIMARIES..(i + 1) * SLOTS / PRIMARIES).map(|slot| slot.to_string()).collect();
        tell(*port, &format!("CLUSTER ADDSLOTS {}", slots.join(" ")))?;
        tell(*port, &format!("CLUSTER SET-CONFIG-EPOCH {}", i + 1))?;
    }
    for port in &ports[1..] {
        tell(ports[0], &format!("CLUSTER MEET 127.0.0.1 {port}"))?;
    }
    let all_say = |question: &str, what: &str| ports.iter().all(|port| says(*port, question, what));
    until("the nodes meet", || all_say("CLUSTER INFO", &format!("cluster_known_nodes:{NODES}")))?;
    for (primary, replica) in ports.iter().zip(&ports[PRIMARIES..]) {
        let answer = ask(*primary, b"CLUSTER MYID\r\n");
        let id = String::from_utf8_lossy(&answer).lines().nth(1).unwrap_or_default().to_owned();
        // It may have heard of its primary, but not yet that it is one.
        until("a replica finds its primary", || tell(*replica, &format!("CLUSTER REPLICATE {id}")).is_ok())?;
    }
    until("the replicas follow", || {
        ports[PRIMARIES..].iter().all(|port| says(*port, "INFO replication", "master_link_status:up"))
    })?;
    until("the Cluster comes up", || all_say("CLUSTER INFO", "cluster_state:ok"))
}
