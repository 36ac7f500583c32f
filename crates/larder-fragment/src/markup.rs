//! What a fragment is: text, and whether it was made for HTML.

use std::fmt;

/// A rendered fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Markup {
    /// The text.
    pub text: String,
    /// Whether it may stand in HTML as it is. What a template without auto-escaping made is not, and is escaped where one that has it
    /// shows the same fragment.
    pub safe: bool,
}

impl Markup {
    /// Text that may stand in HTML as it is.
    pub fn safe(text: impl Into<String>) -> Self {
        Self { text: text.into(), safe: true }
    }

    /// Text that is to be escaped where it is shown in HTML.
    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), safe: false }
    }

    /// As it is stored: readable text in every codec, behind what says whose it is.
    pub(crate) fn store(&self, identity: &str) -> String {
        let kind = if self.safe { 's' } else { 'p' };
        format!("{kind}{identity}\n{}", self.text)
    }

    /// `None` if it is another's.
    pub(crate) fn read(mut stored: String, identity: &str) -> Option<Self> {
        let safe = match stored.as_bytes().first()? {
            b's' => true,
            b'p' => false,
            _ => return None,
        };
        let rest = stored.get(1..)?.strip_prefix(identity)?.strip_prefix('\n')?;
        let head = stored.len() - rest.len();
        stored.drain(..head);
        Some(Self { text: stored, safe })
    }
}

impl fmt::Display for Markup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_fragment_is_read_as_it_was_and_by_its_own_identity_only() {
        for markup in [Markup::safe(""), Markup::safe("<b>ü</b>\n"), Markup::plain("a < b")] {
            let stored = markup.store("id");
            assert_eq!(Markup::read(stored.clone(), "id"), Some(markup));
            assert_eq!(Markup::read(stored, "ie"), None);
        }
        for foreign in ["", "s", "x", "sid", "üid\n", "xid\nhello"] {
            assert_eq!(Markup::read(foreign.into(), "id"), None, "{foreign}");
        }
    }
}
