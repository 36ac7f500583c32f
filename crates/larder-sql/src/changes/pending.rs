//! What a transaction wrote to the outbox.

use larder_core::{Error, Nonce, Tag};

use super::outbox::Outbox;
use super::texts;

/// How many tags one statement writes.
const TOGETHER: usize = 100;
/// Are there more, who listens is told that there were many, and forgets all.
const TOLD: usize = 1000;

/// Tags on their way: written within a transaction, and to be invalidated once it is committed.
#[derive(Clone, Debug)]
#[must_use = "give it to Relay::deliver after the commit; without that a relay's next look finds it"]
pub struct Pending {
    outbox: Outbox,
    pub(super) batch: String,
    pub(super) tags: Vec<Tag>,
}

/// A statement, and its parameters, all of them text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    pub(super) sql: String,
    pub(super) parameters: Vec<String>,
}

impl Statement {
    /// Its text, with `$1` and so on for PostgreSQL and `?` for the others.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// What stands for them, in order.
    pub fn parameters(&self) -> &[String] {
        &self.parameters
    }
}

impl Pending {
    pub(super) fn new(outbox: Outbox, mut tags: Vec<Tag>) -> Result<Self, Error> {
        tags.retain(|tag| !tag.as_str().is_empty());
        tags.sort_unstable();
        tags.dedup();
        if let Some(tag) = tags.iter().find(|tag| tag.as_str().contains('\0')) {
            return Err(Error::config(format!(
                "{tag:?} has a NUL, which databases don't take; leave it out"
            )));
        }
        // Nobody's guess is of any use: it only says which rows belong together.
        let batch = format!("{:032x}", Nonce::fresh().as_u128());
        Ok(Self { outbox, batch, tags })
    }

    /// The tags, sorted, each once.
    pub fn tags(&self) -> &[Tag] {
        &self.tags
    }

    /// What has to be run within the transaction, by whatever driver; [`Outbox::invalidate`] has done so already. None if there are no tags.
    pub fn statements(&self) -> Vec<Statement> {
        let (dialect, inner) = (self.outbox.dialect(), &self.outbox.inner);
        let mut statements: Vec<Statement> = self
            .tags
            .chunks(TOGETHER)
            .map(|tags| Statement {
                sql: texts::insert(dialect, &inner.table, tags.len()),
                parameters: tags
                    .iter()
                    .flat_map(|tag| [tag.as_str().to_owned(), self.batch.clone()])
                    .collect(),
            })
            .collect();
        if inner.broadcast && texts::broadcasts(dialect) {
            let few = self.tags.len() <= TOLD;
            let said: Vec<String> =
                if few { self.tags.iter().map(texts::said).collect() } else { vec![texts::ALL.to_owned()] };
            statements.extend(said.chunks(TOGETHER).map(|said| Statement {
                sql: texts::notify(&inner.table, said.len()),
                parameters: said.to_vec(),
            }));
        }
        statements
    }
}
