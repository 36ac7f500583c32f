//! Whether the two ends of the pair stand side by side.
//!
//! A service does not know what it is around: to the outer end, the inner end and a middleware around that are one type or another. But whoever
//! is asked whether it is ready asks what is inside it, then and there. So the inner end says its own type when it is asked, and the outer one
//! compares that with the type of what it asked: a middleware between is of another type than what it passes the question on to.

use std::any::TypeId;
use std::cell::Cell;

thread_local! {
    static ASKED: Cell<Option<TypeId>> = const { Cell::new(None) };
}

/// Says that an inner end of this type was asked.
pub(crate) fn here<S: 'static>() {
    // Where a thread is ending, nobody meets.
    _ = ASKED.try_with(|asked| asked.set(Some(TypeId::of::<S>())));
}

/// Asks something of type `S`, and tells whether that is an inner end.
pub(crate) fn with<S: 'static, T>(ask: impl FnOnce() -> T) -> (T, bool) {
    _ = ASKED.try_with(|asked| asked.set(None));
    let answer = ask();
    let meets = ASKED.try_with(Cell::take).is_ok_and(|asked| asked == Some(TypeId::of::<S>()));
    (answer, meets)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Inner;
    struct Between;

    #[test]
    fn what_was_asked_is_an_inner_end_only_if_it_says_so_itself() {
        assert_eq!(with::<Inner, _>(here::<Inner>), ((), true));
        assert_eq!(with::<Between, _>(here::<Inner>), ((), false), "it asked an inner end");
        here::<Inner>();
        assert_eq!(with::<Inner, _>(|| 7), (7, false), "somebody was asked before");
        let pair = || with::<Inner, _>(here::<Inner>);
        assert_eq!(with::<Between, _>(pair), (((), true), false), "a pair within what lies between");
    }
}
