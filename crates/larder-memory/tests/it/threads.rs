//! Several threads at one key.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use larder_core::{Backend, Entry, Space, Value, When};
use larder_memory::Memory;

use crate::{entry, key, now, text};

const THREADS: usize = 8;

fn together(work: impl Fn(usize) + Sync) {
    let start = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (start, work) = (&start, &work);
            scope.spawn(move || {
                start.wait();
                work(thread);
            });
        }
    });
}

#[test]
fn the_sum_of_concurrent_increments_is_exact() {
    let memory = Memory::new();
    for i in 0..3 {
        now(memory.set(&key(i), text("0", Some(99)), When::Always, 1)).unwrap();
    }
    together(|thread| {
        for round in 0..3_000 {
            now(memory.incr(&key(round % 3), 1, 1)).unwrap().unwrap();
            // Something that changes the entry but not the number must not undo an increment.
            if thread == 0 {
                now(memory.touch(&key(round % 3), Some(100), 1)).unwrap();
            }
        }
    });
    for i in 0..3 {
        let found = memory.get_now(&key(i), 1).unwrap().unwrap();
        assert_eq!(found.value().to_bytes().unwrap(), format!("{}", THREADS * 1_000));
        assert_eq!(found.expires(), Some(100));
    }
}

#[test]
fn of_concurrent_adds_one_wins() {
    let memory = Memory::new();
    let wins = AtomicU64::new(0);
    together(|_| {
        for i in 0..1_000 {
            let won = now(memory.set(&key(i), entry(3, None), When::Absent, 1)).unwrap();
            wins.fetch_add(u64::from(won), Ordering::Relaxed);
        }
    });
    assert_eq!(wins.into_inner(), 1_000);
}

/// Ends the others' loops even if this thread panics.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn after_an_invalidation_returned_nobody_reads_what_was_begun_before_it() {
    let (memory, space) = (Memory::builder().max_tag_records(100).build().unwrap(), Space::default());
    // The origin's state; an entry holds what it was when its fill had begun.
    let (version, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let seen = AtomicU64::new(0);
    together(|thread| {
        if thread == 0 {
            let _done = SetOnDrop(&done);
            for i in 0..1_000_000 {
                if i >= 10_000 && seen.load(Ordering::Relaxed) >= 50 {
                    break;
                }
                version.fetch_add(1, Ordering::SeqCst);
                now(memory.invalidate(&space, &["t".into()], 1)).unwrap();
                if i % 7 == 0 {
                    now(memory.invalidate(&space, &[format!("other{i}").into()], 1)).unwrap();
                }
                let at_least = version.load(Ordering::SeqCst);
                if let Some(found) = memory.get_now(&key(1), 1).unwrap() {
                    let text = found.value().to_bytes().unwrap();
                    let made: u64 = std::str::from_utf8(&text).unwrap().parse().unwrap();
                    assert!(made >= at_least, "{made} was made before {at_least} was invalidated");
                    seen.fetch_add(1, Ordering::Relaxed);
                }
            }
            return;
        }
        while !done.load(Ordering::SeqCst) {
            let early = if thread % 2 == 0 { vec!["t".into()] } else { Vec::new() };
            let fill = memory.begin_now(&space, &early).unwrap();
            let made = version.load(Ordering::SeqCst).to_string();
            std::thread::yield_now();
            let stamp = now(memory.seal(&space, &fill, &["t".into()], None, 1)).unwrap().unwrap();
            let entry = Entry::new(Value::Bytes(made.into()), None, stamp);
            now(memory.set(&key(1), entry, When::Always, 1)).unwrap();
            memory.get_now(&key(1), 1);
        }
    });
    assert!(seen.into_inner() >= 50, "the test hardly ever saw an entry");
}
