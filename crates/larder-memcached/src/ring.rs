//! Which server a name belongs to: the ring of libmemcached's `KETAMA_WEIGHTED` with equal weights, so that any client that is set
//! to it finds the same server.
//!
//! Each server has 160 points on a circle of 2³² places: the four words of the MD5 of `host-0` … `host-39` (`host:port-0`, where the
//! port is not 11211). A name belongs to the first point at or after the first word of its own MD5. A server that is added takes
//! its share from all others, and nothing else moves.

use md5::{Digest, Md5};

/// Servers on a circle.
#[derive(Clone, Debug)]
pub(crate) struct Ring {
    /// Point and server, sorted.
    points: Box<[(u32, u16)]>,
}

const HASHES_PER_SERVER: usize = 40;

impl Ring {
    /// A ring of servers by their names, which the caller keeps different.
    pub(crate) fn new<S: AsRef<str>>(servers: impl IntoIterator<Item = S>) -> Self {
        let mut points = Vec::new();
        for (server, name) in (0..).zip(servers) {
            for i in 0..HASHES_PER_SERVER {
                let digest = Md5::digest(format!("{}-{i}", name.as_ref()));
                points.extend(digest.chunks_exact(4).map(|word| (first_word(word), server)));
            }
        }
        points.sort_unstable();
        Self { points: points.into() }
    }

    /// The index of the server that keeps `name`.
    pub(crate) fn server_of(&self, name: &[u8]) -> usize {
        let place = first_word(&Md5::digest(name));
        let at = self.points.partition_point(|(point, _)| *point < place);
        self.points.get(at).or(self.points.first()).map_or(0, |(_, server)| usize::from(*server))
    }
}

fn first_word(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).rev().fold(0, |word, byte| (word << 8) | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with libmemcached 1.1.4 (`MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED`, `memcached_generate_hash`): the server of `:1:key0`, `:1:key1`, …
    const LIBMEMCACHED: &[(&[&str], &str)] = &[
        (&["127.0.0.1", "127.0.0.1:11212", "127.0.0.1:11213"], "1021222212101201212101212122022201102022"),
        (
            &["cache-a", "cache-b:11311", "::1", "/run/memcached.sock:0"],
            "0023233021130013223000300010022320221003",
        ),
        (
            &["10.0.1.1", "10.0.1.2", "10.0.1.3", "10.0.1.4", "10.0.1.5", "10.0.1.6", "10.0.1.7"],
            "2044310645655104512466441401465652150304",
        ),
    ];

    #[test]
    fn names_belong_to_the_server_that_libmemcached_says() {
        for (servers, wanted) in LIBMEMCACHED {
            let ring = Ring::new(*servers);
            let got: String = (0..wanted.len())
                .map(|i| ring.server_of(format!(":1:key{i}").as_bytes()).to_string())
                .collect();
            assert_eq!(got, *wanted, "{servers:?}");
        }
    }

    #[test]
    fn a_server_more_takes_its_share_and_moves_nothing_else() {
        let servers = ["a", "b", "c", "d"];
        let (before, after) = (Ring::new(&servers[..3]), Ring::new(servers));
        let names = (0..10_000).map(|i| format!("key{i}").into_bytes());
        let moved: Vec<usize> = names
            .filter(|n| before.server_of(n) != after.server_of(n))
            .map(|n| after.server_of(&n))
            .collect();
        assert!(moved.iter().all(|server| *server == 3), "names move to the new server only");
        assert!((1_500..3_500).contains(&moved.len()), "about a quarter moves: {}", moved.len());
    }

    #[test]
    fn the_circle_is_closed_and_an_empty_one_is_no_panic() {
        let ring = Ring { points: Box::new([(5, 1), (9, 2)]) };
        // The MD5 of nothing begins with d4 1d 8c d9: far behind the last point.
        assert_eq!(ring.server_of(b""), 1);
        assert_eq!(Ring::new(Vec::<String>::new()).server_of(b"x"), 0);
    }
}
