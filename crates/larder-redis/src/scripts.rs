//! What must be one step at the server. Bodies of pages are never read here, except to give one another expiry.

use std::sync::LazyLock;

use redis::Cmd;

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

script!(CREATE, "create.lua");
script!(SEAL, "seal.lua");
script!(SWAP, "swap.lua");
script!(TOUCH, "touch.lua");
script!(INCR, "incr.lua");
script!(TAKE, "take.lua");

impl Script {
    /// The call by its name, which a server that was restarted does not know.
    pub(crate) fn by_name(&self, keys: &[&[u8]], args: &[&[u8]]) -> Cmd {
        call("EVALSHA", self.compiled.get_hash(), keys, args)
    }

    /// The call with its text, after which the server knows it.
    pub(crate) fn by_text(&self, keys: &[&[u8]], args: &[&[u8]]) -> Cmd {
        call("EVAL", self.text, keys, args)
    }
}

fn call(command: &str, script: &str, keys: &[&[u8]], args: &[&[u8]]) -> Cmd {
    let mut call = redis::cmd(command);
    call.arg(script).arg(keys.len()).arg(keys).arg(args);
    call
}
