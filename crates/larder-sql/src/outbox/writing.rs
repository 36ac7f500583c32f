//! Writing notes.

use bytes::Bytes;
use larder_core::{Backend, Capabilities, Entry, Error, Key, Nonce, Space, Tag, UnixMillis, When};
use parking_lot::Mutex;

use super::{Note, VERSION, range};
use crate::name;

/// How many records a note is about, at most.
const RECORDS: usize = 200;

impl Note {
    fn new(prefix: &str, records: &[String], at: UnixMillis) -> Self {
        // A hash of what is unique, since that alone is not random enough.
        let hash = blake3::hash(&Nonce::fresh().as_u128().to_be_bytes());
        let mask = hash.as_bytes().iter().take(16).fold(0, |mask, byte| (mask << 8) | u128::from(*byte));
        let [front, _] = range(prefix);
        Self { name: format!("{front}{mask:032x}"), mask, records: records.to_vec(), at }
    }

    /// The fence as it is with this note.
    pub(crate) fn mask_fence(&self, space: &Space, fence: Nonce) -> Nonce {
        let name = format!("{}:fence:", space.prefix());
        let mask = if self.records.contains(&name) { self.mask } else { 0 };
        Nonce::from_u128(fence.as_u128() ^ mask)
    }

    /// What the row holds: words, as no record's name has a space.
    pub(crate) fn value(&self) -> Bytes {
        format!("{VERSION} {:032x} {} {}", self.mask, self.at, self.records.join(" ")).into()
    }
}

/// The notes that invalidate `tags`: about all that an invalidation of them would write to.
pub(crate) async fn notes(space: &Space, tags: &[Tag], now: UnixMillis) -> Result<Vec<Note>, Error> {
    let recorder = Recorder::default();
    recorder.invalidate(space, tags, now).await?;
    let mut records: Vec<String> = recorder.0.into_inner().iter().map(|(key, _)| name::of(key)).collect();
    // Twice the same mask would be none.
    records.sort_unstable();
    records.dedup();
    Ok(records.chunks(RECORDS).map(|records| Note::new(space.prefix(), records, now)).collect())
}

/// The records of namespace and fence, then those of `tags`, as they are when they are new.
pub(crate) async fn fresh_records(
    space: &Space,
    tags: &[Tag],
    now: UnixMillis,
) -> Result<Vec<(Key, Entry)>, Error> {
    let recorder = Recorder::default();
    recorder.begin(space, tags, now).await?;
    Ok(recorder.0.into_inner())
}

/// Notes what would be written, and writes nothing.
#[derive(Debug, Default)]
struct Recorder(Mutex<Vec<(Key, Entry)>>);

impl Backend for Recorder {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("recorder")
    }

    async fn get(&self, _: &Key, _: UnixMillis) -> Result<Option<Entry>, Error> {
        Ok(None)
    }

    async fn set(&self, key: &Key, entry: Entry, _: When, _: UnixMillis) -> Result<bool, Error> {
        self.0.lock().push((key.clone(), entry));
        Ok(true)
    }

    async fn remove(&self, _: &Key, _: UnixMillis) -> Result<bool, Error> {
        Ok(false)
    }

    async fn clear(&self, _: &Space, _: UnixMillis) -> Result<(), Error> {
        Ok(())
    }

    async fn touch(&self, _: &Key, _: Option<UnixMillis>, _: UnixMillis) -> Result<bool, Error> {
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Notes;
    use super::*;

    #[tokio::test]
    async fn a_note_is_about_fence_and_tags_and_comes_back_as_it_was() {
        let tags = ["course:7".into(), "".into(), "a long one with spaces ".repeat(9).into()];
        let notes = notes(&Space::new("shop").unwrap(), &tags, 12).await.unwrap();
        assert_eq!(notes.len(), 1);
        assert_eq!(notes[0].records[..2], ["shop:fence:", "shop:tag:course:7"]);
        assert_eq!(notes[0].records.len(), 3);
        let read = Note::read(notes[0].name.clone(), &notes[0].value());
        assert_eq!((read.mask, read.at, &read.records), (notes[0].mask, 12, &notes[0].records));
        let mut rows =
            vec![("shop:tag:x".to_owned(), Bytes::new()), (notes[0].name.clone(), notes[0].value())];
        assert_eq!(Notes::take_from(&mut rows, "shop").names(), [notes[0].name.clone()]);
        assert_eq!(rows.len(), 1);
    }

    #[tokio::test]
    async fn many_tags_make_several_notes_with_masks_of_their_own() {
        let tags: Vec<Tag> = (0..450).map(|i| format!("t{i}").into()).collect();
        let notes = notes(&Space::default(), &tags, 12).await.unwrap();
        assert_eq!(notes.len(), 3);
        assert!(notes[0].mask != notes[1].mask && notes[0].mask >> 64 != notes[1].mask >> 64);
        let rows = notes.iter().map(|note| (note.name.clone(), note.value())).collect();
        assert_eq!(Notes::of(rows).masks().len(), 451);
    }
}
