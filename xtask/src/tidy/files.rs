//! What a source file may not have.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// A file longer than this holds more than one topic.
const LONGEST: usize = 600;

/// What is left over, or said better. Spelt in pieces, so that this file does not complain of itself.
const LEFT_OVER: &[(&str, &str)] = &[
    (concat!("TO", "DO"), "do it, or open an issue"),
    (concat!("FIX", "ME"), "mend it, or open an issue"),
    (concat!("dbg", "!("), "take it out"),
    (concat!("#[", "allow("), "use #[expect(…, reason = \"…\")], which tells when it is no longer needed"),
    (concat!("#![", "allow("), "use #![expect(…, reason = \"…\")], which tells when it is no longer needed"),
];

/// The folders with Rust sources of ours.
const FOLDERS: [&str; 6] = ["crates", "examples", "tests", "loadtest", "benches", "xtask"];

pub(super) fn check(root: &Path) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for folder in FOLDERS {
        for file in rust_files(&root.join(folder)) {
            let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
            let shown = file.strip_prefix(root).unwrap_or(&file).display().to_string();
            complaints.extend(complaints_about(&shown, &text));
        }
    }
    Ok(complaints)
}

fn complaints_about(file: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let lines = text.lines().count();
    if file.starts_with("crates/") && file.contains("/src/") && lines > LONGEST {
        complaints.push(format!(
            "{file} has {lines} lines, more than {LONGEST}: one topic a file, so make two of it"
        ));
    }
    for (number, line) in (1..).zip(text.lines()) {
        for (what, instead) in LEFT_OVER {
            if has(line, what) {
                complaints.push(format!("{file}:{number}: {what}: {instead}"));
            }
        }
    }
    complaints
}

/// Whether a line has this text, not as part of a longer word.
fn has(line: &str, what: &str) -> bool {
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(what).any(|(at, _)| {
        let longer_before = what.starts_with(in_word) && line[..at].ends_with(in_word);
        let longer_after = what.ends_with(in_word) && line[at + what.len()..].starts_with(in_word);
        !longer_before && !longer_after
    })
}

/// Every `.rs` file below a folder, build output apart.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            if !path.ends_with("target") {
                files.extend(rust_files(&path));
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_over_is_told_with_its_line() {
        let text = format!("fn a() {{}}\n// {}: later\n", LEFT_OVER[0].0);
        assert_eq!(complaints_about("crates/a/src/lib.rs", &text).len(), 1);
        assert!(complaints_about("crates/a/src/lib.rs", &text)[0].starts_with("crates/a/src/lib.rs:2:"));
    }

    #[test]
    fn a_part_of_a_longer_word_is_nothing_left_over() {
        let what = LEFT_OVER[0].0;
        assert!(!has(&format!("const {what}S: u8"), what));
        assert!(!has(&format!("MY_{what}"), what));
        assert!(has(&format!("//{what}"), what));
        let attribute = LEFT_OVER[3].0;
        assert!(has(&format!("    {attribute}dead_code)]"), attribute));
    }

    #[test]
    fn only_sources_of_crates_have_a_longest_length() {
        let long = "\n".repeat(LONGEST + 1);
        assert_eq!(complaints_about("crates/a/src/lib.rs", &long).len(), 1);
        assert!(complaints_about("crates/a/tests/it.rs", &long).is_empty());
        assert!(complaints_about("crates/a/src/lib.rs", &"\n".repeat(LONGEST)).is_empty());
    }
}
