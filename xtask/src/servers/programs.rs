//! Finding the programs that servers are.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// A program under any of the names that it has had.
pub(crate) struct Program(pub(crate) &'static [&'static str]);

/// Where Debian keeps servers that are not on everybody's `PATH`.
const ELSEWHERE: [&str; 4] =
    ["/usr/sbin", "/usr/local/sbin", "/usr/lib/chromium", "/usr/lib/chromium-browser"];

impl Program {
    /// Where it is: on the `PATH`, or in one of the places that distributions use.
    ///
    /// # Errors
    /// When it is nowhere.
    pub(crate) fn find(&self) -> Result<PathBuf> {
        let path = env::var_os("PATH").unwrap_or_default();
        let folders: Vec<_> =
            env::split_paths(&path).chain(ELSEWHERE.map(PathBuf::from)).chain(postgres_folders()).collect();
        let candidates = self.0.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
        candidates
            .into_iter()
            .find(|path| path.is_file())
            .with_context(|| format!("{} is not installed", self.0[0]))
    }
}

/// `/usr/lib/postgresql/17/bin` and its like, the newest first.
fn postgres_folders() -> Vec<PathBuf> {
    let versions = Path::new("/usr/lib/postgresql").read_dir().into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    versions.into_iter().map(|(_, folder)| folder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_of_the_names_will_do_and_the_error_names_the_first() {
        assert!(Program(&["no-such-program", "sh"]).find().unwrap().ends_with("sh"));
        let error = Program(&["no-such-program", "nor-this"]).find().unwrap_err();
        assert_eq!(error.to_string(), "no-such-program is not installed");
    }
}
