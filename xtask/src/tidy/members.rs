//! What every member crate has to have.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use crate::workspace::Package;

pub(super) fn check(packages: &[Package], root: &Path) -> Result<Vec<String>> {
    let map = fs::read_to_string(root.join("ARCHITECTURE.md")).ok();
    let mut complaints = Vec::new();
    if map.is_none() {
        complaints
            .push("there is no ARCHITECTURE.md: write the map, with every member crate in it".to_owned());
    }
    for Package { name, folder, .. } in packages {
        let manifest =
            fs::read_to_string(folder.join("Cargo.toml")).with_context(|| format!("{name}'s Cargo.toml"))?;
        if folder.parent().is_some_and(|parent| parent.ends_with("crates")) && !folder.ends_with(name) {
            complaints
                .push(format!("{} holds the crate {name}: folder and crate bear one name", folder.display()));
        }
        if !inherits_lints(&manifest) {
            complaints.push(format!("{name}: add `[lints]` with `workspace = true` to its Cargo.toml"));
        }
        if !has_front_page(folder) {
            complaints
                .push(format!("{name}: begin its lib.rs or main.rs with `//!` and what the crate is for"));
        }
        if map.as_ref().is_some_and(|map| !names(map, name)) {
            complaints.push(format!("ARCHITECTURE.md does not name {name}: add it to the code map"));
        }
    }
    Ok(complaints)
}

/// Whether a manifest has `workspace = true` under `[lints]`.
fn inherits_lints(manifest: &str) -> bool {
    let mut table = "";
    manifest.lines().map(str::trim).any(|line| {
        if line.starts_with('[') {
            table = line;
        }
        table == "[lints]" && line.replace(' ', "") == "workspace=true"
    })
}

fn has_front_page(folder: &Path) -> bool {
    ["src/lib.rs", "src/main.rs"].iter().filter_map(|file| fs::read_to_string(folder.join(file)).ok()).all(
        |source| {
            let first = source.lines().find(|line| !line.trim().is_empty() && !line.starts_with("#!["));
            first.is_some_and(|line| line.strip_prefix("//!").is_some_and(|rest| !rest.trim().is_empty()))
                || first.is_some_and(|line| line.contains("include_str!"))
        },
    )
}

/// Whether a text has this crate's name as a word of its own: `larder` is not named by `larder-core`.
fn names(text: &str, name: &str) -> bool {
    let in_name = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    text.split(|c| !in_name(c)).any(|word| word == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lints_count_only_under_their_own_heading() {
        assert!(inherits_lints("[package]\nname = \"a\"\n[lints]\nworkspace = true\n"));
        assert!(!inherits_lints("[package]\nversion.workspace = true\n[other]\nworkspace = true\n"));
        assert!(!inherits_lints("[lints]\n[dependencies]\nworkspace = true\n"));
    }

    #[test]
    fn a_crate_is_named_by_its_whole_name() {
        assert!(names("`larder-core`: the heart; crates/larder is the facade", "larder"));
        assert!(!names("`larder-core` alone", "larder"));
        assert!(names("under xtask/src/", "xtask"));
    }

    #[test]
    fn a_front_page_is_the_first_thing_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("src")).unwrap();
        let with = |text: &str| {
            fs::write(folder.path().join("src/lib.rs"), text).unwrap();
            has_front_page(folder.path())
        };
        assert!(with("//! The heart.\n"));
        assert!(!with("use std::fs;\n//! Late.\n"));
        assert!(!with("//!\n"));
    }
}
