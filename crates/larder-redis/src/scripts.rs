//! What must be one step at the server. Bodies of pages are never read here, except to give one another expiry.

use std::fmt;
use std::sync::LazyLock;

/// A script, and the name under which a server keeps it.
pub(crate) struct Script {
    text: &'static str,
    compiled: LazyLock<redis::Script>,
}

macro_rules! script {
    ($name:ident, $file:literal) => {
        pub(crate) static $name: Script = {
            const TEXT: &str = include_str!(concat!("scripts/", $file));
            Script { text: TEXT, compiled: LazyLock::new(|| redis::Script::new(TEXT)) }
        };
    };
}

script!(KEEP, "keep.lua");
script!(MARK, "mark.lua");
script!(SWAP, "swap.lua");
script!(TOUCH, "touch.lua");
script!(INCR, "incr.lua");
script!(TAKE, "take.lua");

impl Script {
    /// The name, which a server that was restarted does not know.
    pub(crate) fn hash(&self) -> &str {
        self.compiled.get_hash()
    }

    /// The text; who was sent it knows the name afterwards.
    pub(crate) fn text(&self) -> &'static str {
        self.text
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hash())
    }
}
