//! Running the program.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// What became of a run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.out).unwrap()
    }

    /// Asserts what it printed, and that it found something.
    #[track_caller]
    pub(crate) fn printed(&self, out: impl AsRef<[u8]>) {
        assert_eq!((self.code, self.out.as_slice(), self.err.as_str()), (0, out.as_ref(), ""));
    }

    /// Asserts that there was nothing.
    #[track_caller]
    pub(crate) fn missed(&self) {
        assert_eq!((self.code, self.err.as_str()), (1, ""), "{self:?}");
    }

    /// Asserts that it refused, and that it said all this.
    #[track_caller]
    pub(crate) fn refused(&self, said: &[&str]) {
        assert_eq!((self.code, self.out.as_slice()), (2, &b""[..]), "{self:?}");
        for word in said {
            assert!(self.err.contains(word), "{word:?} is not in: {}", self.err);
        }
    }
}

/// The program with nothing in its environment.
pub(crate) fn larder(words: &[&str]) -> Ran {
    larder_in(&[], words, b"")
}

/// The program with these variables and this on its standard input.
pub(crate) fn larder_in(variables: &[(&str, &str)], words: &[&str], input: &[u8]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    command.args(words).env_clear().envs(variables.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It need not read it.
    let _ = child.stdin.take().unwrap().write_all(input);
    let done = child.wait_with_output().unwrap();
    let err = String::from_utf8(done.stderr).unwrap();
    assert!(!err.contains("panicked"), "{err}");
    Ran { code: done.status.code().unwrap(), out: done.stdout, err }
}
