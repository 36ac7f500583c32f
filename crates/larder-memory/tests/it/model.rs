//! Every operation against a `HashMap` that does the same the simple way.

use std::collections::HashMap;

use larder_core::{Backend, ErrorKind, When};
use larder_memory::Memory;
use proptest::prelude::*;

use crate::{key, now, text};

#[derive(Clone, Debug)]
enum Op {
    Get,
    Set(When, String, Option<u64>),
    Touch(Option<u64>),
    Incr(i64),
    Remove,
    Wait(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let expires = || proptest::option::of(0u64..30);
    let when = prop_oneof![Just(When::Always), Just(When::Absent), Just(When::Present)];
    let value = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        (-3i64..3).prop_map(|n| n.to_string()),
        Just("\"text\"".to_owned()),
        Just("007".to_owned()),
    ];
    prop_oneof![
        3 => Just(Op::Get),
        4 => (when, value, expires()).prop_map(|(when, value, expires)| Op::Set(when, value, expires)),
        2 => expires().prop_map(Op::Touch),
        2 => prop_oneof![-2i64..3, any::<i64>()].prop_map(Op::Incr),
        1 => Just(Op::Remove),
        2 => (0u64..15).prop_map(Op::Wait),
    ]
}

#[derive(Default)]
struct Model(HashMap<usize, (String, Option<u64>)>);

impl Model {
    fn get(&mut self, i: usize, at: u64) -> Option<&mut (String, Option<u64>)> {
        if self.0.get(&i).is_some_and(|(_, expires)| expires.is_some_and(|e| e <= at)) {
            self.0.remove(&i);
        }
        self.0.get_mut(&i)
    }
}

proptest! {
    #[test]
    fn memory_does_what_a_map_with_expiry_does(ops in proptest::collection::vec((0usize..4, op()), 1..200)) {
        let memory = Memory::new();
        let mut model = Model::default();
        let mut at = 1_000u64;
        for (i, op) in ops {
            let k = key(i);
            match op {
                Op::Wait(by) => at += by,
                Op::Get => {}
                Op::Set(when, value, expires) => {
                    let expires = expires.map(|e| at + e);
                    let there = model.get(i, at).is_some();
                    let stores = match when { When::Always => true, When::Absent => !there, When::Present => there };
                    prop_assert_eq!(now(memory.set(&k, text(&value, expires), when, at)).unwrap(), stores);
                    if stores {
                        model.0.insert(i, (value, expires));
                    }
                }
                Op::Touch(expires) => {
                    let expires = expires.map(|e| at + e);
                    let there = model.get(i, at).map(|slot| slot.1 = expires).is_some();
                    prop_assert_eq!(now(memory.touch(&k, expires, at)).unwrap(), there);
                }
                Op::Incr(delta) => {
                    let done = now(memory.incr(&k, delta, at));
                    match model.get(i, at) {
                        None => prop_assert_eq!(done.unwrap(), None),
                        Some((value, _)) => {
                            let number = value.parse::<i64>().ok().filter(|n| n.to_string() == *value);
                            match number.and_then(|n| n.checked_add(delta)) {
                                None => prop_assert_eq!(done.unwrap_err().kind(), ErrorKind::Value),
                                Some(sum) => {
                                    prop_assert_eq!(done.unwrap(), Some(sum));
                                    *value = sum.to_string();
                                }
                            }
                        }
                    }
                }
                Op::Remove => {
                    let there = model.get(i, at).is_some();
                    model.0.remove(&i);
                    prop_assert_eq!(now(memory.remove(&k, at)).unwrap(), there);
                }
            }
            let found = now(memory.get(&k, at)).unwrap();
            let found = found.map(|e| (e.value().to_bytes().unwrap(), e.expires()));
            let wanted = model.get(i, at).map(|(value, expires)| (value.clone().into(), *expires));
            prop_assert_eq!(found, wanted);
        }
    }
}

#[test]
fn a_shared_value_is_kept_as_it_is_and_never_encoded() {
    use std::sync::Arc;

    use larder_core::{Entry, Error, Nonce, SharedValue, Stamp, Value};

    #[derive(Debug)]
    struct Page;
    impl SharedValue for Page {
        fn encode(&self) -> Result<bytes::Bytes, Error> {
            Err(Error::new(ErrorKind::Encode, "memory has no reason to ask"))
        }
        fn weight(&self) -> usize {
            5_000
        }
        fn into_any(self: Arc<Self>) -> Arc<dyn std::any::Any + Send + Sync> {
            self
        }
    }

    let memory = Memory::new();
    let page = Arc::new(Page);
    let value = Value::Shared(Arc::clone(&page) as Arc<dyn SharedValue>);
    let stored = Entry::new(value, Some(50), Stamp::untagged(Nonce::from_u128(0)));
    assert!(now(memory.set(&key(1), stored, When::Absent, 1)).unwrap());
    assert!(now(memory.touch(&key(1), Some(90), 1)).unwrap());
    assert!(memory.stats().bytes >= 5_000, "its own weight counts");
    let found = now(memory.get(&key(1), 60)).unwrap().unwrap();
    let Value::Shared(found) = found.value() else { panic!("{found:?}") };
    assert!(Arc::ptr_eq(&Arc::clone(found).into_any().downcast::<Page>().unwrap(), &page));
    assert_eq!(now(memory.incr(&key(1), 1, 60)).unwrap_err().kind(), ErrorKind::Encode);
}
