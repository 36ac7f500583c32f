//! One connection, shared by all who ask: commands are sent as they come, answers return in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use larder_core::Error;
use redis::aio::{MultiplexedConnection, SendError};
use redis::{
    AsyncConnectionConfig, Client, Cmd, FromRedisValue, Pipeline, PushInfo, PushKind, RedisError, Value,
};

use crate::error::{is_fatal, mapped};
use crate::scripts::Script;

/// The longest that one command may take when nobody above has a deadline, as when clearing.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many commands may wait to be written before the next one has to wait for its turn.
const QUEUE: usize = 1_024;

#[derive(Clone, Debug)]
pub(crate) struct Link {
    connection: MultiplexedConnection,
    health: Arc<Health>,
    run: Arc<str>,
}

impl Link {
    /// Connects; how long that may take is in `timeout`.
    pub(crate) async fn open(client: &Client, timeout: Duration) -> Result<Self, RedisError> {
        let health = Arc::new(Health::new());
        let watched = Arc::clone(&health);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(timeout))
            .set_response_timeout(Some(PATIENCE))
            .set_pipeline_buffer_size(QUEUE)
            .set_push_sender(move |push: PushInfo| {
                // The server closed it: whoever comes next connects instead of failing.
                if push.kind == PushKind::Disconnection {
                    watched.close();
                }
                Ok::<(), SendError>(())
            });
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        let mut ask = redis::cmd("INFO");
        ask.arg("server");
        let info = within(timeout, ask.query_async::<String>(&mut connection)).await;
        let run = match info {
            Ok(info) => run_of(&info),
            Err(error) if error.is_io_error() => return Err(error),
            // Not allowed to this user. Another incarnation of the server then is not noticed.
            Err(error) => {
                tracing::warn!(target: "larder::backend", code = error.code(), "the Redis server does not let INFO be read: entries that a restart brings back count as they are");
                String::new()
            }
        };
        Ok(Self { connection, health, run: run.into() })
    }

    /// What the namespace's nonce is followed by in its record: which incarnation of the server made it. A server that was restarted from
    /// an old snapshot, or another that took its place, may have lost invalidations, so it begins cold.
    pub(crate) fn run(&self) -> &str {
        &self.run
    }

    /// Whether the next command may use it: neither closed, nor silent for longer than `max_silence` although something was asked.
    pub(crate) fn is_alive(&self, max_silence: Duration) -> bool {
        self.health.is_alive(max_silence)
    }

    /// Whether it is a primary at the other end. Who may not ask is told so by the first write.
    pub(crate) async fn is_primary(&self, timeout: Duration) -> Result<bool, RedisError> {
        match within(timeout, self.asked::<Value>(&redis::cmd("ROLE"))).await {
            Ok(Value::Array(role)) => Ok(role.first() == Some(&Value::BulkString(b"master".to_vec()))),
            Err(error) if error.is_io_error() => Err(error),
            Ok(_) | Err(_) => Ok(true),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.health.closed.load(Ordering::Acquire)
    }

    pub(crate) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Error> {
        self.asked(command).await.map_err(mapped)
    }

    /// Several commands in one step, and as one where the pipeline is atomic.
    pub(crate) async fn ask_all<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, Error> {
        self.health.asked();
        let mut connection = self.connection.clone();
        self.answered(pipeline.query_async(&mut connection).await).map_err(mapped)
    }

    /// What stands under names, in one step; what is not a string is nothing.
    pub(crate) async fn mget<N: AsRef<[u8]>>(&self, names: &[N]) -> Result<Vec<Option<Bytes>>, Error> {
        let mut command = redis::cmd("MGET");
        for name in names {
            command.arg(name.as_ref());
        }
        self.ask(&command).await
    }

    /// Runs a script: one step, but for the first time after the server was started.
    pub(crate) async fn run_script<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[&[u8]],
        args: &[&[u8]],
    ) -> Result<T, Error> {
        match self.asked(&script.by_name(keys, args)).await {
            Err(error) if error.kind() == redis::ServerErrorKind::NoScript.into() => {
                self.ask(&script.by_text(keys, args)).await
            }
            done => done.map_err(mapped),
        }
    }

    async fn asked<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisError> {
        self.health.asked();
        let mut connection = self.connection.clone();
        self.answered(command.query_async(&mut connection).await)
    }

    fn answered<T>(&self, answer: Result<T, RedisError>) -> Result<T, RedisError> {
        match &answer {
            Err(error) if is_fatal(error) => self.health.close(),
            Err(error) if error.is_timeout() => {}
            _ => self.health.answered(),
        }
        answer
    }
}

/// Bounds a step.
pub(crate) async fn within<T>(
    timeout: Duration,
    step: impl Future<Output = Result<T, RedisError>>,
) -> Result<T, RedisError> {
    match tokio::time::timeout(timeout, step).await {
        Ok(done) => done,
        Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
    }
}

fn run_of(info: &str) -> String {
    let run = info.lines().find_map(|line| line.strip_prefix("run_id:")).map(str::trim);
    run.map(|run| format!(" {run}")).unwrap_or_default()
}

/// How a connection does. A silent one is not noticed by the driver: who waited for it was told by their deadline, and is gone.
#[derive(Debug)]
struct Health {
    closed: AtomicBool,
    since: Instant,
    /// When, in ms since `since` and at least 1, the oldest command was sent that has no answer after it; 0 if all is answered.
    waiting: AtomicU64,
}

impl Health {
    fn new() -> Self {
        Self { closed: AtomicBool::new(false), since: Instant::now(), waiting: AtomicU64::new(0) }
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    fn asked(&self) {
        _ = self.waiting.compare_exchange(0, self.now(), Ordering::AcqRel, Ordering::Relaxed);
    }

    fn answered(&self) {
        self.waiting.store(0, Ordering::Release);
    }

    fn is_alive(&self, max_silence: Duration) -> bool {
        let waiting = self.waiting.load(Ordering::Acquire);
        let silent =
            waiting != 0 && u128::from(self.now() - waiting.min(self.now())) > max_silence.as_millis();
        !silent && !self.closed.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_counts_only_from_a_question_that_nothing_answered() {
        let health = Health::new();
        let never = Duration::from_secs(3_600);
        assert!(health.is_alive(Duration::ZERO), "nothing was asked");
        health.asked();
        std::thread::sleep(Duration::from_millis(5));
        assert!(!health.is_alive(Duration::ZERO) && health.is_alive(never));
        health.answered();
        assert!(health.is_alive(Duration::ZERO));
        health.close();
        assert!(!health.is_alive(never));
    }

    #[test]
    fn the_incarnation_is_read_out_of_what_the_server_tells() {
        assert_eq!(run_of("# Server\r\nredis_version:7.0.15\r\nrun_id:ab12\r\ntcp_port:1\r\n"), " ab12");
        assert_eq!(run_of("# Server\r\n"), "");
    }
}
