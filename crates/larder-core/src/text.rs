//! Bytes that are put together piece by piece, and mostly few: without an allocation up to a length that almost every key stays below.

use std::ops::Deref;

const INLINE: usize = 191;

pub(crate) enum Text {
    Inline { len: u8, bytes: [u8; INLINE] },
    Heap(Vec<u8>),
}

impl Text {
    pub(crate) const fn new() -> Self {
        Self::Inline { len: 0, bytes: [0; INLINE] }
    }

    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut text = Self::new();
        text.extend(bytes);
        text
    }

    #[inline]
    pub(crate) fn push(&mut self, byte: u8) {
        if let Self::Inline { len, bytes } = self
            && let Some(place) = bytes.get_mut(usize::from(*len))
        {
            *place = byte;
            *len += 1;
            return;
        }
        self.spill(&[byte]);
    }

    #[inline]
    pub(crate) fn extend(&mut self, more: &[u8]) {
        if let Self::Inline { len, bytes } = self
            && let Some(room) = bytes.get_mut(usize::from(*len)..usize::from(*len) + more.len())
        {
            room.copy_from_slice(more);
            // There was room, so it is no more than INLINE.
            *len += more.len() as u8;
            return;
        }
        self.spill(more);
    }

    #[cold]
    #[inline(never)]
    fn spill(&mut self, more: &[u8]) {
        if let Self::Inline { .. } = self {
            let mut heap = Vec::with_capacity((self.len() + more.len()).max(2 * INLINE));
            heap.extend_from_slice(self);
            *self = Self::Heap(heap);
        }
        if let Self::Heap(heap) = self {
            heap.extend_from_slice(more);
        }
    }
}

impl Clone for Text {
    // Copies what there is, not the room: most keys are cloned to be gone on with, and written where they are needed.
    #[inline]
    fn clone(&self) -> Self {
        let mut text = Self::new();
        text.extend(self);
        text
    }
}

impl Deref for Text {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            // The length never exceeds the room; `get` leaves out the way to panic.
            Self::Inline { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Self::Heap(heap) => heap,
        }
    }
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_it_is_put_together_it_is_what_was_added() {
        for piece in [1, 2, 7, 190, 191, 192, 500] {
            let (mut text, mut plain) = (Text::new(), Vec::new());
            for round in 0..400_u32 {
                let byte = round as u8;
                text.push(byte);
                plain.push(byte);
                text.extend(&vec![byte; piece]);
                plain.extend(vec![byte; piece]);
                assert_eq!(*text, *plain, "{piece}, round {round}");
                assert_eq!(*text.clone(), *plain);
            }
            assert_eq!(*Text::of(&plain), *plain);
        }
        assert!(Text::new().is_empty());
        assert!(matches!(Text::of(&[7; INLINE]), Text::Inline { .. }));
        assert!(matches!(Text::of(&[7; INLINE + 1]), Text::Heap(_)));
    }
}
