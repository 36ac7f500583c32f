//! Designs of invalidation that look right and are not: random schedules have to find what is wrong with each.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use larder_core::{
    Backend, Capabilities, Entry, Error, Fill, Key, Nonce, Remembered, Space, Stamp, Tag, UnixMillis, Value,
    When,
};
use larder_testkit::schedules::{Checker, Flaw, Stepped, gate};
use larder_testkit::{Plain, Stage};
use parking_lot::Mutex;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Design {
    /// As it is.
    Right,
    /// A tag's record is the number of its last invalidation; who finds none makes one with the number at which the fill began.
    SeqAtBegin,
    /// The same, and an invalidation never lowers a record.
    SeqAtBeginMax,
    /// Who finds no record makes one with the number that is now.
    SeqNow,
    SeqNowMax,
    /// Number and nonce together: a record with an older number is accepted though the fence has moved.
    NumberAndNonce,
    NumberAndNonceNoMax,
    FenceNotReadAgain,
    FenceReadBeforeTheLateTags,
    FenceRenewedAfterTheTags,
    FenceBeginsAgainAtOne,
    NoFenceIsAsGoodAsTheSame,
    NoRecordIsValid,
    NonceIsOfTheName,
    EarlyTagsReadAtTheEnd,
    SpaceReadAtTheEnd,
    ClearSweepsOnly,
    RecordsProlongedInTwoSteps,
}

use Design::*;

impl Design {
    /// It compares numbers.
    fn counts(self) -> bool {
        matches!(self, SeqAtBegin | SeqAtBeginMax | SeqNow | SeqNowMax)
    }

    fn numbers_nonces(self) -> bool {
        matches!(self, NumberAndNonce | NumberAndNonceNoMax)
    }

    /// It treats all tags as learned at the end.
    fn learns_late(self) -> bool {
        self.counts() || self.numbers_nonces()
    }
}

/// What stands in a record: an epoch, a number in it, and a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Record(u64, u64, u64);

impl Record {
    fn fresh() -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1 << 32);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }

    fn text(self) -> String {
        format!("{}.{}.{}", self.0, self.1, self.2)
    }

    fn parse(entry: &Entry) -> Option<Self> {
        let bytes = entry.value().to_bytes().ok()?;
        let mut numbers = std::str::from_utf8(&bytes).ok()?.split('.').map(str::parse);
        let mut next = || numbers.next()?.ok();
        Some(Self(next()?, next()?, next()?))
    }

    /// As an entry carries it.
    fn nonce(self) -> Nonce {
        Nonce::from_u128(self.2.into())
    }

    /// As a fill carries it.
    fn fence(self) -> Nonce {
        Nonce::from_u128((u128::from(self.0) << 64) | u128::from(self.1))
    }
}

#[derive(Clone, Debug)]
struct Wrong {
    store: Stepped,
    /// The same without steps, for sweeping.
    plain: Plain,
    design: Design,
}

impl Wrong {
    fn stage(design: Design) -> Stage {
        let plain = Plain::default();
        Stage::opening(move || Self { store: Stepped::new(plain.clone()), plain: plain.clone(), design })
    }

    async fn read(&self, key: &Key, now: UnixMillis) -> Result<Option<Record>, Error> {
        Ok(self.store.get(key, now).await?.as_ref().and_then(Record::parse))
    }

    async fn write(&self, key: &Key, record: Record, when: When, now: UnixMillis) -> Result<bool, Error> {
        let entry = Entry::new(Value::Bytes(record.text().into()), None, Stamp::untagged(Nonce::fresh()));
        self.store.set(key, entry, when, now).await
    }

    /// What stands there, or `new`.
    async fn read_or(&self, key: &Key, new: Record, now: UnixMillis) -> Result<Record, Error> {
        loop {
            if let Some(there) = self.read(key, now).await? {
                return Ok(there);
            }
            if self.write(key, new, When::Absent, now).await? {
                return Ok(new);
            }
        }
    }

    /// A fence where there is none. What counts begins anew; its epoch says so, except where that is the mistake.
    fn first_fence(&self) -> Record {
        let epoch =
            if self.design.counts() || self.design == FenceBeginsAgainAtOne { 0 } else { Record::fresh() };
        Record(epoch, 1, 0)
    }

    async fn advance(&self, space: &Space, now: UnixMillis) -> Result<Record, Error> {
        let key = fence(space);
        loop {
            let Some(there) = self.read(&key, now).await? else {
                let first = self.first_fence();
                if self.write(&key, first, When::Absent, now).await? {
                    return Ok(first);
                }
                continue;
            };
            let next = Record(there.0, there.1 + 1, 0);
            let entry = Entry::new(Value::Bytes(next.text().into()), None, Stamp::untagged(Nonce::fresh()));
            if self.store.compare_and_set(&key, there.text().as_bytes(), Some(entry), now).await? {
                return Ok(next);
            }
        }
    }

    fn new_tag(&self, name: &Tag) -> Record {
        match self.design {
            NonceIsOfTheName => Record(0, 0, name.as_str().bytes().map(u64::from).sum()),
            _ => Record(0, 0, Record::fresh()),
        }
    }

    async fn is_valid(&self, space: &Space, stamp: &Stamp, now: UnixMillis) -> Result<bool, Error> {
        let current = self.read(&space_key(space), now).await?;
        if current.map(Record::nonce) != Some(stamp.space) {
            return Ok(false);
        }
        for (tag, stored) in &stamp.tags {
            let valid = match self.read(&tag_key(space, tag), now).await? {
                None => self.design == NoRecordIsValid,
                Some(record) if self.design.counts() => u128::from(record.1) <= stored.as_u128(),
                Some(record) => record.nonce() == *stored,
            };
            if !valid {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The pair of a tag that was learned at the end; `None` if the fill must not be stored.
    async fn learn(
        &self,
        space: &Space,
        tag: &Tag,
        begun: Record,
        now: UnixMillis,
    ) -> Result<Option<Nonce>, Error> {
        let key = tag_key(space, tag);
        match self.design {
            SeqAtBegin | SeqAtBeginMax => {
                self.read_or(&key, Record(0, begun.1, 0), now).await?;
                Ok(Some(Nonce::from_u128(begun.1.into())))
            }
            SeqNow | SeqNowMax => {
                let number = self.read(&fence(space), now).await?.map_or(1, |fence| fence.1);
                self.read_or(&key, Record(0, number, 0), now).await?;
                Ok(Some(Nonce::from_u128(begun.1.into())))
            }
            NumberAndNonce | NumberAndNonceNoMax => {
                let there = self.read(&key, now).await?;
                let record = match there {
                    Some(record) => record,
                    None => self.read_or(&key, Record(begun.0, 0, Record::fresh()), now).await?,
                };
                let unmoved = self.read(&fence(space), now).await? == Some(begun);
                let older = there.is_some() && record.1 > 0 && record.0 == begun.0 && record.1 <= begun.1;
                Ok((unmoved || older).then(|| record.nonce()))
            }
            RecordsProlongedInTwoSteps => {
                let record = self.read_or(&key, self.new_tag(tag), now).await?;
                self.write(&key, record, When::Present, now).await?;
                Ok(Some(record.nonce()))
            }
            _ => self.read_or(&key, self.new_tag(tag), now).await.map(|record| Some(record.nonce())),
        }
    }

    async fn fence_is(&self, space: &Space, begun: Record, now: UnixMillis) -> Result<bool, Error> {
        Ok(match self.read(&fence(space), now).await? {
            Some(fence) => fence == begun,
            None => self.design == NoFenceIsAsGoodAsTheSame,
        })
    }

    async fn set_tags(
        &self,
        space: &Space,
        tags: &[Tag],
        number: Record,
        now: UnixMillis,
    ) -> Result<(), Error> {
        for tag in tags {
            let key = tag_key(space, tag);
            let there = match self.design {
                SeqAtBeginMax | SeqNowMax | NumberAndNonce => self.read(&key, now).await?,
                _ => None,
            };
            let above = there.filter(|there| there.0 == number.0 && there.1 > number.1);
            let count = above.map_or(number.1, |there| there.1);
            self.write(&key, Record(number.0, count, Record::fresh()), When::Always, now).await?;
        }
        Ok(())
    }
}

fn space_key(space: &Space) -> Key {
    Key::record(space, "space", "")
}

fn fence(space: &Space) -> Key {
    Key::record(space, "fence", "")
}

fn tag_key(space: &Space, tag: &Tag) -> Key {
    Key::record(space, "tag", tag.as_str())
}

/// A fence as a fill carries it.
fn begun(fill: &Fill) -> Record {
    let number = fill.fence().as_u128();
    Record((number >> 64) as u64, number as u64, 0)
}

impl Backend for Wrong {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("wrong").verifying()
    }

    async fn get(&self, key: &Key, now: UnixMillis) -> Result<Option<Entry>, Error> {
        let Some(entry) = self.store.get(key, now).await? else { return Ok(None) };
        Ok(self.is_valid(&key.space(), entry.stamp(), now).await?.then_some(entry))
    }

    async fn set(&self, key: &Key, entry: Entry, when: When, now: UnixMillis) -> Result<bool, Error> {
        self.store.set(key, entry, when, now).await
    }

    async fn remove(&self, key: &Key, now: UnixMillis) -> Result<bool, Error> {
        self.store.remove(key, now).await
    }

    async fn compare_and_set(
        &self,
        key: &Key,
        expected: &[u8],
        with: Option<Entry>,
        now: UnixMillis,
    ) -> Result<bool, Error> {
        self.store.compare_and_set(key, expected, with, now).await
    }

    async fn touch(&self, key: &Key, expires: Option<UnixMillis>, now: UnixMillis) -> Result<bool, Error> {
        self.store.touch(key, expires, now).await
    }

    async fn clear(&self, space: &Space, now: UnixMillis) -> Result<(), Error> {
        if self.design != ClearSweepsOnly {
            self.advance(space, now).await?;
            self.write(&space_key(space), Record(0, 0, Record::fresh()), When::Always, now).await?;
        }
        let front = format!("{}:1:", space.prefix());
        let found = self.plain.scan(space, &front, None, usize::MAX, now).await?;
        self.plain.remove_many(&found.keys, now).await.map(|_| ())
    }

    async fn begin(&self, space: &Space, tags: &[Tag], now: UnixMillis) -> Result<Fill, Error> {
        let nonce = self.read_or(&space_key(space), Record(0, 0, Record::fresh()), now).await?.nonce();
        let begun = self.read_or(&fence(space), self.first_fence(), now).await?;
        let mut fill = Fill::new(nonce, begun.fence());
        for tag in tags {
            let nonce = match self.design.learns_late() || self.design == EarlyTagsReadAtTheEnd {
                true => Nonce::from_u128(0),
                false => self.read_or(&tag_key(space, tag), self.new_tag(tag), now).await?.nonce(),
            };
            fill.capture(tag.clone(), nonce);
        }
        Ok(fill)
    }

    async fn seal(
        &self,
        space: &Space,
        fill: &Fill,
        late: &[Tag],
        _: Option<UnixMillis>,
        now: UnixMillis,
    ) -> Result<Option<Stamp>, Error> {
        let (begun, late) = (begun(fill), fill.missing(late));
        if self.design == FenceReadBeforeTheLateTags
            && !late.is_empty()
            && !self.fence_is(space, begun, now).await?
        {
            return Ok(None);
        }
        let mut pairs = Vec::new();
        for (tag, nonce) in fill.captured() {
            match self.design {
                EarlyTagsReadAtTheEnd => {
                    let record = self.read_or(&tag_key(space, tag), self.new_tag(tag), now).await?;
                    pairs.push((tag.clone(), record.nonce()));
                }
                design if design.learns_late() => match self.learn(space, tag, begun, now).await? {
                    Some(nonce) => pairs.push((tag.clone(), nonce)),
                    None => return Ok(None),
                },
                RecordsProlongedInTwoSteps => {
                    let there = self.read(&tag_key(space, tag), now).await?;
                    let Some(there) = there.filter(|there| there.nonce() == *nonce) else { return Ok(None) };
                    self.write(&tag_key(space, tag), there, When::Present, now).await?;
                    pairs.push((tag.clone(), *nonce));
                }
                _ => pairs.push((tag.clone(), *nonce)),
            }
        }
        for tag in &late {
            match self.learn(space, tag, begun, now).await? {
                Some(nonce) => pairs.push((tag.clone(), nonce)),
                None => return Ok(None),
            }
        }
        let asks = !self.design.learns_late()
            && !matches!(self.design, FenceNotReadAgain | FenceReadBeforeTheLateTags);
        if asks && !late.is_empty() && !self.fence_is(space, begun, now).await? {
            return Ok(None);
        }
        pairs.extend(fill.inherited().iter().cloned());
        let space = match self.design {
            SpaceReadAtTheEnd => {
                self.read_or(&space_key(space), Record(0, 0, Record::fresh()), now).await?.nonce()
            }
            _ => fill.space(),
        };
        Ok(Some(Stamp { space, tags: pairs.into() }))
    }

    async fn is_current(&self, space: &Space, stamp: &Stamp, now: UnixMillis) -> Result<bool, Error> {
        self.is_valid(space, stamp, now).await
    }

    async fn invalidate(&self, space: &Space, tags: &[Tag], now: UnixMillis) -> Result<(), Error> {
        if self.design == FenceRenewedAfterTheTags {
            self.set_tags(space, tags, Record(0, 0, 0), now).await?;
            return self.advance(space, now).await.map(|_| ());
        }
        let number = self.advance(space, now).await?;
        self.set_tags(space, tags, number, now).await
    }
}

/// How many schedules may go by until a mistake is found that is not hard to find.
const BOUND: u64 = 4_000;

async fn found(checker: Checker, what: impl std::fmt::Debug) {
    match checker.steps(BOUND * 40).check().await {
        Err(found) => println!("{what:?}: {found}"),
        Ok(tally) => panic!("{what:?} was not found: {tally:?}"),
    }
}

/// The schedule betrays the wrong design, and not the right one.
async fn betrays(schedule: &str, design: Design) {
    let wrong = Checker::new(Wrong::stage(design)).replay(schedule).await;
    assert!(wrong.is_err(), "{design:?} was not found: {wrong:?}");
    let right = Checker::new(Wrong::stage(Right)).replay(schedule).await;
    assert!(right.is_ok(), "{right:?}");
}

// Each schedule was found by a longer search, and is what was left of it; those of `NumberAndNonce` are the histories that an exhaustive
// search of a smaller model gives.
macro_rules! designs {
    ($($test:ident: $design:ident by $schedule:literal)+) => { $(
        #[tokio::test]
        async fn $test() {
            betrays($schedule, $design).await;
        }
    )+ };
}

designs! {
    sequence_numbers_created_with_that_of_the_beginning: SeqAtBegin by
        "page 1 0 0 1 1 2; finish 2; invalidate 0 0; lose 0"
    sequence_numbers_created_with_that_of_the_beginning_and_never_lowered: SeqAtBeginMax by
        "page 1 0 0 1 1 2; finish 2; invalidate 0 0; lose 0"
    sequence_numbers_created_with_that_of_now: SeqNow by
        "page 1 0 0 1 1 2; finish 2; invalidate 0 0; lose 0"
    sequence_numbers_created_with_that_of_now_and_never_lowered: SeqNowMax by
        "page 1 0 0 1 1 2; finish 2; invalidate 0 0; lose 0"
    number_and_nonce_where_an_older_number_is_accepted: NumberAndNonce by
        "invalidate 0 0; step 0; step 0; fill 1 0 0 1 0 0; step 1; step 1; step 1; invalidate 0 0; finish 2; lose 2; finish 0; finish 0"
    number_and_nonce_where_a_record_may_be_lowered: NumberAndNonceNoMax by
        "invalidate 0 0; step 0; step 0; fill 1 0 0 1 0 0; step 1; step 1; step 1; invalidate 0 0; finish 2; finish 0; finish 0"
    a_fence_that_is_not_read_again: FenceNotReadAgain by
        "page 1 1 0 3 1 3; poke 2; step 2; step 2; step 2; step 1; invalidate 3 1"
    a_fence_that_is_read_again_before_the_late_tags: FenceReadBeforeTheLateTags by
        "page 3 0 1 0 2 2; page 2 0 1 3 0 1; many 3; get 2 0; page 1 0 0 3 1 3; page 2 1 2 3 2 3; delete 3 1; fill 2 0 0 3 0 1; step 6; finish 7; step 5; step 5; invalidate 2 1"
    a_fence_that_is_renewed_after_the_tags: FenceRenewedAfterTheTags by
        "invalidate 0 2; page 1 1 1 2 2 2; fill 3 1 2 1 0 3; invalidate 1 1; fill 3 1 0 1 1 2; finish 5; set 0 1 2 3; step 3; finish 6; page 1 1 0 2 2 2; get 3 0; make 2 0 1 0; finish 6; poke 6; poke 1; step 2; invalidate 2 2"
    a_fence_that_begins_again_with_the_same_number: FenceBeginsAgainAtOne by
        "fill 2 0 0 0 1 3; page 2 1 0 1 1 1; get 1 1; fill 0 0 2 1 1 3; get 3 1; make 0 1 0 2; poke 7; finish 5; poke 1; step 1; invalidate 1 0; lose 0"
    a_lost_fence_that_counts_as_unchanged: NoFenceIsAsGoodAsTheSame by
        "page 0 0 0 2 0 3; page 1 1 3 3 0 2; poke 1; fill 2 0 0 1 1 0; step 1; step 7; set 0 0 0 1; step 2; step 2; invalidate 1 0; step 5; step 3; finish 0; page 1 1 2 2 1 3; step 6; lose 0"
    a_lost_record_that_counts_as_valid: NoRecordIsValid by
        "page 1 0 2 1 1 1; finish 6; invalidate 0 1; finish 3; lose 3"
    a_nonce_that_is_the_same_when_it_is_made_again: NonceIsOfTheName by
        "fill 0 1 0 3 0 0; finish 6; invalidate 3 1; finish 3; page 0 0 3 2 1 1; lose 3"
    early_tags_that_are_captured_late: EarlyTagsReadAtTheEnd by
        "get 3 0; page 2 0 1 0 2 1; finish 0; step 4; invalidate 2 0; poke 0; finish 7; step 4; step 2; invalidate 0 0"
    a_namespace_that_is_captured_late: SpaceReadAtTheEnd by
        "page 0 1 1 3 0 3; many 2; page 2 0 2 0 0 2; page 3 0 2 1 0 1; fill 0 1 0 0 1 2; finish 0; step 7; poke 3; clear 2"
    a_clear_that_only_sweeps: ClearSweepsOnly by
        "fill 3 0 2 2 1 2; get 2 0; finish 1; step 3; step 7; step 3; step 6; step 0; step 4; clear 3"
    a_record_that_is_prolonged_in_two_steps: RecordsProlongedInTwoSteps by
        "get 2 1; make 1 1 2 0; fill 3 0 2 2 0 1; many 3; page 1 0 2 2 0 3; fill 1 0 0 3 2 2; fill 0 0 3 2 2 0; poke 4; make 3 1 3 1; page 2 1 2 3 0 0; step 2; step 2; invalidate 0 2"
}

macro_rules! searched {
    ($($test:ident: $design:ident)+) => { $(
        #[tokio::test]
        async fn $test() {
            found(Checker::new(Wrong::stage($design)), $design).await;
        }
    )+ };
}

// By random schedules, from the first seed on.
searched! {
    numbers_are_found_at_random: SeqAtBegin
    numbers_of_now_that_are_never_lowered_are_found_at_random: SeqNowMax
    lost_records_that_are_valid_are_found_at_random: NoRecordIsValid
    prolonging_in_two_steps_is_found_at_random: RecordsProlongedInTwoSteps
    early_tags_that_are_captured_late_are_found_at_random: EarlyTagsReadAtTheEnd
}

#[tokio::test]
async fn the_design_as_it_is_is_right() {
    let tally = Checker::new(Wrong::stage(Right)).steps(10_000).assert().await;
    assert!(tally.hits > 500 && tally.dropped > 20, "{tally:?}");
}

#[tokio::test]
async fn flights_that_are_joined_whatever_the_fence() {
    let checker = Checker::new(Plain::stage()).step_by_step();
    found(checker.flawed(Flaw::JoinsAnyFlight), Flaw::JoinsAnyFlight).await;
}

#[tokio::test]
async fn inherited_pairs_that_are_read_again() {
    let schedule = "page 0 1 3 2 2 2; delete 3 1; page 1 0 3 3 1 0; page 1 1 1 0 1 1; finish 3; finish 0; fill 1 1 0 0 1 0; finish 1; step 0; step 0; invalidate 2 2";
    let checker = || Checker::new(Plain::stage()).step_by_step();
    assert!(checker().flawed(Flaw::InheritsAnew).replay(schedule).await.is_err());
    checker().replay(schedule).await.unwrap();
}

/// A first tier as one writes it: what is read is copied, and what is invalidated is dropped from the copies.
#[derive(Debug)]
struct NaiveTier {
    near: Mutex<HashMap<Key, Entry>>,
    far: Arc<Stepped>,
    remembered: Remembered,
}

impl Backend for NaiveTier {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("tier").verifying()
    }

    async fn get(&self, key: &Key, now: UnixMillis) -> Result<Option<Entry>, Error> {
        if let Some(copy) = self.near.lock().get(key).filter(|copy| !copy.is_expired(now)) {
            return Ok(Some(copy.clone()));
        }
        let found = self.remembered.look(&*self.far, std::slice::from_ref(key), now).await?.pop().flatten();
        gate().await;
        if let Some(entry) = &found {
            self.near.lock().insert(key.clone(), entry.clone());
        }
        Ok(found)
    }

    async fn set(&self, key: &Key, entry: Entry, when: When, now: UnixMillis) -> Result<bool, Error> {
        let stored = self.far.set(key, entry, when, now).await?;
        self.near.lock().remove(key);
        Ok(stored)
    }

    async fn remove(&self, key: &Key, now: UnixMillis) -> Result<bool, Error> {
        let removed = self.far.remove(key, now).await?;
        self.near.lock().remove(key);
        Ok(removed)
    }

    async fn clear(&self, space: &Space, now: UnixMillis) -> Result<(), Error> {
        self.far.clear(space, now).await?;
        self.near.lock().clear();
        Ok(())
    }

    async fn touch(&self, key: &Key, expires: Option<UnixMillis>, now: UnixMillis) -> Result<bool, Error> {
        let touched = self.far.touch(key, expires, now).await?;
        self.near.lock().remove(key);
        Ok(touched)
    }

    async fn begin(&self, space: &Space, tags: &[Tag], now: UnixMillis) -> Result<Fill, Error> {
        self.far.begin(space, tags, now).await
    }

    async fn seal(
        &self,
        space: &Space,
        fill: &Fill,
        late: &[Tag],
        until: Option<UnixMillis>,
        now: UnixMillis,
    ) -> Result<Option<Stamp>, Error> {
        self.far.seal(space, fill, late, until, now).await
    }

    async fn invalidate(&self, space: &Space, tags: &[Tag], now: UnixMillis) -> Result<(), Error> {
        self.far.invalidate(space, tags, now).await?;
        self.near.lock().retain(|_, copy| !copy.stamp().tags.iter().any(|(tag, _)| tags.contains(tag)));
        Ok(())
    }
}

#[tokio::test]
async fn copies_in_a_first_tier_without_a_fence() {
    let tier = NaiveTier {
        near: Mutex::default(),
        far: Arc::new(Stepped::new(Plain::default())),
        remembered: Remembered::default(),
    };
    // One process: it knows of its own invalidations at once.
    found(Checker::new(Stage::new(tier)).processes(1), "a naive tier").await;
}
