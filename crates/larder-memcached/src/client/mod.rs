//! A client for Memcached's meta protocol: all servers, one shared connection each.

mod codec;
mod connection;
mod health;
mod server;

use larder_core::{Error, ErrorKind};

pub(crate) use codec::{Command, Mode, Name, Reply};
pub(crate) use server::Patience;

use crate::address::Address;
use crate::ring::Ring;
use server::Server;

/// All servers. Each name has one server, which stays its server whether or not it can be reached: a record that is looked for
/// elsewhere while its server is away would be found again, old, when the server is back.
#[derive(Debug)]
pub(crate) struct Client {
    servers: Box<[Server]>,
    ring: Ring,
}

/// What became of several commands.
#[derive(Debug)]
pub(crate) struct Answers {
    /// One for each command; `None` if its server did not answer.
    pub(crate) replies: Vec<Option<Reply>>,
    /// Why one of them did not.
    pub(crate) error: Option<Error>,
}

impl Client {
    pub(crate) fn new(addresses: Vec<Address>, patience: Patience) -> Self {
        let ring = Ring::new(addresses.iter().map(Address::ring_name));
        let servers = addresses.into_iter().map(|address| Server::new(address, patience)).collect();
        Self { servers, ring }
    }

    pub(crate) fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.servers.iter().map(Server::address)
    }

    /// The server, where there is but one.
    pub(crate) fn only(&self) -> Option<&Server> {
        if let [server] = &*self.servers { Some(server) } else { None }
    }

    /// Asks each server once for all that concerns it, all at the same time.
    pub(crate) async fn ask(&self, commands: Vec<Command>) -> Answers {
        let mut replies: Vec<Option<Reply>> = Vec::new();
        replies.resize_with(commands.len(), || None);
        // For each server: which commands are its, and what they are.
        let mut parts: Vec<(Vec<usize>, Vec<Command>)> = Vec::new();
        parts.resize_with(self.servers.len(), Default::default);
        for (i, command) in commands.into_iter().enumerate() {
            let (places, part) = &mut parts[self.server_of(command.name())];
            places.push(i);
            part.push(command);
        }
        let mut error = None;
        let mut tickets = Vec::with_capacity(parts.len());
        for (server, (places, part)) in self.servers.iter().zip(parts) {
            if !part.is_empty() {
                match server.ask(part) {
                    Ok(ticket) => tickets.push((places, ticket)),
                    Err(failed) => error = Some(failed),
                }
            }
        }
        // All are on their way, so waiting for one after the other takes as long as the slowest.
        for (places, ticket) in tickets {
            match ticket.replies().await {
                Ok(answered) => {
                    for (i, reply) in places.into_iter().zip(answered) {
                        replies[i] = Some(reply);
                    }
                }
                Err(failed) => error = Some(failed),
            }
        }
        Answers { replies, error }
    }

    /// Asks one thing.
    ///
    /// # Errors
    /// If its server does not answer, or answers with an error.
    pub(crate) async fn ask_one(&self, command: Command) -> Result<Reply, Error> {
        let server = &self.servers[self.server_of(command.name())];
        let reply = server.ask(vec![command])?.replies().await?.pop();
        refuse(reply.ok_or_else(|| server.error())?)
    }

    /// Whether every server answers.
    ///
    /// # Errors
    /// Why one does not.
    pub(crate) async fn ping(&self) -> Result<(), Error> {
        let tickets: Vec<_> = self.servers.iter().map(|server| server.ask(vec![Command::Noop])).collect();
        for ticket in tickets {
            ticket?.replies().await?;
        }
        Ok(())
    }

    pub(crate) fn close(&self) {
        self.servers.iter().for_each(Server::close);
    }

    fn server_of(&self, name: &[u8]) -> usize {
        if self.servers.len() == 1 { 0 } else { self.ring.server_of(name) }
    }
}

/// A reply that is an error, as one.
pub(crate) fn refuse(reply: Reply) -> Result<Reply, Error> {
    match reply {
        Reply::TooLarge => Err(Error::new(
            ErrorKind::TooLarge,
            "the entry is larger than the Memcached server takes (its -I)",
        )),
        Reply::Failed(why) => {
            Err(Error::new(ErrorKind::Backend, format!("a Memcached server failed to do as asked: {why}")))
        }
        reply => Ok(reply),
    }
}
