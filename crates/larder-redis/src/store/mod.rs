//! Where things are: on one server, on one with replicas, on the nodes of a Cluster. What is asked for is the same, and so is the order of the steps.

#[cfg(feature = "cluster")]
mod cluster;
mod one;
mod replicas;
#[cfg(feature = "cluster")]
mod slots;

use std::sync::Arc;

use larder_core::{Error, Key};
use redis::{Cmd, RedisError};

use crate::ask::{Answer, Ask, Found};
use crate::connector::Connector;
use crate::error::mapped;

#[cfg(feature = "cluster")]
pub(crate) use cluster::Cluster;
pub(crate) use replicas::Replicated;

/// The servers of a cache.
#[derive(Clone, Debug)]
pub(crate) enum Store {
    One(Arc<Connector>),
    Replicated(Arc<Replicated>),
    #[cfg(feature = "cluster")]
    Cluster(Arc<Cluster>),
}

/// What stands under the names of entries and of records.
pub(crate) struct Read {
    pub(crate) entries: Vec<Found>,
    pub(crate) records: Vec<Found>,
}

impl Store {
    /// What an entry is called here.
    pub(crate) fn name(&self, key: &Key) -> String {
        match self {
            Self::One(_) | Self::Replicated(_) => key.name().into_owned(),
            #[cfg(feature = "cluster")]
            Self::Cluster(_) => key.name_in_group().into_owned(),
        }
    }

    /// The server, where there is but one for all.
    pub(crate) fn only(&self) -> Option<&Arc<Connector>> {
        match self {
            Self::One(server) => Some(server),
            Self::Replicated(_) => None,
            #[cfg(feature = "cluster")]
            Self::Cluster(_) => None,
        }
    }

    /// Whether all is on one server, so that a script may look at an entry and at the namespace's record together.
    pub(crate) fn is_whole(&self) -> bool {
        match self {
            Self::One(_) | Self::Replicated(_) => true,
            #[cfg(feature = "cluster")]
            Self::Cluster(_) => false,
        }
    }

    /// Reads, in one step. An entry is what stands at the primary, whoever gave its bytes.
    pub(crate) async fn read(&self, entries: &[String], records: &[String]) -> Result<Read, Error> {
        match self {
            Self::One(server) => one::read(server, entries, records).await,
            Self::Replicated(servers) => servers.read(entries, records).await,
            #[cfg(feature = "cluster")]
            Self::Cluster(nodes) => {
                let asks = entries.iter().chain(records).cloned().map(Ask::get).collect();
                let mut found = nodes.step(asks).await?.into_iter().map(Answer::found);
                let entries = found.by_ref().take(entries.len()).collect::<Result<_, _>>()?;
                Ok(Read { entries, records: found.collect::<Result<_, _>>()? })
            }
        }
    }

    /// Asks all at once; in what order is not said.
    pub(crate) async fn step(&self, asks: Vec<Ask>) -> Result<Vec<Answer>, Error> {
        Ok(self.steps(asks, Vec::new()).await?.0)
    }

    /// Asks one question.
    pub(crate) async fn ask(&self, ask: Ask) -> Result<Answer, Error> {
        let answer = self.step(vec![ask]).await?.pop();
        answer.ok_or_else(|| mapped(unanswered()))
    }

    /// Asks all of the first, and all of the others when those are done. On one server that is one step.
    pub(crate) async fn steps(
        &self,
        first: Vec<Ask>,
        then: Vec<Ask>,
    ) -> Result<(Vec<Answer>, Vec<Answer>), Error> {
        match self {
            Self::One(server) => one::steps(server, &first, &then).await,
            Self::Replicated(servers) => one::steps(servers.primary(), &first, &then).await,
            #[cfg(feature = "cluster")]
            Self::Cluster(nodes) => {
                let first = nodes.step(first).await?;
                Ok((first, nodes.step(then).await?))
            }
        }
    }

    /// Asks every primary the same; each answers for itself.
    pub(crate) async fn everywhere(&self, command: &Cmd) -> Result<Vec<Answer>, Error> {
        let mut answers = Vec::new();
        let mut place = Some(0);
        while let Some(at) = place {
            let here = self.place(at).await?;
            answers.push(here.ask(command.clone()).await?);
            place = here.next;
        }
        Ok(answers)
    }

    /// The primary that has a slot; without a Cluster there is one for all.
    pub(crate) async fn place(&self, slot: u16) -> Result<Place, Error> {
        let server = match self {
            Self::One(server) => server,
            Self::Replicated(servers) => servers.primary(),
            #[cfg(feature = "cluster")]
            Self::Cluster(nodes) => return nodes.place(slot).await,
        };
        // Whatever the slot: it is the only one.
        _ = slot;
        Ok(Place { server: Arc::clone(server), next: None })
    }

    /// Lets go of all connections.
    pub(crate) fn close(&self) {
        match self {
            Self::One(server) => server.close(),
            Self::Replicated(servers) => servers.close(),
            #[cfg(feature = "cluster")]
            Self::Cluster(nodes) => nodes.close(),
        }
    }
}

/// One primary, on a way over all of them.
pub(crate) struct Place {
    server: Arc<Connector>,
    /// The lowest slot of the next one.
    pub(crate) next: Option<u16>,
}

impl Place {
    pub(crate) async fn ask(&self, command: Cmd) -> Result<Answer, Error> {
        let answers = self.server.link().await?.exchange(vec![command]).await;
        answers.map_err(mapped)?.pop().ok_or_else(|| mapped(unanswered()))
    }
}

/// There are as many answers as questions, or the connection is broken.
pub(crate) fn unanswered() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into()
}
