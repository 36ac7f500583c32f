//! Several entries in one statement, and walking through them.

use std::collections::HashMap;

use larder_core::{Entry, Error, Key, Scanned, Space, UnixMillis, wire};

use crate::engine::{Answer, Ask, BATCH, Row, Scan, millis};
use crate::name;
use crate::raw::{Counts, Raw, row};

impl Raw {
    /// Stores them, as few statements as it takes; those that were refused, by their place.
    pub(crate) async fn store_many(
        &self,
        entries: Vec<(Key, Entry)>,
        now: UnixMillis,
    ) -> Result<Vec<(usize, Error)>, Error> {
        let (mut refused, mut expired) = (Vec::new(), Vec::new());
        // Of one that stands there twice the last counts.
        let mut rows: HashMap<String, (usize, Option<Row>)> = HashMap::with_capacity(entries.len());
        for (place, (key, entry)) in entries.iter().enumerate() {
            match row(key, entry, now) {
                Ok(row) => {
                    let row = (!entry.is_expired(now)).then_some(row);
                    rows.insert(name::of(key), (place, row));
                }
                Err(error) => refused.push((place, error)),
            }
        }
        let mut stored = Vec::with_capacity(rows.len());
        for (name, (place, row)) in rows {
            match row {
                Some(row) => stored.push((place, row)),
                None => expired.push(name),
            }
        }
        for names in expired.chunks(BATCH) {
            self.rows(Ask::Take(names.to_vec())).await?;
        }
        // All in the same order, so that nobody waits in a circle.
        stored.sort_unstable_by(|(_, a), (_, b)| a.name.cmp(&b.name));
        let mut rest = &stored[..];
        while !rest.is_empty() {
            let (some, more) = rest.split_at(fits(rest, self.engine.together()));
            refused.extend(self.store_some(some).await?);
            rest = more;
        }
        refused.sort_unstable_by_key(|(place, _)| *place);
        Ok(refused)
    }

    async fn store_some(&self, some: &[(usize, Row)]) -> Result<Vec<(usize, Error)>, Error> {
        if let [_, _, ..] = some {
            let rows = some.iter().map(|(_, row)| row.clone()).collect();
            match self.ask(Ask::UpsertMany(rows)).await {
                Ok(_) => return Ok(Vec::new()),
                Err(error) if error.kind().is_outage() => return Err(error),
                // One of them was refused, and with it all.
                Err(_) => {}
            }
        }
        let mut refused = Vec::new();
        for (place, row) in some {
            match self.ask(Ask::Upsert(row.clone())).await {
                Ok(_) => {}
                Err(error) if error.kind().is_outage() => return Err(error),
                Err(error) => refused.push((*place, error)),
            }
        }
        Ok(refused)
    }

    /// Removes entries, in one statement; how many of them counted as being there. Whatever stood there is gone, unreadable or expired rows
    /// included.
    pub(crate) async fn take(&self, keys: &[Key], counts: Counts, now: UnixMillis) -> Result<usize, Error> {
        let names: HashMap<String, &Key> = keys.iter().map(|key| (name::of(key), key)).collect();
        let mut all: Vec<String> = names.keys().cloned().collect();
        all.sort_unstable();
        let mut taken = Vec::new();
        for names in all.chunks(BATCH) {
            taken.extend(self.rows(Ask::Take(names.to_vec())).await?);
        }
        let there = taken.iter().filter_map(|(name, value)| {
            let entry = wire::decode(value).ok().filter(|entry| !entry.is_expired(now))?;
            Some((*names.get(name)?, entry))
        });
        let there: Vec<(&Key, Entry)> = there.collect();
        if counts == Counts::All {
            return Ok(there.len());
        }
        // They are gone in any case; if their records can't be asked, nobody saw them as invalid.
        Ok(self.count_valid(&there, now).await.unwrap_or(there.len()))
    }

    async fn count_valid(&self, there: &[(&Key, Entry)], now: UnixMillis) -> Result<usize, Error> {
        let mut valid = 0;
        for (i, (key, entry)) in there.iter().enumerate() {
            let same = |(_, other): &&(&Key, Entry)| other.stamp() == entry.stamp();
            // Mostly all were stored together, or carry nothing but the namespace's nonce.
            if there[..i].iter().any(|other| same(&other)) {
                continue;
            }
            if self.is_valid(key, entry, now).await? {
                valid += there[i..].iter().filter(same).count();
            }
        }
        Ok(valid)
    }

    /// The keys behind `after` whose names begin with `front`.
    pub(crate) async fn list(
        &self,
        space: &Space,
        front: &str,
        after: Option<&str>,
        limit: usize,
        now: UnixMillis,
    ) -> Result<Scanned, Error> {
        // First those that are called as they are, then those whose names are hashes.
        let (readable, after) = match after {
            // No readable name has a NUL.
            None => (!front.contains('\0'), ""),
            Some(after) => match after.split_at_checked(1) {
                Some(("n", after)) => (true, after),
                Some(("h", after)) => (false, after),
                _ => return Err(Error::config("this is no place where a walk through the keys can go on")),
            },
        };
        let [first, end] = if readable {
            [front.to_owned(), successor(front).unwrap_or_else(|| format!("{};", space.prefix()))]
        } else {
            name::hashed(space.prefix())
        };
        let limit = limit.clamp(1, BATCH);
        let scan = Scan { first, after: after.to_owned(), end, limit: millis(limit as u64) };
        let listed = match self.ask(Ask::Scan(scan)).await? {
            Answer::Listed(listed) => listed,
            Answer::Rows(_) | Answer::Number(_) => Vec::new(),
        };
        let next = match listed.last() {
            Some(last) if listed.len() >= limit => {
                Some(format!("{}{}", if readable { 'n' } else { 'h' }, last.name))
            }
            _ => readable.then(|| "h".to_owned()),
        };
        let now = millis(now);
        let keys = listed.into_iter().filter(|row| {
            let lives = row.expires.is_none_or(|at| at > now);
            // Records are never culled, and nobody's keys.
            lives && row.written.is_some() && row.whole.is_none() == readable
        });
        let keys = keys.filter_map(|row| {
            let name = row.whole.unwrap_or(row.name);
            name.starts_with(front).then(|| Key::named(&name))?
        });
        Ok(Scanned { keys: keys.collect(), next })
    }
}

/// How many of them one statement takes; one at least.
fn fits(rows: &[(usize, Row)], most: usize) -> usize {
    let mut size = 0;
    let fit = rows.iter().take(BATCH).take_while(|(_, row)| {
        size += row.value.len() + row.name.len();
        size <= most
    });
    fit.count().max(1)
}

/// The first text that is behind all that begin with this one, in the order of bytes.
fn successor(front: &str) -> Option<String> {
    let mut text = front.to_owned();
    while let Some(last) = text.pop() {
        // Between the two lies what is no character.
        let next = if last == '\u{D7FF}' { Some('\u{E000}') } else { char::from_u32(u32::from(last) + 1) };
        if let Some(next) = next {
            text.push(next);
            return Some(text);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_begins_with_a_text_lies_before_its_successor() {
        for (front, next) in [
            ("shop:1:", "shop:1;"),
            ("a\u{7f}", "a\u{80}"),
            ("a\u{D7FF}", "a\u{E000}"),
            ("a\u{10FFFF}\u{10FFFF}", "b"),
        ] {
            let successor = successor(front).unwrap();
            assert_eq!(successor, next);
            assert!(*front < *successor && format!("{front}\u{10FFFF}z") < successor);
        }
        assert_eq!(successor("\u{10FFFF}"), None);
    }

    #[test]
    fn a_statement_takes_as_much_as_fits_and_one_row_in_any_case() {
        let row = |size: usize| {
            let value = vec![0; size].into();
            (0, Row { name: String::new(), value, expires: None, written: None, whole: None })
        };
        assert_eq!(fits(&[row(5), row(5), row(1)], 10), 2);
        assert_eq!(fits(&[row(50), row(5)], 10), 1);
    }
}
