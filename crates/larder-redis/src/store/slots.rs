//! Which node has which keys.

use std::sync::Arc;

use redis::{RedisError, Value};

/// How many slots a Cluster has.
pub(super) const SLOTS: u16 = 16_384;
const NOBODY: u16 = u16::MAX;

/// Host and port of a node.
pub(super) type Address = (Arc<str>, u16);

/// The slot of a key: of what stands between the first braces, if anything does.
pub(super) fn slot(name: &[u8]) -> u16 {
    let tag = || {
        let open = name.iter().position(|byte| *byte == b'{')? + 1;
        let length = name[open..].iter().position(|byte| *byte == b'}')?;
        (length > 0).then(|| &name[open..open + length])
    };
    crc16::State::<crc16::XMODEM>::calculate(tag().unwrap_or(name)) % SLOTS
}

/// The primaries, and their slots.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    primaries: Vec<Address>,
    replicas: Vec<Address>,
    /// For each slot, the place of its primary in the list.
    of: Box<[u16]>,
    /// The number of the last change that the node knew which told this.
    pub(super) epoch: u64,
}

impl Slots {
    /// Out of the answers to `CLUSTER SLOTS` and `CLUSTER INFO`. A node that does not say its own host is at the one that was asked.
    pub(super) fn parse(slots: &Value, info: Option<&Value>, asked: &Address) -> Option<Self> {
        let mut map = Self {
            primaries: Vec::new(),
            replicas: Vec::new(),
            of: vec![NOBODY; usize::from(SLOTS)].into(),
            epoch: 0,
        };
        for range in list(slots)? {
            let [Value::Int(first), Value::Int(last), primary, replicas @ ..] = list(range)? else {
                return None;
            };
            let (first, last) = (usize::try_from(*first).ok()?, usize::try_from(*last).ok()?);
            let primary = map.place(node(primary, asked)?);
            map.of.get_mut(first..=last)?.fill(primary);
            for replica in replicas {
                let replica = node(replica, asked)?;
                if !map.replicas.contains(&replica) {
                    map.replicas.push(replica);
                }
            }
        }
        let info = info.and_then(text).unwrap_or_default();
        let epoch = info.lines().find_map(|line| line.strip_prefix("cluster_current_epoch:"));
        map.epoch = epoch.and_then(|epoch| epoch.trim().parse().ok()).unwrap_or(0);
        (!map.primaries.is_empty()).then_some(map)
    }

    fn place(&mut self, node: Address) -> u16 {
        let place = self.primaries.iter().position(|there| *there == node).unwrap_or_else(|| {
            self.primaries.push(node);
            self.primaries.len() - 1
        });
        u16::try_from(place).unwrap_or(NOBODY)
    }

    /// The primary of a slot, if it has one.
    pub(super) fn primary(&self, slot: u16) -> Option<&Address> {
        let place = self.of.get(usize::from(slot))?;
        self.primaries.get(usize::from(*place))
    }

    pub(super) fn primaries(&self) -> &[Address] {
        &self.primaries
    }

    pub(super) fn replicas(&self) -> &[Address] {
        &self.replicas
    }

    /// The nodes that are known.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &Address> {
        self.primaries.iter().chain(&self.replicas)
    }

    /// Notes that a slot has gone elsewhere.
    pub(super) fn moved(&mut self, slot: u16, to: Address) {
        let place = self.place(to);
        if let Some(there) = self.of.get_mut(usize::from(slot)) {
            *there = place;
        }
    }

    /// The lowest slot of each primary, and the primary, in this order.
    pub(super) fn lowest(&self) -> Vec<(u16, &Address)> {
        let mut lowest: Vec<(u16, &Address)> = Vec::new();
        for slot in 0..SLOTS {
            if let Some(primary) = self.primary(slot)
                && !lowest.iter().any(|(_, there)| *there == primary)
            {
                lowest.push((slot, primary));
            }
        }
        lowest
    }
}

/// Where an error sends whoever asked: `MOVED 3999 127.0.0.1:6381`.
pub(super) fn redirect(error: &RedisError, asked: &Address) -> Option<(u16, Address)> {
    let (to, slot) = error.redirect_node()?;
    let (host, port) = to.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Some((slot, (known(host, asked), port.parse().ok()?)))
}

fn node(node: &Value, asked: &Address) -> Option<Address> {
    let [host, Value::Int(port), ..] = list(node)? else { return None };
    Some((known(text(host).unwrap_or_default(), asked), u16::try_from(*port).ok()?))
}

/// A node that does not know its own name says nothing, or a question mark.
fn known(host: &str, asked: &Address) -> Arc<str> {
    if host.is_empty() || host == "?" { Arc::clone(&asked.0) } else { host.into() }
}

fn list(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn range(first: i64, last: i64, nodes: &[(&str, i64)]) -> Value {
        let node = |(host, port): &(&str, i64)| {
            Value::Array(vec![bulk(host), Value::Int(*port), bulk("id"), Value::Array(vec![])])
        };
        Value::Array(
            [Value::Int(first), Value::Int(last)].into_iter().chain(nodes.iter().map(node)).collect(),
        )
    }

    fn at(host: &str, port: u16) -> Address {
        (host.into(), port)
    }

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(slot(b"123456789"), 0x31c3);
        assert_eq!(slot(b"foo{hash_tag}"), 2515);
        for (one, other) in [
            ("{user1000}.following", "{user1000}.followers"),
            ("foo{bar}{zap}", "bar"),
            ("foo{{bar}}zap", "{bar"),
        ] {
            assert_eq!(slot(one.as_bytes()), slot(other.as_bytes()), "{one}");
        }
        assert_ne!(slot(b"foo{}{bar}"), slot(b"bar"), "nothing between the first braces: the whole counts");
        assert_eq!(slot(b"a{b"), slot(b"{a{b}"));
    }

    #[test]
    fn nodes_and_slots_are_read_and_noted_when_they_move() {
        let asked = at("seed", 1);
        let slots = Value::Array(vec![
            range(8_000, 16_383, &[("10.0.0.2", 7001), ("10.0.0.4", 7003)]),
            range(0, 100, &[("", 7000)]),
            range(102, 7_999, &[("?", 7000)]),
        ]);
        let info = bulk("cluster_state:ok\r\ncluster_current_epoch:7\r\n");
        let mut map = Slots::parse(&slots, Some(&info), &asked).unwrap();
        assert_eq!(map.epoch, 7);
        assert_eq!(map.primary(100), Some(&at("seed", 7000)));
        assert_eq!(map.primary(101), None);
        assert_eq!(map.primary(16_383), Some(&at("10.0.0.2", 7001)));
        assert_eq!(map.nodes().count(), 3);
        assert_eq!(map.lowest(), [(0, &at("seed", 7000)), (8_000, &at("10.0.0.2", 7001))]);
        map.moved(0, at("10.0.0.9", 1));
        assert_eq!(map.primary(0), Some(&at("10.0.0.9", 1)));
        assert_eq!(map.lowest()[1], (1, &at("seed", 7000)));
    }

    #[test]
    fn what_makes_no_sense_is_no_map() {
        let asked = at("seed", 1);
        for wrong in [
            Value::Nil,
            Value::Array(vec![]),
            Value::Array(vec![Value::Int(1)]),
            Value::Array(vec![range(0, 16_384, &[("h", 1)])]),
            Value::Array(vec![range(5, 1, &[("h", 1)])]),
            Value::Array(vec![range(-1, 1, &[("h", 1)])]),
            Value::Array(vec![range(0, 1, &[])]),
            Value::Array(vec![range(0, 1, &[("h", 70_000)])]),
        ] {
            assert!(Slots::parse(&wrong, None, &asked).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn redirections_name_a_node() {
        let asked = at("seed", 1);
        let error = |text: &str| {
            let value = redis::parse_redis_value(format!("-{text}\r\n").as_bytes()).unwrap();
            value.extract_error().unwrap_err()
        };
        assert_eq!(redirect(&error("MOVED 7 10.0.0.1:6381"), &asked), Some((7, at("10.0.0.1", 6381))));
        assert_eq!(redirect(&error("ASK 7 ::1:6381"), &asked), Some((7, at("::1", 6381))));
        assert_eq!(redirect(&error("MOVED 7 :6381"), &asked), Some((7, at("seed", 6381))));
        for other in ["ERR 7 h:1", "MOVED 7", "MOVED x h:1", "MOVED 7 h:x"] {
            assert_eq!(redirect(&error(other), &asked), None, "{other}");
        }
    }
}
