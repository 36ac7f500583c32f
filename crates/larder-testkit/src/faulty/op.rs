//! The operations of a backend, by name.

use std::fmt;

macro_rules! operations {
    ($($name:ident $method:literal)+) => {
        /// An operation of [`Backend`](larder_core::Backend), for counting and for faults that are to meet some of them only.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Op {
            $(
                #[doc = concat!("`", $method, "`")]
                $name,
            )+
        }

        impl Op {
            /// All of them.
            pub const ALL: &[Op] = &[$(Op::$name),+];

            /// The method's name.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $method,)+
                }
            }
        }
    };
}

operations! {
    Get "get"
    Set "set"
    Remove "remove"
    Clear "clear"
    GetMany "get_many"
    SetMany "set_many"
    RemoveMany "remove_many"
    CompareAndSet "compare_and_set"
    Scan "scan"
    Fetch "fetch"
    Expiry "expiry"
    Touch "touch"
    Incr "incr"
    Begin "begin"
    Seal "seal"
    IsCurrent "is_current"
    Invalidate "invalidate"
    Soften "soften"
    Ping "ping"
    Close "close"
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
