//! The namespace's own records: its nonce, its fence, a nonce for each tag. Each is 32 hex digits; the namespace's is followed by the
//! server's incarnation.
//!
//! The order of things is that of `larder_core`'s protocol. What is several steps there is one script here, so that nothing
//! comes between.

use bytes::Bytes;
use larder_core::{Error, Fill, Nonce, Space, Stamp, Tag, UnixMillis};

use crate::link::Link;
use crate::names::Names;
use crate::scripts::{CREATE, SEAL};

/// A tag record lives at least this long, so that a burst of short entries does not recreate it each time.
const TAG_RECORD_MILLIS: u64 = 3_600_000;
/// Redis adds it to its own time, and must not overflow doing so.
const LONGEST_MILLIS: u64 = 1 << 60;

/// The nonce in a record that is followed by `tail`.
pub(crate) fn nonce(record: Option<&Bytes>, tail: &str) -> Option<Nonce> {
    let (hex, rest) = record?.split_at_checked(32)?;
    let digits = hex.iter().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte));
    let hex = std::str::from_utf8(hex).ok().filter(|_| digits && rest == tail.as_bytes())?;
    u128::from_str_radix(hex, 16).ok().map(Nonce::from_u128)
}

pub(crate) fn text(nonce: Nonce) -> String {
    format!("{:032x}", nonce.as_u128())
}

/// How long from now, in the server's words; `None` for ever, zero if it is over.
pub(crate) fn millis_left(expires: Option<UnixMillis>, now: UnixMillis) -> Option<u64> {
    expires.map(|at| at.saturating_sub(now).min(LONGEST_MILLIS))
}

/// One step if all records are there, else two.
pub(crate) async fn begin(link: &Link, space: &Space, tags: &[Tag]) -> Result<Fill, Error> {
    let names = Names::of(space);
    let tags: Vec<&Tag> = tags.iter().filter(|tag| !tag.as_str().is_empty()).collect();
    let mut keys = vec![names.space(), names.fence()];
    keys.extend(tags.iter().map(|tag| names.tag(tag)));
    let mut found = link.mget(&keys).await?;
    if !complete(&found, link.run()) {
        let keys: Vec<&[u8]> = keys.iter().map(String::as_bytes).collect();
        let ttl = TAG_RECORD_MILLIS.to_string();
        let mut args = vec![link.run().to_owned(), ttl, text(Nonce::fresh()) + link.run()];
        args.extend(keys.iter().skip(1).map(|_| text(Nonce::fresh())));
        let args: Vec<&[u8]> = args.iter().map(String::as_bytes).collect();
        let made: Vec<Bytes> = link.run_script(&CREATE, &keys, &args).await?;
        found = made.into_iter().map(Some).collect();
    }
    let at = |i: usize, tail| nonce(found.get(i).and_then(Option::as_ref), tail);
    // They are there now; a server that says otherwise gives a fill that nothing will ever confirm.
    let mut fill =
        Fill::new(at(0, link.run()).unwrap_or_else(Nonce::fresh), at(1, "").unwrap_or_else(Nonce::fresh));
    for (i, tag) in tags.into_iter().enumerate() {
        fill.capture(tag.clone(), at(i + 2, "").unwrap_or_else(Nonce::fresh));
    }
    Ok(fill)
}

fn complete(found: &[Option<Bytes>], run: &str) -> bool {
    found
        .iter()
        .enumerate()
        .all(|(i, record)| nonce(record.as_ref(), if i == 0 { run } else { "" }).is_some())
}

/// One step, none without tags.
pub(crate) async fn seal(
    link: &Link,
    space: &Space,
    fill: &Fill,
    late: &[Tag],
    until: Option<UnixMillis>,
    now: UnixMillis,
) -> Result<Option<Stamp>, Error> {
    let names = Names::of(space);
    let missing = fill.missing(late);
    if fill.captured().is_empty() && missing.is_empty() {
        return Ok(Some(fill.stamp([])));
    }
    let least = until.map(|at| at.max(now.saturating_add(TAG_RECORD_MILLIS)));
    let captured = fill.captured();
    let mut keys = vec![names.fence()];
    keys.extend(captured.iter().map(|(tag, _)| tag).chain(&missing).map(|tag| names.tag(tag)));
    let least = millis_left(least, now).map(|ttl| ttl.to_string()).unwrap_or_default();
    let mut args = vec![captured.len().to_string(), least];
    args.extend(captured.iter().map(|(_, nonce)| text(*nonce)));
    args.extend(missing.iter().map(|_| text(Nonce::fresh())));
    let keys: Vec<&[u8]> = keys.iter().map(String::as_bytes).collect();
    let args: Vec<&[u8]> = args.iter().map(String::as_bytes).collect();
    let sealed: Option<Vec<Bytes>> = link.run_script(&SEAL, &keys, &args).await?;
    let Some(sealed) = sealed else { return Ok(None) };
    // Late tags are captured only now: an invalidation since the fill began may have been for one of them.
    if !missing.is_empty() && nonce(sealed.first(), "") != Some(fill.fence()) {
        return Ok(None);
    }
    let late = missing.into_iter().zip(sealed.iter().skip(1));
    let late: Option<Vec<_>> =
        late.map(|(tag, record)| nonce(Some(record), "").map(|nonce| (tag, nonce))).collect();
    Ok(late.map(|late| fill.stamp(late)))
}

/// The fence and then the tags, in one transaction.
pub(crate) async fn invalidate(link: &Link, space: &Space, tags: &[Tag]) -> Result<(), Error> {
    let names = Names::of(space);
    let mut steps = redis::pipe();
    steps.atomic().cmd("SET").arg(names.fence()).arg(text(Nonce::fresh())).ignore();
    for tag in tags.iter().filter(|tag| !tag.as_str().is_empty()) {
        let fresh = text(Nonce::fresh());
        steps.cmd("SET").arg(names.tag(tag)).arg(fresh).arg("PX").arg(TAG_RECORD_MILLIS).ignore();
    }
    link.ask_all(&steps).await
}

/// Makes everything in the namespace invalid, but for bare integers, which carry no stamp.
pub(crate) async fn renew(link: &Link, space: &Space) -> Result<(), Error> {
    let names = Names::of(space);
    let mut steps = redis::pipe();
    steps.atomic().cmd("SET").arg(names.fence()).arg(text(Nonce::fresh())).ignore();
    steps.cmd("SET").arg(names.space()).arg(text(Nonce::fresh()) + link.run()).ignore();
    link.ask_all(&steps).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_we_write_is_a_record() {
        let fresh = Nonce::fresh();
        let record = Bytes::from(text(fresh) + "run");
        assert_eq!(nonce(Some(&record), "run"), Some(fresh));
        assert_eq!(nonce(Some(&record), "other"), None, "of another incarnation");
        for garbage in [
            "",
            "x",
            &"x".repeat(32),
            &"A".repeat(32),
            &format!("+{}", "1".repeat(31)),
            &"1".repeat(33),
            &"é".repeat(16),
        ] {
            assert_eq!(nonce(Some(&Bytes::from(garbage.to_owned())), ""), None, "{garbage}");
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
