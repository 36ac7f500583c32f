//! The documents say what the code says: every reason is in the README's table, and every link leads somewhere.

use std::fs;
use std::path::{Path, PathBuf};

use larder_http::Reason;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ stands in the root")
}

/// The documents in the root, in `docs/` and of the load test.
fn documents() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = [root().to_owned(), root().join("docs"), root().join("loadtest")]
        .iter()
        .flat_map(|folder| fs::read_dir(folder).expect("a folder"))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    found.sort();
    found
}

#[test]
fn the_readmes_table_of_reasons_is_the_enum() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let (_, rest) = readme.split_once("larder_http::Reason -->\n").expect("the comment above the table");
    let (table, _) = rest.split_once("<!-- /reasons -->").expect("the comment below the table");

    let mut wanted = String::from("| detail | what it means | what to do |\n|---|---|---|\n");
    for reason in Reason::ALL {
        wanted += &format!("| `{reason}` | {} | {} |\n", reason.meaning(), reason.advice());
    }
    assert!(table == wanted, "put this between the two comments of README.md:\n{wanted}");
}

#[test]
fn the_readme_calls_reserved_what_no_layer_says() {
    let engine = root().join("crates/larder-tower/src");
    let mut sources = vec![root().join("crates/larder-http/src/storable.rs")];
    sources.push(root().join("crates/larder-http/src/shared/storing.rs"));
    for folder in [engine.join("headers"), engine.join("shared"), engine.join("stale"), engine] {
        sources.extend(
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()),
        );
    }
    let code: String = sources.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let said = |reason: &Reason| {
        let name = format!("Reason::{reason:?}");
        code.split(&name).skip(1).any(|rest| !rest.starts_with(char::is_alphanumeric))
    };
    let silent: Vec<_> =
        Reason::ALL.iter().filter(|reason| !said(reason)).map(|r| format!("`{r}`")).collect();

    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let readme = readme.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, rest) = readme.split_once("said by no layer yet: ").expect("the sentence below the table");
    let (list, _) = rest.split_once('.').expect("its end");
    let listed: Vec<_> = list.split(',').map(|word| word.trim().to_owned()).collect();
    assert_eq!(listed, silent);
}

#[test]
fn every_relative_link_leads_to_a_file() {
    let documents = documents();
    assert!(
        documents.len() >= 6,
        "README, ARCHITECTURE, CONTRIBUTING, CHANGELOG, SECURITY, docs/: {documents:?}"
    );
    let mut broken = Vec::new();
    for document in &documents {
        let text = fs::read_to_string(document).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap_or_default();
            let elsewhere = link.contains("://") || link.starts_with("mailto:");
            if !elsewhere && !path.is_empty() && !document.parent().expect("a folder").join(path).exists() {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
