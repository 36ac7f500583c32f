//! The page of options says what the code accepts.
#![expect(clippy::unwrap_used, reason = "a test may")]

use std::collections::{BTreeMap, BTreeSet};

const PAGE: &str = include_str!("../../../docs/configuration.md");
/// Nothing is near to it.
const NOBODYS: &str = "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz";

/// A URL that a scheme opens, up to the options to be tried.
fn place(scheme: &str) -> String {
    match scheme {
        "tiered" => "tiered:?l2=memory:&".to_owned(),
        "memory" | "dummy" => format!("{scheme}:"),
        "file" | "sqlite" => format!("{scheme}:///tmp/larder-options"),
        _ if scheme.ends_with("+unix") => format!("{scheme}:///run/larder-options.sock"),
        _ if scheme.ends_with("+sentinel") => format!("{scheme}://localhost/master"),
        "postgres" | "postgresql" | "mysql" | "mariadb" => format!("{scheme}://localhost/database"),
        _ => format!("{scheme}://localhost"),
    }
}

/// That URL with an option.
fn with(scheme: &str, option: &str) -> String {
    let place = place(scheme);
    let sign = if place.ends_with('&') { "" } else { "?" };
    format!("{place}{sign}{option}")
}

/// The options of the page's tables by scheme, each with its default.
fn documented() -> BTreeMap<String, BTreeMap<String, Option<String>>> {
    let mut found = BTreeMap::new();
    for section in PAGE.split("<!-- options of: ").skip(1) {
        let (schemes, table) = section.split_once(" -->").unwrap();
        let table = table.split("\n#").next().unwrap();
        let mut options = BTreeMap::new();
        for row in table.lines().filter(|line| line.starts_with("| `")) {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let default = cells[3].strip_prefix('`').and_then(|text| text.strip_suffix('`'));
            assert!(default.is_some() || cells[3] == "none", "a default stands in backticks: {row}");
            for name in cells[1].split(", ") {
                let twice = options.insert(name.trim_matches('`').to_owned(), default.map(str::to_owned));
                assert!(twice.is_none(), "{name} stands twice for {schemes}");
            }
        }
        for scheme in schemes.split(", ") {
            let twice = found.insert(scheme.to_owned(), options.clone());
            assert!(twice.is_none(), "{scheme} stands twice");
        }
    }
    found
}

#[test]
fn the_page_of_options_is_what_the_code_accepts() {
    let mut documented = documented();
    let all = documented.remove("all").unwrap();
    let schemes = larder::schemes();
    for scheme in schemes.known() {
        let own = documented.get(scheme).unwrap_or_else(|| panic!("docs/configuration.md lacks {scheme}:"));
        let error = schemes.open(&with(scheme, &format!("{NOBODYS}=1"))).unwrap_err().to_string();
        let (_, names) = error.split_once("there are ").unwrap_or_else(|| panic!("{scheme}: {error}"));
        // Some add a word about options of URLs within the URL.
        let names = names.split_once(';').map_or(names, |(names, _)| names);
        let accepted: BTreeSet<&str> = names.split(", ").collect();
        let said: BTreeSet<&str> = all.keys().chain(own.keys()).map(String::as_str).collect();
        assert_eq!(said, accepted, "{scheme}: what docs/configuration.md says, and what the code takes");

        for (name, default) in all.iter().chain(own) {
            if let Some(default) = default {
                let url = with(scheme, &format!("{name}={default}"));
                schemes.open(&url).unwrap_or_else(|error| panic!("{url}: {error}"));
            }
        }
    }
}

#[test]
fn every_scheme_names_the_option_that_was_meant() {
    let schemes = larder::schemes();
    let documented = documented();
    for scheme in schemes.known() {
        let options = documented["all"].keys().chain(documented[scheme].keys());
        for name in options.filter(|name| name.len() > 3) {
            let mut typo = name.clone();
            typo.remove(name.len() - 2);
            let url = with(scheme, &format!("{typo}=1"));
            let error = schemes.open(&url).unwrap_err().to_string();
            assert!(error.contains(&format!("did you mean {name:?}?")), "{url}: {error}");
        }
    }
}
