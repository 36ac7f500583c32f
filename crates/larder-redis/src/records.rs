//! The namespace's own records: its nonce, its fence, a nonce for each tag. Each is 32 hex digits, a space, and the incarnation of the server
//! that took it: what another incarnation says is as if it were not there.
//!
//! The order of things is that of `larder_core`'s protocol, and where the records are makes no difference to it.

use bytes::Bytes;
use larder_core::{Error, Fill, Nonce, Space, Stamp, Tag, UnixMillis};

use crate::ask::{Answer, Ask, Found, Word};
use crate::names::Names;
use crate::scripts::{KEEP, MARK};
use crate::store::Store;

/// A tag record lives at least this long, so that a burst of short entries does not recreate it each time.
const TAG_RECORD_MILLIS: u64 = 3_600_000;
/// Redis adds it to its own time, and must not overflow doing so.
const LONGEST_MILLIS: u64 = 1 << 60;

/// The nonce in a record, if it is of the incarnation that was asked.
pub(crate) fn nonce(found: &Found) -> Option<Nonce> {
    let (hex, rest) = found.bytes.as_ref()?.split_at_checked(32)?;
    let digits = hex.iter().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte));
    let there = digits && rest.strip_prefix(b" ")? == found.run.to_string().as_bytes();
    let hex = std::str::from_utf8(hex).ok().filter(|_| there)?;
    u128::from_str_radix(hex, 16).ok().map(Nonce::from_u128)
}

/// A record as it is stored.
pub(crate) fn record(nonce: Nonce) -> Word {
    Word::Marked(format!("{:032x} ", nonce.as_u128()).into(), Bytes::new())
}

/// How long from now, in the server's words; `None` for ever, zero if it is over.
pub(crate) fn millis_left(expires: Option<UnixMillis>, now: UnixMillis) -> Option<u64> {
    expires.map(|at| at.saturating_sub(now).min(LONGEST_MILLIS))
}

/// Makes a record that is not there, or says what it holds.
fn make(name: &str, least: Option<u64>) -> Ask {
    keep(name, Nonce::fresh(), "late", least)
}

fn keep(name: &str, nonce: Nonce, how: &'static str, least: Option<u64>) -> Ask {
    let least = least.map_or(Word::text(""), Word::number);
    Ask::script(&KEEP, name.to_owned(), vec![record(nonce), Word::text(how), least])
}

/// The nonce that a record holds after `keep`, if it does.
fn kept(answer: Answer) -> Result<Option<Nonce>, Error> {
    answer.found().map(|found| nonce(&found))
}

/// One step if all records are there, else two.
pub(crate) async fn begin(store: &Store, space: &Space, tags: &[Tag]) -> Result<Fill, Error> {
    let names = Names::of(space);
    let tags: Vec<&Tag> = tags.iter().filter(|tag| !tag.as_str().is_empty()).collect();
    let mut all = vec![names.space(), names.fence()];
    all.extend(tags.iter().map(|tag| names.tag(tag)));
    let found = store.read(&[], &all).await?.records;
    let mut nonces: Vec<Option<Nonce>> = found.iter().map(nonce).collect();
    let missing: Vec<usize> = (0..all.len()).filter(|&i| nonces[i].is_none()).collect();
    if !missing.is_empty() {
        let make = missing.iter().map(|&i| make(&all[i], (i > 1).then_some(TAG_RECORD_MILLIS)));
        for (i, answer) in missing.iter().zip(store.step(make.collect()).await?) {
            nonces[*i] = kept(answer)?;
        }
    }
    // They are there now; a server that says otherwise gives a fill that nothing will ever confirm.
    let mut nonces = nonces.into_iter().map(|nonce| nonce.unwrap_or_else(Nonce::fresh));
    let mut next = || nonces.next().unwrap_or_else(Nonce::fresh);
    let mut fill = Fill::new(next(), next());
    for tag in tags {
        fill.capture(tag.clone(), next());
    }
    Ok(fill)
}

/// One step, none without tags; two where late tags are on several servers.
pub(crate) async fn seal(
    store: &Store,
    space: &Space,
    fill: &Fill,
    late: &[Tag],
    until: Option<UnixMillis>,
    now: UnixMillis,
) -> Result<Option<Stamp>, Error> {
    let names = Names::of(space);
    let missing = fill.missing(late);
    if fill.held().next().is_none() && missing.is_empty() {
        return Ok(Some(fill.stamp([])));
    }
    let least = until.map(|at| at.max(now.saturating_add(TAG_RECORD_MILLIS)));
    let least = millis_left(least, now);
    let held = fill.held().map(|(tag, nonce)| keep(&names.tag(tag), *nonce, "captured", least));
    let tags: Vec<Ask> = held.chain(missing.iter().map(|tag| make(&names.tag(tag), least))).collect();
    // After the captures, never before: an invalidation renews the fence first and the nonces second, so whatever nonce was captured
    // too early is betrayed by the fence that is read now.
    let fence = if missing.is_empty() { Vec::new() } else { vec![Ask::get(names.fence())] };
    let mut kept_tags: Vec<Option<Nonce>> = Vec::with_capacity(tags.len());
    let (tags, fence) = store.steps(tags, fence).await?;
    for answer in tags {
        kept_tags.push(kept(answer)?);
    }
    for fence in fence {
        if nonce(&fence.found()?) != Some(fill.fence()) {
            return Ok(None);
        }
    }
    let Some(kept_tags) = kept_tags.into_iter().collect::<Option<Vec<Nonce>>>() else { return Ok(None) };
    let late = missing.into_iter().zip(kept_tags.into_iter().skip(fill.held().count()));
    Ok(Some(fill.stamp(late)))
}

/// The fence, and when that is done the tags.
pub(crate) async fn invalidate(store: &Store, space: &Space, tags: &[Tag]) -> Result<(), Error> {
    let names = Names::of(space);
    let set = |name: String, more: Vec<Word>| {
        Ask::command("SET", name, [vec![record(Nonce::fresh())], more].concat())
    };
    let brief = || vec![Word::text("PX"), Word::number(TAG_RECORD_MILLIS)];
    let tags_given = tags;
    let tags = tags.iter().filter(|tag| !tag.as_str().is_empty());
    let tags = tags.map(|tag| set(names.tag(tag), brief())).collect();
    let (fence, tags_set) = store.steps(vec![set(names.fence(), Vec::new())], tags).await?;
    fence.into_iter().chain(tags_set).try_for_each(Answer::to)?;
    turn_for_groups(store, names, tags_given).await
}

/// The fence, and when that is done the marks.
pub(crate) async fn soften(store: &Store, space: &Space, tags: &[Tag], now: UnixMillis) -> Result<(), Error> {
    let names = Names::of(space);
    let fence = Ask::command("SET", names.fence(), vec![record(Nonce::fresh())]);
    let named = tags.iter().filter(|tag| !tag.as_str().is_empty());
    let marks = named.map(|tag| mark(names.tag(tag), Nonce::fresh().stale_since(now))).collect();
    let (fence, marks) = store.steps(vec![fence], marks).await?;
    fence.into_iter().chain(marks).try_for_each(Answer::to)?;
    turn_for_groups(store, names, tags).await
}

/// Where a group was invalidated, its tags decide from now on.
async fn turn_for_groups(store: &Store, names: Names<'_>, tags: &[Tag]) -> Result<(), Error> {
    if !tags.iter().any(Tag::is_group) {
        return Ok(());
    }
    let turned = store.step(vec![mark(names.space(), Nonce::fresh().turned())]).await?;
    turned.into_iter().try_for_each(Answer::to)
}

/// Gives a record's nonce the lower half of this one.
fn mark(name: String, nonce: Nonce) -> Ask {
    let lower = format!("{:032x}", nonce.as_u128()).split_off(16);
    Ask::script(&MARK, name, vec![Word::Plain(lower.into()), Word::Marked(" ".into(), Bytes::new())])
}

/// Makes everything in the namespace invalid, but for bare integers, which carry no stamp.
pub(crate) async fn renew(store: &Store, space: &Space) -> Result<(), Error> {
    let names = Names::of(space);
    let set = |name| vec![Ask::command("SET", name, vec![record(Nonce::fresh())])];
    let (fence, space) = store.steps(set(names.fence()), set(names.space())).await?;
    fence.into_iter().chain(space).try_for_each(Answer::to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incarnation::Run;

    #[test]
    fn only_what_we_write_is_a_record_and_only_of_the_incarnation_that_answers() {
        let fresh = Nonce::fresh();
        let text = format!("{:032x} {}", fresh.as_u128(), Run::test(7));
        let found =
            |text: &str, run| Found { bytes: Some(Bytes::from(text.to_owned())), run: Run::test(run) };
        assert_eq!(nonce(&found(&text, 7)), Some(fresh));
        assert_eq!(nonce(&found(&text, 8)), None, "of another incarnation");
        for garbage in [
            "",
            "x",
            &"x".repeat(49),
            &"A".repeat(49),
            &text[1..],
            &text[..48],
            &text.replace(' ', "-"),
            &format!("+{}", &text[1..]),
            &"é".repeat(16),
        ] {
            assert_eq!(nonce(&found(garbage, 7)), None, "{garbage}");
        }
    }

    #[test]
    fn no_expiry_is_more_than_the_server_can_count() {
        assert_eq!(millis_left(None, 7), None);
        assert_eq!(millis_left(Some(u64::MAX), 7), Some(LONGEST_MILLIS));
        assert_eq!(
            (millis_left(Some(8), 7), millis_left(Some(7), 7), millis_left(Some(1), 7)),
            (Some(1), Some(0), Some(0))
        );
    }
}
