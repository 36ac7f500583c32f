//! Which incarnation of a server answers.
//!
//! What a server acknowledged may be gone after it was restarted, or after a replica took its place: invalidations too. So what is stored
//! names the incarnation that took it, and counts only while that one answers. The mark is the beginning of the server's replication id, which is
//! new after each restart and each promotion. A process may be a primary twice, with another one between, so its own id would not do.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use larder_core::Nonce;
use redis::{Cmd, RedisError, Value};

/// How long what a server said of itself is taken for true. It is asked along with the next command, so it costs no step; and no failover is
/// quicker than that, let alone two.
const FRESH: Duration = Duration::from_secs(1);

/// The mark of an incarnation: 16 hex digits. All zeros where the server does not let it be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run(u64);

impl Run {
    /// How many digits it has.
    pub(crate) const DIGITS: usize = 16;

    /// The incarnation in an entry's mark.
    pub(crate) fn in_mark(mark: Nonce) -> Self {
        Self((mark.as_u128() >> 64) as u64)
    }

    #[cfg(test)]
    pub(crate) const fn test(raw: u64) -> Self {
        Self(raw)
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What is known of the server at the other end of a connection.
#[derive(Debug)]
pub(crate) struct Incarnation {
    since: Instant,
    run: AtomicU64,
    primary: AtomicBool,
    /// It has told once.
    understood: AtomicBool,
    /// When it was asked what is known, in ms since `since`; the greatest number if it does not let itself be asked.
    told: AtomicU64,
}

impl Incarnation {
    /// Nothing is known yet.
    pub(crate) fn new() -> Self {
        Self {
            since: Instant::now(),
            run: AtomicU64::new(0),
            primary: AtomicBool::new(true),
            understood: AtomicBool::new(false),
            told: AtomicU64::new(0),
        }
    }

    pub(crate) fn run(&self) -> Run {
        Run(self.run.load(Ordering::Acquire))
    }

    /// Whether it said that it is a primary, or nothing.
    pub(crate) fn is_primary(&self) -> bool {
        self.primary.load(Ordering::Acquire)
    }

    /// Whether it is to be asked again, and when that was found, for [`told`](Self::told).
    pub(crate) fn due(&self) -> Option<u64> {
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        let told = self.told.load(Ordering::Acquire);
        (u128::from(now.saturating_sub(told)) >= FRESH.as_millis()).then_some(now)
    }

    pub(crate) fn question() -> Cmd {
        let mut ask = redis::cmd("INFO");
        ask.arg("replication");
        ask
    }

    /// Takes the answer to what was asked at `asked`; false if it is an answer to something else. Whoever understood the question once does so
    /// again: answers and questions on this connection are out of step then, as after a broken byte.
    #[must_use]
    pub(crate) fn told(&self, answer: &Result<Value, RedisError>, asked: u64) -> bool {
        let text = match answer {
            Ok(Value::BulkString(bytes)) => std::str::from_utf8(bytes).ok(),
            Ok(Value::VerbatimString { text, .. }) => Some(text.as_str()),
            _ => None,
        };
        let Some((run, primary)) = text.and_then(parse) else {
            if answer.is_ok() && self.understood.load(Ordering::Acquire) {
                return false;
            }
            if self.told.swap(u64::MAX, Ordering::AcqRel) != u64::MAX {
                tracing::warn!(
                    target: "larder::backend",
                    "the Redis server does not let INFO be read: what a restart or a failover brings back counts as it is"
                );
            }
            return true;
        };
        // A replica has its primary's id, and may be behind: nothing that it says counts, as no entry bears a number made up here.
        let run = if primary { run } else { RandomState::new().hash_one(run) };
        self.run.store(run, Ordering::Release);
        self.primary.store(primary, Ordering::Release);
        self.told.fetch_max(asked, Ordering::AcqRel);
        self.understood.store(true, Ordering::Release);
        true
    }
}

/// Mark and role out of what `INFO replication` says.
fn parse(info: &str) -> Option<(u64, bool)> {
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let id = field("master_replid:")?.get(..Run::DIGITS)?;
    Some((u64::from_str_radix(id, 16).ok()?, field("role:")? == "master"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(role: &str, id: &str) -> Result<Value, RedisError> {
        Ok(Value::BulkString(format!("# Replication\r\nrole:{role}\r\nmaster_replid:{id}\r\n").into_bytes()))
    }

    #[test]
    fn a_primary_is_known_by_its_replication_id_and_a_replica_by_nothing_that_was_ever_stored() {
        let server = Incarnation::new();
        let id = "0123456789abcdef0123456789abcdef01234567";
        assert!(server.told(&info("master", id), 0));
        assert!(server.is_primary());
        assert_eq!(server.run().to_string(), "0123456789abcdef");
        assert!(server.told(&info("slave", id), 0));
        assert!(!server.is_primary());
        assert_ne!(server.run().to_string(), "0123456789abcdef");
    }

    #[test]
    fn what_can_not_be_understood_is_not_asked_for_again() {
        for answer in [Ok(Value::Nil), info("master", "short"), info("master", &"x".repeat(40))] {
            let server = Incarnation::new();
            assert!(server.told(&answer, 0), "it is no reason to hang up");
            assert_eq!(server.run().to_string(), "0".repeat(16));
            assert!(server.is_primary() && server.due().is_none(), "{answer:?}");
        }
    }

    #[test]
    fn an_answer_to_something_else_is_noticed_where_the_question_was_understood_before() {
        let server = Incarnation::new();
        assert!(server.told(&info("master", &"1".repeat(40)), 0));
        for answer in
            [Ok(Value::Nil), Ok(Value::Array(Vec::new())), Ok(Value::BulkString(b"larder1 x".into()))]
        {
            assert!(!server.told(&answer, 1), "{answer:?}");
        }
        let refused = Err(redis::make_extension_error("NOPERM".into(), None));
        assert!(server.told(&refused, 2), "who may not ask any more is no reason to hang up");
    }

    #[test]
    fn what_was_just_heard_is_not_asked_again_and_what_nobody_answered_is() {
        let Some(since) = Instant::now().checked_sub(3 * FRESH) else { return };
        let server = Incarnation { since, ..Incarnation::new() };
        let asked = server.due().unwrap();
        assert!(server.due().is_some(), "nobody answered");
        assert!(server.told(&info("master", &"1".repeat(40)), asked));
        assert!(server.due().is_none());
        assert!(Incarnation::new().due().is_none());
    }
}
