//! What layers above keep once for a cache, by its type. Every hit from a store in another process looks here, so a look takes no lock.

use std::any::{Any, TypeId};
use std::sync::{Arc, OnceLock};

/// A list that only grows: there are a few of them, and looking through these takes less than hashing.
#[derive(Default)]
pub(super) struct Attached(OnceLock<Box<Node>>);

struct Node {
    of: TypeId,
    it: Arc<dyn Any + Send + Sync>,
    next: Attached,
}

impl Attached {
    /// The one of this type, made when it is first asked for.
    pub(super) fn of<T: Default + Any + Send + Sync>(&self) -> &Arc<dyn Any + Send + Sync> {
        let of = TypeId::of::<T>();
        let mut at = self;
        loop {
            // Whoever else adds to the end at the same time may be the one whose node stays; then ours comes behind it.
            let node =
                at.0.get_or_init(|| Box::new(Node { of, it: Arc::new(T::default()), next: Self::default() }));
            if node.of == of {
                return &node.it;
            }
            at = &node.next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_is_made_once_whoever_asks_at_the_same_time() {
        let attached = Attached::default();
        let places: Vec<_> = std::thread::scope(|scope| {
            let ask = || (Arc::as_ptr(attached.of::<u8>()), Arc::as_ptr(attached.of::<u16>()));
            let asked: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(move || {
                        let (one, other) = ask();
                        (one.cast::<()>() as usize, other.cast::<()>() as usize)
                    })
                })
                .collect();
            asked.into_iter().map(|asked| asked.join().unwrap()).collect()
        });
        assert!(places.iter().all(|place| *place == places[0]));
        assert_ne!(places[0].0, places[0].1);
        assert!(attached.of::<u8>().is::<u8>() && attached.of::<u16>().is::<u16>());
    }
}
