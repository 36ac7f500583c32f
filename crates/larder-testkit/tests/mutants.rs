//! Backends with one bug each: the suite has to find it.

use larder_core::{
    Backend, Capabilities, Entry, Error, ErrorKind, Key, Scanned, Space, UnixMillis, Value, When, wire,
};
use larder_testkit::{Plain, Stage, suite};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    Nothing,
    AddRaces,
    AbsentIsIgnored,
    BinaryIsCut,
    CaseIsIgnored,
    ClearIsLate,
    ClearTakesLongerPrefixes,
    CompareIgnoresCase,
    CompareNeverWins,
    CompareRaces,
    ExpiredIsServed,
    GarbageIsAnError,
    IncrRaces,
    LargeIsLost,
    ListingIsNotSaid,
    ManyLosesPlaces,
    RemoveAlwaysSaysYes,
    RemoveManyCountsAll,
    ScanFindsExpired,
    ScanLeavesItsFront,
    ScanLosesALastPage,
    SetManyStopsEarly,
    TouchRaces,
}

use Bug::*;

/// [`Plain`] with a bug.
#[derive(Clone, Debug)]
struct Mutant(Plain, Bug);

impl Mutant {
    fn has(&self, bug: Bug) -> bool {
        self.1 == bug
    }

    /// What the store calls it.
    fn named(&self, key: &Key) -> Key {
        if self.has(CaseIsIgnored) && Key::named(&key.name()).is_some() {
            return Key::named(&key.name().to_lowercase()).unwrap_or_else(|| key.clone());
        }
        key.clone()
    }

    /// Others come between.
    async fn dawdle(&self) {
        tokio::time::sleep(std::time::Duration::from_micros(200)).await;
    }
}

impl Backend for Mutant {
    fn capabilities(&self) -> Capabilities {
        let capabilities = Capabilities::new("mutant");
        if self.has(ListingIsNotSaid) { capabilities } else { capabilities.listing() }
    }

    async fn get(&self, key: &Key, now: UnixMillis) -> Result<Option<Entry>, Error> {
        if self.has(GarbageIsAnError) {
            let torn = std::cell::Cell::new(false);
            self.0.rewrite(key, |bytes| {
                torn.set(wire::decode(&bytes.to_vec().into()).is_err());
                bytes.to_vec()
            });
            if torn.get() {
                return Err(Error::new(ErrorKind::Decode, "torn"));
            }
        }
        self.0.get(&self.named(key), if self.has(ExpiredIsServed) { 0 } else { now }).await
    }

    async fn get_many(&self, keys: &[Key], now: UnixMillis) -> Result<Vec<Option<Entry>>, Error> {
        let mut found = Vec::new();
        for key in keys {
            found.push(self.get(key, now).await?);
        }
        if self.has(ManyLosesPlaces) {
            found.sort_by_key(Option::is_none);
        }
        Ok(found)
    }

    async fn set(&self, key: &Key, entry: Entry, when: When, now: UnixMillis) -> Result<bool, Error> {
        let key = &self.named(key);
        let bytes = entry.value().to_bytes()?;
        if self.has(LargeIsLost) && bytes.len() > 1 << 20 {
            return Ok(true);
        }
        if self.has(SetManyStopsEarly) && bytes.len() > 1 << 20 {
            return Err(Error::new(ErrorKind::TooLarge, "too large"));
        }
        if self.has(AbsentIsIgnored) && when == When::Absent {
            return self.0.set(key, entry, When::Always, now).await;
        }
        if self.has(AddRaces) && when == When::Absent {
            let there = self.get(key, now).await?.is_some();
            self.dawdle().await;
            return Ok(!there && self.0.set(key, entry, When::Always, now).await?);
        }
        if self.has(BinaryIsCut) {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            return self.0.set(key, entry.with_value(Value::Bytes(text.into())), when, now).await;
        }
        self.0.set(key, entry, when, now).await
    }

    async fn set_many(
        &self,
        entries: Vec<(Key, Entry)>,
        now: UnixMillis,
    ) -> Result<Vec<(usize, Error)>, Error> {
        let mut refused = Vec::new();
        for (place, (key, entry)) in entries.into_iter().enumerate() {
            if let Err(error) = self.set(&key, entry, When::Always, now).await {
                refused.push((place, error));
                if self.has(SetManyStopsEarly) {
                    break;
                }
            }
        }
        Ok(refused)
    }

    async fn remove(&self, key: &Key, now: UnixMillis) -> Result<bool, Error> {
        Ok(self.0.remove(&self.named(key), now).await? || self.has(RemoveAlwaysSaysYes))
    }

    async fn remove_many(&self, keys: &[Key], now: UnixMillis) -> Result<usize, Error> {
        let removed = self.0.remove_many(keys, now).await?;
        Ok(if self.has(RemoveManyCountsAll) { keys.len() } else { removed })
    }

    async fn clear(&self, space: &Space, now: UnixMillis) -> Result<(), Error> {
        if self.has(ClearIsLate) {
            // It takes the entries, and leaves the records that make older ones invalid.
            let front = format!("{}:1:", space.prefix());
            let found = self.0.scan(space, &front, None, usize::MAX, now).await?;
            return self.0.remove_many(&found.keys, now).await.map(|_| ());
        }
        if self.has(ClearTakesLongerPrefixes) && space.prefix() == "a" {
            self.0.clear(&Space::new("ab")?, now).await?;
        }
        self.0.clear(space, now).await
    }

    async fn touch(&self, key: &Key, expires: Option<UnixMillis>, now: UnixMillis) -> Result<bool, Error> {
        if self.has(TouchRaces) {
            let Some(entry) = self.get(key, now).await? else { return Ok(false) };
            self.dawdle().await;
            return self.0.set(key, entry.with_expiry(expires), When::Always, now).await;
        }
        self.0.touch(&self.named(key), expires, now).await
    }

    async fn incr(&self, key: &Key, delta: i64, now: UnixMillis) -> Result<Option<i64>, Error> {
        if self.has(IncrRaces) {
            let Some(old) = self.get(key, now).await? else { return Ok(None) };
            let Some(sum) = self.0.incr(key, delta, now).await? else { return Ok(None) };
            self.dawdle().await;
            self.0.set(key, old.with_value(Value::Bytes(sum.to_string().into())), When::Always, now).await?;
            return Ok(Some(sum));
        }
        self.0.incr(key, delta, now).await
    }

    async fn compare_and_set(
        &self,
        key: &Key,
        expected: &[u8],
        with: Option<Entry>,
        now: UnixMillis,
    ) -> Result<bool, Error> {
        if self.has(CompareNeverWins) {
            return Ok(false);
        }
        let found = self.get(key, now).await?.map(|entry| entry.value().to_bytes()).transpose()?;
        let equal = match &found {
            Some(found) if self.has(CompareIgnoresCase) => found.eq_ignore_ascii_case(expected),
            Some(found) => found == expected,
            None => false,
        };
        if self.has(CompareRaces) {
            self.dawdle().await;
        }
        match with {
            _ if !equal => Ok(false),
            Some(with) if self.has(CompareRaces) => self.0.set(key, with, When::Always, now).await,
            with => self.0.compare_and_set(key, &found.unwrap_or_default(), with, now).await,
        }
    }

    async fn scan(
        &self,
        space: &Space,
        front: &str,
        after: Option<&str>,
        limit: usize,
        now: UnixMillis,
    ) -> Result<Scanned, Error> {
        let front = if self.has(ScanLeavesItsFront) { &front[..front.len().min(1)] } else { front };
        let now = if self.has(ScanFindsExpired) { 0 } else { now };
        let mut page = self.0.scan(space, front, after, limit, now).await?;
        if self.has(ScanLosesALastPage) && page.keys.len() < limit {
            page.keys.clear();
        }
        Ok(page)
    }
}

async fn stage(bug: Bug) -> Stage {
    let store = Plain::default();
    let same = store.clone();
    let stage = Stage::opening(move || Mutant(same.clone(), bug));
    stage.rewriting(move |key, change| store.rewrite(key, change))
}

larder_testkit::backend_suite! {
    without_a_bug => stage(Nothing)
}

macro_rules! found {
    ($($name:ident: $bug:ident by $topic:ident::$test:ident)+) => { $(
        #[test]
        #[should_panic]
        fn $name() {
            // A race is not lost each time.
            for _ in 0..20 {
                larder_testkit::__run(stage($bug), suite::$topic::tests::$test);
            }
        }
    )+ };
}

found! {
    an_add_in_two_steps: AddRaces by sharing::of_those_who_add_by_two_handles_one_wins
    an_add_that_always_stores: AbsentIsIgnored by contract::absent_and_present_decide_whether_it_is_stored
    a_store_for_text: BinaryIsCut by contract::any_bytes_come_back_as_they_were
    a_store_that_ignores_case: CaseIsIgnored by contract::keys_that_differ_in_anything_are_different
    a_clear_that_old_fills_outlive: ClearIsLate by spaces::a_clear_takes_what_fills_that_began_before_store_later
    a_clear_by_prefix: ClearTakesLongerPrefixes by spaces::a_clear_takes_its_namespace_and_no_other
    a_comparison_that_ignores_case: CompareIgnoresCase by compare::values_are_compared_whole_and_byte_by_byte
    a_comparison_that_is_not_there_and_does_not_say_so: CompareNeverWins by compare::only_what_is_expected_is_replaced
    a_comparison_in_two_steps: CompareRaces by compare::of_many_who_expect_the_same_one_wins
    an_expiry_that_nobody_looks_at: ExpiredIsServed by contract::an_expired_entry_is_absent_for_every_operation
    garbage_that_is_an_error: GarbageIsAnError by damage::what_is_torn_or_foreign_is_a_miss_and_is_replaced
    a_count_in_two_steps: IncrRaces by django::concurrent_increments_are_exact
    a_large_value_lost_in_silence: LargeIsLost by contract::a_large_value_is_stored_or_refused_and_never_lost_in_silence
    a_listing_that_is_not_announced: ListingIsNotSaid by listing::who_cannot_list_says_so
    answers_in_another_order: ManyLosesPlaces by contract::of_many_at_once_each_stands_in_its_place
    a_removal_of_nothing: RemoveAlwaysSaysYes by contract::remove_says_whether_there_was_one
    a_count_of_what_was_asked_for: RemoveManyCountsAll by batches::remove_many_counts_what_was_there
    a_listing_of_expired_keys: ScanFindsExpired by listing::what_expired_or_was_removed_is_not_found
    a_listing_of_other_namespaces: ScanLeavesItsFront by listing::a_walk_stays_within_its_namespace
    a_listing_that_ends_early: ScanLosesALastPage by listing::a_walk_finds_every_key_whatever_the_size_of_its_pages
    a_refusal_that_stops_the_others: SetManyStopsEarly by batches::what_set_many_refuses_is_named_by_its_place_and_the_rest_is_stored
    a_touch_in_two_steps: TouchRaces by contract::touch_never_brings_back_what_was_replaced_or_removed
}
