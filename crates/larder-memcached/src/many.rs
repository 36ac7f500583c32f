//! Several entries in one exchange with each server.

use std::collections::{BTreeSet, HashMap, HashSet};

use larder_core::{Backend as _, Entry, Error, ErrorKind, Fate, Key, Tag, UnixMillis, wire};

use crate::client::{Answers, Command, Mode, Name, Reply, refuse};
use crate::raw::{Found, Raw, found, too_large, unanswered};
use crate::{expiry, name};

/// How many bytes are sent at once, at least with the last entry: a connection has room for some more.
const AT_ONCE: usize = 8 << 20;

impl Raw {
    /// Stores entries as `set` does each. Those that are refused are returned by their place, and what they were to replace is gone.
    pub(crate) async fn store_many(
        &self,
        entries: Vec<(Key, Entry)>,
        now: UnixMillis,
    ) -> Result<Vec<(usize, Error)>, Error> {
        let names: Vec<Name> = entries.iter().map(|(key, _)| name::of(key)).collect();
        let mut refused: Vec<(usize, Error)> = Vec::new();
        let (mut commands, mut places, mut bytes) = (Vec::new(), Vec::new(), 0);
        for (place, (_, entry)) in entries.iter().enumerate() {
            let name = names[place].clone();
            let encoded = match entry.is_expired(now) {
                true => Ok(None),
                false => wire::encode(entry).map(Some),
            };
            let command = match encoded {
                Ok(Some(data)) if data.len() <= self.max_entry => {
                    bytes += data.len();
                    let expiry = expiry::of(entry.expires(), now);
                    Command::Set { name, data, expiry, mode: Mode::Always }
                }
                Ok(Some(data)) => {
                    refused.push((place, too_large(&data, self.max_entry)));
                    // What it was to replace is out of date: nothing is better than that.
                    Command::Delete { name, cas: None }
                }
                Ok(None) => Command::Delete { name, cas: None },
                Err(error) => {
                    refused.push((place, error));
                    continue;
                }
            };
            commands.push(command);
            places.push(place);
            if bytes >= AT_ONCE {
                let (commands, places) = (std::mem::take(&mut commands), std::mem::take(&mut places));
                self.send(commands, &places, &mut refused).await?;
                bytes = 0;
            }
        }
        self.send(commands, &places, &mut refused).await?;
        // What a server found too large is taken back too, unless the same key stands there again.
        let last: HashMap<&Name, usize> =
            names.iter().enumerate().map(|(place, name)| (name, place)).collect();
        let gone = refused.iter().filter(|(place, error)| {
            error.kind() == ErrorKind::TooLarge && last.get(&names[*place]) == Some(place)
        });
        let gone: Vec<Command> =
            gone.map(|(place, _)| Command::Delete { name: names[*place].clone(), cas: None }).collect();
        if !gone.is_empty() {
            whole(self.client.ask(gone).await)?;
        }
        refused.sort_by_key(|(place, _)| *place);
        Ok(refused)
    }

    async fn send(
        &self,
        commands: Vec<Command>,
        places: &[usize],
        refused: &mut Vec<(usize, Error)>,
    ) -> Result<(), Error> {
        if commands.is_empty() {
            return Ok(());
        }
        for (place, reply) in places.iter().zip(whole(self.client.ask(commands).await)?) {
            if let Err(error) = refuse(reply) {
                refused.push((*place, error));
            }
        }
        Ok(())
    }

    /// Removes entries; how many there were that were valid.
    pub(crate) async fn delete_many(&self, keys: &[Key], now: UnixMillis) -> Result<usize, Error> {
        if keys.is_empty() {
            return Ok(0);
        }
        // Both go to one server in one exchange, so that what was there is known without another step.
        let both = |key: &Key| {
            let name = name::of(key);
            [Command::Get(name.clone()), Command::Delete { name, cas: None }]
        };
        let replies = whole(self.client.ask(keys.iter().flat_map(both).collect()).await)?;
        let (mut removed, mut there) = (0, Vec::new());
        let mut replies = replies.into_iter();
        for key in keys {
            let (Some(read), Some(gone)) = (replies.next(), replies.next()) else { break };
            if refuse(gone)? != Reply::Done {
                continue;
            }
            match found(read, now) {
                Ok(Found::Entry(entry, _)) => there.push((key, entry)),
                Ok(Found::Nothing | Found::Waste { .. }) => {}
                // It is gone in any case.
                Err(_) => removed += 1,
            }
        }
        let spaces: HashSet<_> = there.iter().map(|(key, _)| key.space()).collect();
        for space in spaces {
            let entries = there.iter().filter(|(key, _)| key.space() == space).map(|(_, entry)| entry);
            let tags: BTreeSet<&Tag> =
                entries.clone().flat_map(|entry| entry.stamp().tags.iter().map(|(tag, _)| tag)).collect();
            let tags: Vec<Tag> = tags.into_iter().cloned().collect();
            removed += match self.fetch(&space, &[], &tags, now).await {
                Ok(records) => {
                    let stands = |tag: &Tag| records.tags[tags.binary_search(tag).ok()?];
                    let valid = |entry: &&Entry| {
                        let deciding = entry.stamp().deciding(records.space);
                        deciding.is_some_and(|mut pairs| {
                            pairs.all(|(tag, nonce)| nonce.standing(stands(tag)) == Fate::Same)
                        })
                    };
                    entries.filter(valid).count()
                }
                // If the records can't be asked, nobody saw it as invalid.
                Err(_) => entries.count(),
            };
        }
        Ok(removed)
    }
}

/// All replies.
fn whole(answers: Answers) -> Result<Vec<Reply>, Error> {
    let replies: Option<Vec<Reply>> = answers.replies.into_iter().collect();
    replies.ok_or_else(|| answers.error.unwrap_or_else(unanswered))
}
