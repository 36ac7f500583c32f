//! Walking over what a server holds: clearing a namespace, and naming what is in it. By `SCAN`, which keeps nobody waiting.

use bytes::Bytes;
use larder_core::{Error, ErrorKind, Scanned, Space, UnixMillis};
use redis::Cmd;

use crate::ask::{Ask, Word};
use crate::incarnation::Run;
use crate::names::{Names, literal};
use crate::records;
use crate::store::{Place, Store};

/// How many names a sweep asks for, and removes, at once.
const SWEEP: usize = 1_000;

/// Clears a namespace: logically first, and then by removing its entries, of all versions, and nothing else.
pub(crate) async fn clear(store: &Store, space: &Space) -> Result<(), Error> {
    records::renew(store, space).await?;
    let names = Names::of(space);
    let mut slot = Some(0);
    while let Some(at) = slot {
        let place = store.place(at).await?;
        let mut cursor = Bytes::from_static(b"0");
        loop {
            let (next, mut found, _) = scan(&place, &cursor, &names.pattern(), SWEEP).await?;
            found.retain(|name| names.is_entry(name));
            let unlink = found.into_iter().filter_map(|name| {
                // What is no text is nobody's key.
                Some(Ask::command("UNLINK", String::from_utf8(name.into()).ok()?, Vec::new()))
            });
            for answer in store.step(unlink.collect()).await? {
                answer.to::<()>()?;
            }
            if next == b"0"[..] {
                break;
            }
            cursor = next;
        }
        slot = place.next;
    }
    Ok(())
}

async fn scan(
    place: &Place,
    cursor: &[u8],
    pattern: &str,
    count: usize,
) -> Result<(Bytes, Vec<Bytes>, Run), Error> {
    let mut scan = Cmd::new();
    scan.arg("SCAN").arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(count);
    let answer = place.ask(scan).await?;
    let run = answer.run;
    let (next, found) = answer.to()?;
    Ok((next, found, run))
}

/// How far a walk is: the lowest slot of the node it is at, which incarnation of it gave the cursor, and the cursor.
struct Mark {
    slot: u16,
    run: String,
    cursor: u64,
}

impl Mark {
    fn parse(text: &str) -> Result<Self, Error> {
        let mut parts = text.split('.');
        let mut mark = || {
            let (slot, run, cursor) = (parts.next()?, parts.next()?, parts.next()?);
            let mark = Self { slot: slot.parse().ok()?, run: run.to_owned(), cursor: cursor.parse().ok()? };
            parts.next().is_none().then_some(mark)
        };
        mark().ok_or_else(|| {
            Error::new(
                ErrorKind::Value,
                format!("{text:?} is not where a walk over Redis' keys stopped; begin again without it"),
            )
        })
    }
}

/// A part of what is called so. Two steps: the names, and whether what they name is expired.
pub(crate) async fn part(
    store: &Store,
    space: &Space,
    front: &str,
    after: Option<&str>,
    limit: usize,
    now: UnixMillis,
) -> Result<Scanned, Error> {
    let mark = after.map(Mark::parse).transpose()?;
    let slot = mark.as_ref().map_or(0, |mark| mark.slot);
    let place = store.place(slot).await?;
    let (pattern, count) = (literal(front) + "*", limit.clamp(1, 10_000));
    let cursor = mark.as_ref().map_or(0, |mark| mark.cursor);
    let (mut next, mut found, run) = scan(&place, cursor.to_string().as_bytes(), &pattern, count).await?;
    if mark.is_some_and(|mark| mark.cursor != 0 && mark.run != run.to_string()) {
        // Another server, to which the cursor says nothing.
        (next, found, _) = scan(&place, b"0", &pattern, count).await?;
    }
    let next = match std::str::from_utf8(&next).unwrap_or_default() {
        "0" => place.next.map(|slot| format!("{slot}.{run}.0")),
        cursor => Some(format!("{slot}.{run}.{cursor}")),
    };
    let names = Names::of(space);
    // A server whose tables grow may give a key twice.
    found.sort_unstable();
    found.dedup();
    let keys: Vec<_> = found
        .iter()
        .filter(|name| name.starts_with(front.as_bytes()))
        .filter_map(|name| names.key(space, name).zip(String::from_utf8(name.to_vec()).ok()))
        .collect();
    let head =
        |name: &String| Ask::command("GETRANGE", name.clone(), vec![Word::number(0), Word::number(HEAD - 1)]);
    let answers = store.step(keys.iter().map(|(_, name)| head(name)).collect()).await?;
    let mut scanned = Scanned { keys: Vec::with_capacity(keys.len()), next };
    for ((key, _), answer) in keys.into_iter().zip(answers) {
        if answer.found()?.bytes.is_some_and(|head| lives(&head, now)) {
            scanned.keys.push(key);
        }
    }
    Ok(scanned)
}

/// So much is looked at of each entry.
const HEAD: i64 = 40;

/// Whether it is an entry that begins so, and is not expired. What the server expires is not there.
fn lives(head: &[u8], now: UnixMillis) -> bool {
    if crate::look::integer(head).is_some() {
        return true;
    }
    let text = std::str::from_utf8(head)
        .unwrap_or_else(|error| std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default());
    let mut words = text.split(' ');
    match (words.next(), words.next()) {
        (Some("larder1"), Some("-")) => true,
        (Some("larder1"), Some(expires)) => expires.parse::<UnixMillis>().is_ok_and(|at| at > now),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_tells_whether_an_entry_lives() {
        for alive in ["42", "larder1 - 0123", "larder1 8 0123"] {
            assert!(lives(alive.as_bytes(), 7), "{alive}");
        }
        for dead in ["", "garbage", "larder1 7 0123", "larder0 - 01", "larder1 x 0"] {
            assert!(!lives(dead.as_bytes(), 7), "{dead}");
        }
    }

    #[test]
    fn only_what_a_walk_gave_is_where_it_goes_on() {
        let mark = Mark::parse("5461.0123456789abcdef.42").unwrap();
        assert_eq!((mark.slot, mark.cursor), (5_461, 42));
        for wrong in ["", "0", "1.2", "x.y.0", "1.a.b", "1.a.2.3", "99999.a.0"] {
            let error = Mark::parse(wrong).err().unwrap();
            assert!(error.to_string().contains("begin again"), "{wrong}: {error}");
        }
    }
}
