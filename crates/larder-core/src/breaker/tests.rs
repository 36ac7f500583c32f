use super::*;

const BREAKER: Breaker =
    Breaker { outages: 3, cooldown: Duration::from_secs(1), longest: Duration::from_secs(4) };

fn gone() -> Error {
    Error::new(ErrorKind::Unavailable, "connection refused")
}

/// A breaker, and the time.
struct Stage {
    circuit: Circuit,
    now: UnixMillis,
}

impl Stage {
    fn new() -> Self {
        Self { circuit: Circuit::new(BREAKER), now: 1_000_000 }
    }

    fn enter(&self, asks: Asks) -> Option<Pass<'_>> {
        self.circuit.enter(asks, "test", self.now).ok().map(|(pass, _)| pass)
    }

    fn step(&self, asks: Asks, done: &Result<(), Error>) -> Option<Change> {
        self.enter(asks).expect("it is let through").settle(Verdict::of(done), self.now)
    }

    fn fails(&self) -> Option<Change> {
        self.step(Asks::Step, &Err(gone()))
    }

    fn refuses(&self) -> bool {
        let refused = self.circuit.enter(Asks::Step, "test", self.now).map(drop).err();
        assert!(refused.as_ref().is_none_or(|error| error.kind() == ErrorKind::Unavailable));
        refused.is_some()
    }

    /// Opened, with its cool-down over.
    fn cooled() -> Self {
        let mut stage = Self::new();
        for _ in 0..3 {
            stage.fails();
        }
        assert!(stage.refuses());
        stage.now += 1_000;
        stage
    }
}

#[test]
fn only_outages_in_a_row_open_it() {
    let stage = Stage::new();
    for done in [Ok(()), Err(Error::new(ErrorKind::Backend, "out of memory"))] {
        assert_eq!((stage.fails(), stage.fails()), (None, None));
        assert_eq!(stage.step(Asks::Step, &done), None);
    }
    assert_eq!((stage.fails(), stage.fails()), (None, None));
    // What the server was perhaps not asked for does not count as an answer.
    assert_eq!(stage.step(Asks::Step, &Err(Error::unsupported("no"))), None);
    drop(stage.enter(Asks::Step));
    assert!(matches!(stage.fails(), Some(Change::Opened { outages: 3, .. })));
    assert!(stage.refuses());
}

#[test]
fn a_refusal_says_since_when_and_why_and_until_when() {
    let mut stage = Stage::new();
    for _ in 0..3 {
        stage.fails();
    }
    stage.now += 250;
    let error = stage.circuit.enter(Asks::Step, "redis", stage.now).map(drop).unwrap_err().to_string();
    for part in
        ["breaker of the redis backend is open since 250ms", "3 outages", "connection refused", "again in"]
    {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn after_the_cool_down_exactly_one_is_let_through() {
    let stage = Stage::cooled();
    let probe = stage.enter(Asks::Step).expect("the probe");
    assert!(stage.refuses() && stage.refuses());
    assert!(matches!(probe.settle(Verdict::Answered, stage.now), Some(Change::Closed { .. })));
    assert!(!stage.refuses() && !stage.refuses());
    // It begins anew.
    assert_eq!((stage.fails(), stage.fails()), (None, None));
}

#[test]
fn a_probe_that_fails_opens_it_for_twice_as_long_up_to_the_longest() {
    let mut stage = Stage::cooled();
    for full in [2_000, 4_000, 4_000, 4_000] {
        let Some(Change::Opened { cooldown, .. }) = stage.fails() else { panic!("it stays closed") };
        let cooldown = u64::try_from(cooldown.as_millis()).unwrap();
        assert!((full * 3 / 4..=full).contains(&cooldown), "{cooldown} of {full}");
        stage.now += cooldown - 1;
        assert!(stage.refuses());
        stage.now += 1;
    }
    assert!(matches!(stage.step(Asks::Step, &Ok(())), Some(Change::Closed { .. })));
    let cooled = (0..3).filter_map(|_| stage.fails()).next();
    assert!(
        matches!(cooled, Some(Change::Opened { cooldown, .. }) if cooldown <= BREAKER.cooldown),
        "an answer resets the cool-down: {cooled:?}"
    );
}

#[test]
fn a_probe_that_is_dropped_leaves_its_place_to_the_next() {
    let stage = Stage::cooled();
    drop(stage.enter(Asks::Step).expect("the probe"));
    let next = stage.enter(Asks::Step).expect("the next probe");
    assert!(stage.refuses());
    assert_eq!(next.settle(Verdict::Neither, stage.now), None);
    assert!(stage.enter(Asks::Step).is_some());
}

#[test]
fn a_probe_that_never_ends_does_not_keep_it_half_open() {
    let mut stage = Stage::cooled();
    let circuit = &stage.circuit;
    let (stuck, _) = circuit.enter(Asks::Step, "test", stage.now).unwrap();
    stage.now += 3_999;
    assert!(circuit.enter(Asks::Step, "test", stage.now).is_err());
    stage.now += 1;
    let (next, _) = circuit.enter(Asks::Step, "test", stage.now).expect("another probe");
    // The first one is heard no more.
    let error = gone();
    assert_eq!(stuck.settle(Verdict::Outage(&error), stage.now), None);
    assert!(matches!(next.settle(Verdict::Answered, stage.now), Some(Change::Closed { .. })));
}

#[test]
fn who_may_not_be_refused_is_let_through_and_closes_it_when_answered() {
    let stage = Stage::cooled();
    let probe = stage.enter(Asks::Step).expect("the probe");
    assert_eq!(stage.step(Asks::Always, &Err(gone())), None, "its failure is no news");
    assert!(stage.refuses());
    assert!(matches!(stage.step(Asks::Always, &Ok(())), Some(Change::Closed { .. })));
    assert!(!stage.refuses());
    // The probe came later than the answer.
    let error = gone();
    assert_eq!(probe.settle(Verdict::Outage(&error), stage.now), None);
    assert!(!stage.refuses());
}

#[test]
fn steps_from_before_it_opened_neither_close_it_nor_open_it_for_longer() {
    let stage = Stage::new();
    let early: Vec<_> = (0..10).map(|_| stage.enter(Asks::Step).unwrap()).collect();
    let error = gone();
    let changes: Vec<_> =
        early.into_iter().filter_map(|pass| pass.settle(Verdict::Outage(&error), stage.now)).collect();
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert!(stage.refuses());

    let stage = Stage::new();
    let early = stage.enter(Asks::Step).unwrap();
    for _ in 0..3 {
        stage.fails();
    }
    assert_eq!(early.settle(Verdict::Answered, stage.now), None);
    assert!(stage.refuses());
}

#[test]
fn a_clock_that_is_set_back_does_not_keep_it_open() {
    let mut stage = Stage::new();
    for _ in 0..3 {
        stage.fails();
    }
    stage.now -= 500_000;
    assert!(stage.enter(Asks::Step).is_some());
}

#[test]
fn settings_that_can_not_work_are_refused_with_what_to_do() {
    for wrong in [
        Breaker { outages: 0, ..Breaker::default() },
        Breaker { cooldown: Duration::ZERO, ..Breaker::default() },
    ] {
        let error = wrong.check().unwrap_err();
        assert!(error.kind() == ErrorKind::Config && error.to_string().contains("no_breaker()"), "{error}");
    }
    // Longer than the longest: the cool-down counts.
    let odd = Breaker { outages: 1, cooldown: Duration::from_secs(60), longest: Duration::from_secs(1) };
    assert!(odd.check().is_ok() && odd.pause(9) <= 60_000 && odd.pause(9) >= 45_000);
}
