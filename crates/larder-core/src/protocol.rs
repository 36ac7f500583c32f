//! Tags and fence as ordinary records: what [`Backend`]'s provided methods do.
//!
//! Records live in the store beside the entries: `prefix:space:` and `prefix:fence:` (one nonce each) and
//! `prefix:tag:<name>`. A missing record makes every entry that captured it invalid, so a store that evicts them loses
//! hits, never correctness. The order of the steps is what makes it right; it is the design's invalidation model
//! to the letter, except that the fence is a fresh nonce each time instead of a counter: it is only ever compared for
//! equality.

use bytes::Bytes;
use futures_util::future::try_join_all;

use crate::backend::{Backend, Fetched, When};
use crate::clock::UnixMillis;
use crate::entry::{Entry, Value};
use crate::error::{Error, ErrorKind};
use crate::key::{Key, Space};
use crate::tag::{Fate, Fill, Nonce, Stamp, Tag};

/// A tag record lives at least this long, so that a burst of short entries does not recreate it each time.
const TAG_RECORD_MILLIS: u64 = 3_600_000;
/// How often a record that others keep changing is tried again.
const TRIES: usize = 100;
/// How many records are written at once.
const AT_ONCE: usize = 256;

fn space_key(space: &Space) -> Key {
    Key::record(space, "space", "")
}

fn fence_key(space: &Space) -> Key {
    Key::record(space, "fence", "")
}

fn tag_key(space: &Space, tag: &Tag) -> Key {
    Key::record(space, "tag", tag.as_str())
}

fn record(nonce: Nonce, expires: Option<UnixMillis>) -> Entry {
    let text = format!("{:032x}", nonce.as_u128());
    Entry::new(Value::Bytes(text.into()), expires, Stamp::untagged(nonce))
}

fn nonce_of(entry: &Entry) -> Option<Nonce> {
    let Value::Bytes(bytes) = entry.value() else { return None };
    parse(bytes)
}

fn parse(bytes: &Bytes) -> Option<Nonce> {
    let text = std::str::from_utf8(bytes).ok()?;
    u128::from_str_radix(text, 16).ok().map(Nonce::from_u128)
}

/// Runs steps at the same time, some at once.
async fn side_by_side<T>(steps: Vec<impl Future<Output = Result<T, Error>>>) -> Result<Vec<T>, Error> {
    let (mut done, mut steps) = (Vec::with_capacity(steps.len()), steps.into_iter());
    while steps.len() > 0 {
        done.extend(try_join_all(steps.by_ref().take(AT_ONCE)).await?);
    }
    Ok(done)
}

/// The record's nonce; created if it was not there. Whoever adds first decides.
async fn nonce_or_create<B: Backend + ?Sized>(
    backend: &B,
    key: &Key,
    found: Option<&Entry>,
    expires: Option<UnixMillis>,
    now: UnixMillis,
) -> Result<Nonce, Error> {
    if let Some(nonce) = found.and_then(nonce_of) {
        return Ok(nonce);
    }
    let fresh = Nonce::fresh();
    if backend.set(key, record(fresh, expires), When::Absent, now).await? {
        return Ok(fresh);
    }
    match backend.get(key, now).await?.as_ref().and_then(nonce_of) {
        Some(nonce) => Ok(nonce),
        // It went again, or holds something that is not a nonce: our own, written over it, is as good as any.
        None => backend.set(key, record(fresh, expires), When::Always, now).await.map(|_| fresh),
    }
}

pub(crate) async fn fetch<B: Backend + ?Sized>(
    backend: &B,
    space: &Space,
    keys: &[Key],
    tags: &[Tag],
    now: UnixMillis,
) -> Result<Fetched, Error> {
    let all = asked_for(space, keys, tags);
    Ok(fetched(backend.get_many(&all, now).await?, keys.len()))
}

pub(crate) fn asked_for(space: &Space, keys: &[Key], tags: &[Tag]) -> Vec<Key> {
    let mut all = Vec::with_capacity(keys.len() + tags.len() + 1);
    all.extend_from_slice(keys);
    all.push(space_key(space));
    all.extend(tags.iter().map(|tag| tag_key(space, tag)));
    all
}

pub(crate) fn fetched(mut entries: Vec<Option<Entry>>, keys: usize) -> Fetched {
    let records = entries.split_off(keys.min(entries.len()));
    let mut nonces = records.iter().map(|record| record.as_ref().and_then(nonce_of));
    let space = nonces.next().flatten();
    Fetched { space, tags: nonces.collect(), entries }
}

pub(crate) async fn begin<B: Backend + ?Sized>(
    backend: &B,
    space: &Space,
    tags: &[Tag],
    now: UnixMillis,
) -> Result<Fill, Error> {
    let mut keys = vec![space_key(space), fence_key(space)];
    keys.extend(tags.iter().map(|tag| tag_key(space, tag)));
    let found = backend.get_many(&keys, now).await?;
    // What is missing is created side by side: a pipelined connection makes one step of it.
    let expires = Some(now.saturating_add(TAG_RECORD_MILLIS));
    let records = keys.iter().zip(&found).enumerate();
    let steps = records.map(|(i, (key, entry))| {
        let expires = if i < 2 { None } else { expires };
        nonce_or_create(backend, key, entry.as_ref(), expires, now)
    });
    let nonces = side_by_side(steps.collect()).await?;
    let mut fill = Fill::new(nonces[0], nonces[1]);
    for (tag, nonce) in tags.iter().zip(&nonces[2..]) {
        fill.capture(tag.clone(), *nonce);
    }
    Ok(fill)
}

pub(crate) async fn seal<B: Backend + ?Sized>(
    backend: &B,
    space: &Space,
    fill: &Fill,
    late: &[Tag],
    until: Option<UnixMillis>,
    now: UnixMillis,
) -> Result<Option<Stamp>, Error> {
    let missing = fill.missing(late);
    let held: Vec<&(Tag, Nonce)> = fill.held().collect();
    let tags: Vec<&Tag> = held.iter().map(|(t, _)| t).chain(&missing).collect();
    if tags.is_empty() {
        return Ok(Some(fill.stamp([])));
    }
    let keys: Vec<Key> = tags.iter().map(|tag| tag_key(space, tag)).collect();
    let found = backend.get_many(&keys, now).await?;
    // Renewed or lost since the fill began: the entry would be invalid from its first moment.
    let changed = |((_, nonce), entry): (&&(Tag, Nonce), &Option<Entry>)| {
        entry.as_ref().and_then(nonce_of) != Some(*nonce)
    };
    if held.iter().zip(&found).any(changed) {
        return Ok(None);
    }
    // Well beyond the entry, so that the next one finds that it need not be prolonged.
    let expires = until.map(|at| at.max(now).saturating_add(TAG_RECORD_MILLIS));
    let steps = keys.iter().zip(&found).map(|(key, entry)| async move {
        let nonce = nonce_or_create(backend, key, entry.as_ref(), expires, now).await?;
        if entry.as_ref().is_some_and(|entry| outlived(entry.expires(), until)) {
            backend.touch(key, expires, now).await?;
        }
        Ok(nonce)
    });
    let late = side_by_side(steps.collect()).await?.split_off(held.len());
    // After the captures, never before: an invalidation renews the fence first and the nonces second, so whatever
    // nonce we captured too early is betrayed by the fence we read now.
    if !missing.is_empty() {
        let fence = backend.get(&fence_key(space), now).await?;
        if fence.as_ref().and_then(nonce_of) != Some(fill.fence()) {
            return Ok(None);
        }
    }
    Ok(Some(fill.stamp(missing.into_iter().zip(late))))
}

/// Whether a record that expires at `record` dies before one that expires at `entry`.
fn outlived(record: Option<UnixMillis>, entry: Option<UnixMillis>) -> bool {
    match (record, entry) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(record), Some(entry)) => record < entry,
    }
}

pub(crate) async fn is_current<B: Backend + ?Sized>(
    backend: &B,
    space: &Space,
    stamp: &Stamp,
    now: UnixMillis,
) -> Result<bool, Error> {
    let tags: Vec<Tag> = stamp.tags.iter().map(|(tag, _)| tag.clone()).collect();
    let fetched = backend.fetch(space, &[], &tags, now).await?;
    let stands = |tag: &Tag| fetched.tags[tags.iter().position(|known| known == tag)?];
    let Some(mut deciding) = stamp.deciding(fetched.space) else { return Ok(false) };
    Ok(deciding.all(|(tag, nonce)| nonce.standing(stands(tag)) == Fate::Same))
}

pub(crate) async fn invalidate<B: Backend + ?Sized>(
    backend: &B,
    space: &Space,
    tags: &[Tag],
    now: UnixMillis,
) -> Result<(), Error> {
    backend.set(&fence_key(space), record(Nonce::fresh(), None), When::Always, now).await?;
    let expires = Some(now.saturating_add(TAG_RECORD_MILLIS));
    let tags_given = tags;
    let tags = tags.iter().filter(|tag| !tag.as_str().is_empty());
    let steps = tags.map(|tag| async move {
        backend.set(&tag_key(space, tag), record(Nonce::fresh(), expires), When::Always, now).await
    });
    side_by_side(steps.collect()).await?;
    turn_for_groups(backend, space, tags_given, now).await
}

/// Marks tags as stale: what carries one is stale from now on, though it is not gone.
pub(crate) async fn soften<B: Backend + ?Sized>(
    backend: &B,
    space: &Space,
    tags: &[Tag],
    now: UnixMillis,
) -> Result<(), Error> {
    backend.set(&fence_key(space), record(Nonce::fresh(), None), When::Always, now).await?;
    let expires = Some(now.saturating_add(TAG_RECORD_MILLIS));
    let named = tags.iter().filter(|tag| !tag.as_str().is_empty());
    let steps = named.map(|tag| async move {
        let key = tag_key(space, tag);
        match change_nonce(backend, &key, |nonce| nonce.stale_since(now), now).await {
            // Forgotten is more than stale.
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                backend.set(&key, record(Nonce::fresh(), expires), When::Always, now).await.map(|_| ())
            }
            done => done,
        }
    });
    side_by_side(steps.collect()).await?;
    turn_for_groups(backend, space, tags, now).await
}

/// Where a group was invalidated, its tags decide from now on. After their records, never before: what is filled between has the older nonce of the
/// namespace, and is looked at.
async fn turn_for_groups<B: Backend + ?Sized>(
    backend: &B,
    space: &Space,
    tags: &[Tag],
    now: UnixMillis,
) -> Result<(), Error> {
    if !tags.iter().any(Tag::is_group) {
        return Ok(());
    }
    match change_nonce(backend, &space_key(space), Nonce::turned, now).await {
        // Were it read and written, a nonce that has just been cleared could come back.
        Err(error) if error.kind() == ErrorKind::Unsupported => renew_space(backend, space, now).await,
        done => done,
    }
}

/// Changes the nonce in a record, if there is one: without it, what captured it is invalid anyway.
async fn change_nonce<B: Backend + ?Sized>(
    backend: &B,
    key: &Key,
    change: impl Fn(Nonce) -> Nonce,
    now: UnixMillis,
) -> Result<(), Error> {
    for _ in 0..TRIES {
        let Some(there) = backend.get(key, now).await? else { return Ok(()) };
        let Some(nonce) = nonce_of(&there) else { return Ok(()) };
        let with = record(change(nonce), there.expires());
        let old = there.value().to_bytes()?;
        if backend.compare_and_set(key, &old, Some(with), now).await? {
            return Ok(());
        }
    }
    Err(Error::new(ErrorKind::Busy, "others keep changing a record of tags; the call may be repeated"))
}

/// Renews the namespace's nonce and fence: every entry of it is invalid from now on, whether or not it is swept.
///
/// For [`Backend::clear`]: call it *after* the sweep as well as before, since the sweep takes the records with it.
///
/// # Errors
/// What the backend's `set` gives.
pub async fn renew_space<B: Backend + ?Sized>(
    backend: &B,
    space: &Space,
    now: UnixMillis,
) -> Result<(), Error> {
    backend.set(&fence_key(space), record(Nonce::fresh(), None), When::Always, now).await?;
    backend.set(&space_key(space), record(Nonce::fresh(), None), When::Always, now).await?;
    Ok(())
}
