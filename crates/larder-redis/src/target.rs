//! Whom to connect to: one server, or the primary that Sentinel names.
//!
//! Sentinel is asked each time a connection is made, and the server it names must say itself that it is a primary: for a while after a
//! failover, some sentinels name the old one. Nothing is read from replicas.

use std::io;
use std::time::Duration;

use redis::{AsyncConnectionConfig, Client, Cmd, ErrorKind, RedisConnectionInfo, RedisError};
use tokio::task::JoinSet;

use crate::dial::Dial;
use crate::link::{Link, within};

pub(crate) enum Target {
    One(Client),
    Watched(Watched),
}

/// A primary and those who watch it.
pub(crate) struct Watched {
    pub(crate) sentinels: Vec<Client>,
    pub(crate) master: String,
    pub(crate) dial: Dial,
    pub(crate) settings: RedisConnectionInfo,
}

impl Target {
    /// Connects; each of the steps it takes may take as long as `timeout`.
    pub(crate) async fn open(&self, timeout: Duration) -> Result<Link, RedisError> {
        let link = Link::open(&self.client(timeout).await?, timeout).await?;
        if matches!(self, Self::Watched(_)) && !link.is_primary() {
            let text = "the server that Sentinel named is a replica";
            return Err((ErrorKind::MasterNameNotFoundBySentinel, text).into());
        }
        Ok(link)
    }

    /// Of whom to connect to now.
    pub(crate) async fn client(&self, timeout: Duration) -> Result<Client, RedisError> {
        match self {
            Self::One(client) => Ok(client.clone()),
            Self::Watched(watched) => {
                let (host, port) = watched.primary(timeout).await?;
                watched.dial.client(&host, port, watched.settings.clone())
            }
        }
    }
}

impl Watched {
    /// What the first sentinel says that knows it. All are asked at once: one of them may be as dead as the primary it watched.
    async fn primary(&self, timeout: Duration) -> Result<(String, u16), RedisError> {
        let mut asked = JoinSet::new();
        for sentinel in &self.sentinels {
            let ask = ask(sentinel.clone(), self.master.clone(), timeout);
            asked.spawn(async move { within(timeout, ask).await });
        }
        let mut last = unknown();
        while let Some(answer) = asked.join_next().await {
            match answer {
                Ok(Ok(primary)) => return Ok(primary),
                Ok(Err(error)) => last = error,
                // It did not panic, so the runtime is going away.
                Err(error) => last = io::Error::other(error).into(),
            }
        }
        Err(last)
    }
}

async fn ask(sentinel: Client, master: String, timeout: Duration) -> Result<(String, u16), RedisError> {
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(timeout));
    let mut connection = sentinel.get_multiplexed_async_connection_with_config(&config).await?;
    let mut question = Cmd::new();
    question.arg("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(master);
    question.query_async::<Option<_>>(&mut connection).await?.ok_or_else(unknown)
}

fn unknown() -> RedisError {
    (ErrorKind::MasterNameNotFoundBySentinel, "no sentinel knows a primary of this name").into()
}
