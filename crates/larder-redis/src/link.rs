//! One connection, shared by all who ask: commands are sent as they come, answers return in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis::aio::{ConnectionLike as _, MultiplexedConnection, SendError};
use redis::{AsyncConnectionConfig, Client, Cmd, Pipeline, PushInfo, PushKind, RedisError, Value};

use crate::ask::Answer;
use crate::error::is_fatal;
use crate::incarnation::{Incarnation, Run};
use crate::read::is_text;

/// The longest that one command may take when nobody above has a deadline, as when clearing.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many commands may wait to be written before the next one has to wait for its turn.
const QUEUE: usize = 1_024;

/// Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Link(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    connection: MultiplexedConnection,
    health: Arc<Health>,
    server: Incarnation,
}

impl Link {
    /// Connects; how long that may take is in `timeout`.
    pub(crate) async fn open(client: &Client, timeout: Duration) -> Result<Self, RedisError> {
        let health = Arc::new(Health::new());
        let watched = Arc::clone(&health);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(timeout))
            // Who asks for an entry has a deadline of the cache's, and a second timer would cost each hit; the others have theirs below.
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUE)
            .set_push_sender(move |push: PushInfo| {
                // The server closed it: whoever comes next connects instead of failing.
                if push.kind == PushKind::Disconnection {
                    watched.close();
                }
                Ok::<(), SendError>(())
            });
        let connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        let link = Self(Arc::new(Shared { connection, health, server: Incarnation::new() }));
        let told = within(timeout, link.send([Incarnation::question()])).await?;
        for answer in &told {
            // Never out of step: it is the first question.
            _ = link.0.server.told(answer, 0);
        }
        Ok(link)
    }

    /// Which incarnation of the server this is, as far as it is known.
    pub(crate) fn run(&self) -> Run {
        self.0.server.run()
    }

    /// Whether it is a primary at the other end. Who may not ask is told so by the first write.
    pub(crate) fn is_primary(&self) -> bool {
        self.0.server.is_primary()
    }

    /// Whether the next command may use it: neither closed, nor silent for longer than `max_silence` although something was asked.
    pub(crate) fn is_alive(&self, max_silence: Duration) -> bool {
        self.0.health.is_alive(max_silence)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.health.closed.load(Ordering::Acquire)
    }

    /// Several commands in one step, in their order; each has an answer of its own. What is said of [`run`](Self::run) afterwards holds for the
    /// answers.
    pub(crate) async fn exchange(&self, commands: Vec<Cmd>) -> Result<Vec<Answer>, RedisError> {
        let due = self.0.server.due();
        let question = due.map(|_| Incarnation::question());
        let sent = self.send(question.into_iter().chain(commands));
        let mut answers = within(PATIENCE, sent).await?.into_iter();
        if let Some(asked) = due
            && let Some(told) = answers.next()
            && !self.0.server.told(&told, asked)
        {
            self.0.health.close();
            tracing::warn!(target: "larder::backend", "the Redis server answers something else than what it is asked; connecting anew");
            return Err(std::io::Error::from(std::io::ErrorKind::InvalidData).into());
        }
        let run = self.run();
        Ok(answers.map(|value| Answer { value, run }).collect())
    }

    /// Whether the next step has to ask which incarnation answers, as [`exchange`](Self::exchange) does by itself.
    pub(crate) fn is_due(&self) -> bool {
        self.0.server.due().is_some()
    }

    /// One command, where nothing [is due](Self::is_due).
    pub(crate) async fn ask(&self, command: &Cmd) -> Result<Value, RedisError> {
        self.0.health.asked();
        let mut connection = self.0.connection.clone();
        let answer = match connection.send_packed_command(command).await {
            // There is no error among these, which would have to be looked for.
            Ok(Value::Array(values)) if values.iter().all(is_text) => Ok(Value::Array(values)),
            answer => answer.and_then(Value::extract_error),
        };
        self.heard(answer.as_ref().err());
        answer
    }

    /// Notes what became of a step.
    fn heard(&self, failed: Option<&RedisError>) {
        match failed {
            Some(error) if is_fatal(error) => self.0.health.close(),
            Some(error) if error.is_timeout() => {}
            _ => self.0.health.answered(),
        }
    }

    async fn send(
        &self,
        commands: impl IntoIterator<Item = Cmd>,
    ) -> Result<Vec<Result<Value, RedisError>>, RedisError> {
        let mut pipeline = Pipeline::new();
        for command in commands {
            pipeline.add_command(command);
        }
        self.0.health.asked();
        let mut connection = self.0.connection.clone();
        let answers = connection.req_packed_commands(&pipeline, 0, pipeline.len()).await;
        let answers = answers.map(|answers| answers.into_iter().map(Value::extract_error));
        match answers {
            Ok(answers) => {
                self.0.health.answered();
                let answers: Vec<_> = answers.collect();
                if answers.iter().any(|answer| answer.as_ref().is_err_and(is_fatal)) {
                    self.0.health.close();
                }
                Ok(answers)
            }
            Err(error) => {
                self.heard(Some(&error));
                Err(error)
            }
        }
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
        // Mostly somebody waits already, and the clock need not be asked.
        if self.waiting.load(Ordering::Acquire) == 0 {
            _ = self.waiting.compare_exchange(0, self.now(), Ordering::AcqRel, Ordering::Relaxed);
        }
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
}
