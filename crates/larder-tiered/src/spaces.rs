//! The namespaces of which L1 may hold something, and what their records in L2 held the last time.

use larder_core::{Key, Nonce, Space};
use parking_lot::RwLock;

/// Of how many namespaces copies are made. Each costs a step to L2 at each heartbeat.
const SPACES: usize = 64;
/// For how many further heartbeats a change is taken for going on: an invalidation changes the fence first, and the tags thereafter.
const SETTLING: u8 = 2;

#[derive(Debug, Default)]
pub(crate) struct Spaces(RwLock<Vec<Known>>);

#[derive(Debug)]
struct Known {
    space: Space,
    records: Option<(Nonce, Nonce)>,
    settling: u8,
}

/// Whether all keys are of one namespace, as those of one cache are.
pub(crate) fn in_one_space(keys: &[Key]) -> bool {
    keys.windows(2).all(|two| prefix(&two[0]) == prefix(&two[1]))
}

/// What stands before the first colon, which no prefix has.
fn prefix(key: &Key) -> &[u8] {
    key.identity().split(|byte| *byte == b':').next().unwrap_or_default()
}

impl Spaces {
    /// The namespace of a key, which is compared from now on; `None` if there are too many.
    pub(crate) fn enter(&self, key: &Key) -> Option<Space> {
        let find = |known: &[Known]| {
            let found = known.iter().find(|known| known.space.prefix().as_bytes() == prefix(key));
            found.map(|known| known.space.clone())
        };
        if let Some(space) = find(&self.0.read()) {
            return Some(space);
        }
        let space = key.space();
        let mut known = self.0.write();
        if let Some(space) = find(&known) {
            return Some(space);
        }
        if known.len() >= SPACES {
            return None;
        }
        known.push(Known { space: space.clone(), records: None, settling: 0 });
        Some(space)
    }

    /// Whether L1 may hold something of it.
    pub(crate) fn knows(&self, space: &Space) -> bool {
        self.0.read().iter().any(|known| known.space == *space)
    }

    pub(crate) fn all(&self) -> Vec<Space> {
        self.0.read().iter().map(|known| known.space.clone()).collect()
    }

    /// Whether L2 may have changed since the records were last noted; notes them.
    pub(crate) fn note(&self, space: &Space, records: (Nonce, Nonce)) -> bool {
        let mut known = self.0.write();
        let Some(known) = known.iter_mut().find(|known| known.space == *space) else { return false };
        if known.records != Some(records) {
            known.records = Some(records);
            known.settling = SETTLING;
            return true;
        }
        let settling = known.settling > 0;
        known.settling = known.settling.saturating_sub(1);
        settling
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_counts_when_it_is_seen_and_until_it_has_settled() {
        let spaces = Spaces::default();
        let key = Key::value(&Space::new("shop").unwrap(), 1, "a:b");
        let space = spaces.enter(&key).unwrap();
        assert_eq!(space.prefix(), "shop");
        let noted = |a, b| spaces.note(&space, (Nonce::from_u128(a), Nonce::from_u128(b)));
        assert!(noted(1, 1), "what was there before the first look is not known");
        assert_eq!([noted(1, 1), noted(1, 1), noted(1, 1)], [true, true, false]);
        assert!(noted(1, 2));
        assert!(noted(2, 2), "the fence alone, or the namespace alone");
        assert_eq!([noted(2, 2), noted(2, 2), noted(2, 2)], [true, true, false]);
    }

    #[test]
    fn the_number_of_namespaces_is_bounded() {
        let spaces = Spaces::default();
        let key = |i: usize| Key::value(&Space::new(&format!("s{i}")).unwrap(), 1, "k");
        for i in 0..SPACES {
            assert!(spaces.enter(&key(i)).is_some());
        }
        assert!(spaces.enter(&key(SPACES)).is_none() && spaces.enter(&key(0)).is_some());
        assert!(!spaces.knows(&Space::default()));
    }
}
