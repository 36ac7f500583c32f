//! The guide "Coming from Django" says what the tests hold: each line of the layers in its table of differences has a test of its name.

use std::fs;
use std::path::Path;

/// The lines named in the first column of the table, in the form in which tests name them: `mw_12`.
fn lines(guide: &str) -> Vec<String> {
    let (_, table) = guide.split_once("| line | Django | Larder | why |").expect("the table of differences");
    let names = table.lines().filter_map(|row| row.strip_prefix("| ")?.split(" |").next());
    names.flat_map(|cell| cell.split(", ")).map(|id| id.to_lowercase().replace('-', "_")).collect()
}

#[test]
fn every_difference_has_a_test_of_its_line() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = fs::read_to_string(root.join("../docs/coming-from-django.md")).expect("the guide");
    let tests: String = ["mw", "mw_served", "mw_nested", "ck", "cc", "cg"]
        .iter()
        .map(|name| fs::read_to_string(root.join(format!("it/django_{name}.rs"))).expect("the tests"))
        .collect();
    let of_layers = |line: &String| ["mw_", "ck_", "cc_", "var_", "cg_"].iter().any(|g| line.starts_with(g));
    let lines: Vec<_> = lines(&guide).into_iter().filter(of_layers).collect();
    assert!(lines.len() > 20, "{lines:?}");
    let untested: Vec<_> = lines.iter().filter(|line| !tests.contains(&format!("fn {line}_"))).collect();
    assert!(untested.is_empty(), "{untested:?}");
}
