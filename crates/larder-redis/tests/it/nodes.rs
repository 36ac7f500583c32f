//! A Redis Cluster of a test's own, and one that tests of the suite share.

use std::time::{Duration, Instant};

use crate::ports::own_port;
use crate::server::Server;

/// So many primaries.
const PRIMARIES: usize = 3;
const SLOTS: usize = 16_384;

/// Primaries first, each followed, after all of them, by its replica if there are any.
#[derive(Debug)]
pub(crate) struct Nodes(pub(crate) Vec<Server>);

impl Nodes {
    /// Three primaries that wait for each other as long as is usual.
    pub(crate) fn start() -> Self {
        Self::with(0, 15_000, &[])
    }

    /// Three primaries with a replica each, which take another's place after so many ms.
    pub(crate) fn replicated(patience: u32) -> Self {
        Self::with(PRIMARIES, patience, &[])
    }

    /// Three primaries that say that they listen at these ports: proxies, say.
    pub(crate) fn announced(ports: &[u16]) -> Self {
        Self::with(0, 15_000, ports)
    }

    fn with(replicas: usize, patience: u32, announced: &[u16]) -> Self {
        let patience = patience.to_string();
        let once = |i: usize| {
            let bus = own_port().to_string();
            let port = announced.get(i).map(u16::to_string);
            let mut more = vec!["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"];
            more.extend(["--cluster-node-timeout", &patience, "--cluster-port", &bus]);
            more.extend(["--repl-diskless-sync-delay", "0", "--cluster-allow-replica-migration", "no"]);
            more.extend(port.iter().flat_map(|port| ["--cluster-announce-port", port.as_str()]));
            (Server::with(&more), bus)
        };
        // One that can't listen at all of its ports has listened at its socket for a moment.
        let node = |i: usize| {
            let mut nodes = (0..10).map(|_| once(i));
            nodes.find(|(node, _)| node.answers()).expect("one of ten servers comes up")
        };
        let (nodes, buses): (Vec<Server>, Vec<String>) = (0..PRIMARIES + replicas).map(node).unzip();
        for (i, node) in nodes[..PRIMARIES].iter().enumerate() {
            let (first, last) = (i * SLOTS / PRIMARIES, (i + 1) * SLOTS / PRIMARIES - 1);
            node.cli(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]);
            node.cli(&["CLUSTER", "SET-CONFIG-EPOCH", &(i + 1).to_string()]);
        }
        for (node, bus) in nodes.iter().zip(&buses).skip(1) {
            nodes[0].cli(&["CLUSTER", "MEET", "127.0.0.1", &node.port().to_string(), bus]);
        }
        let all = Self(nodes);
        let known = |node: &Server| {
            let nodes = node.cli(&["CLUSTER", "NODES"]);
            nodes.lines().count() == PRIMARIES + replicas && !nodes.contains("handshake")
        };
        all.until("the nodes meet", || all.0.iter().all(known));
        for (i, replica) in all.0[PRIMARIES..].iter().enumerate() {
            let primary = all.0[i].cli(&["CLUSTER", "MYID"]);
            replica.cli(&["CLUSTER", "REPLICATE", &primary]);
        }
        let follows = |node: &Server| node.cli(&["INFO", "replication"]).contains("master_link_status:up");
        all.until("the replicas follow", || all.0[PRIMARIES..].iter().all(follows));
        let ready = |node: &Server| {
            let replicas_of = |line: &&str| line.contains(" slave ") || line.contains("myself,slave ");
            node.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
                && node.cli(&["CLUSTER", "NODES"]).lines().filter(replicas_of).count() == replicas
        };
        all.until("the Cluster comes up", || all.0.iter().all(ready));
        all
    }

    /// Waits for what the servers take a while for.
    pub(crate) fn until(&self, what: &str, done: impl Fn() -> bool) {
        let late = Instant::now() + Duration::from_secs(60);
        while !done() {
            assert!(Instant::now() < late, "{what}: that takes too long");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Hosts and ports of the first nodes.
    pub(crate) fn seeds(&self) -> Vec<(&'static str, u16)> {
        self.0[..PRIMARIES].iter().map(|node| ("127.0.0.1", node.port())).collect()
    }

    /// The place of the primary that has a key.
    pub(crate) fn primary_of(&self, name: &str) -> usize {
        let refused = |node: &Server| node.asked(&["TYPE", name]).is_err();
        let place = self.0.iter().position(|node| !refused(node));
        place.unwrap_or_else(|| panic!("nobody has {name}"))
    }

    /// Asks the primary that has a key.
    pub(crate) fn cli(&self, words: &[&str]) -> String {
        self.0[self.primary_of(words[1])].cli(words)
    }

    pub(crate) fn id(&self, place: usize) -> String {
        self.0[place].cli(&["CLUSTER", "MYID"])
    }

    /// Gives a slot, with all that is in it, to another primary.
    pub(crate) fn give(&self, slot: u16, from: usize, to: usize) {
        let (slot, source, target) = (slot.to_string(), self.id(from), self.id(to));
        self.0[to].cli(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source]);
        self.0[from].cli(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target]);
        self.migrate(&slot, from, to);
        for place in [to, from] {
            self.0[place].cli(&["CLUSTER", "SETSLOT", &slot, "NODE", &target]);
        }
    }

    pub(crate) fn migrate(&self, slot: &str, from: usize, to: usize) {
        let keys = self.0[from].cli(&["CLUSTER", "GETKEYSINSLOT", slot, "1000"]);
        let port = self.0[to].port().to_string();
        for key in keys.lines() {
            self.0[from].cli(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]);
        }
    }

    /// The slot of a key.
    pub(crate) fn slot(&self, name: &str) -> u16 {
        self.0[0].cli(&["CLUSTER", "KEYSLOT", name]).parse().unwrap()
    }
}
