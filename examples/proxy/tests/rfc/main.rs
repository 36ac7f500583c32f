//! The rules of the RFCs as scripts: what the client asks, what the origin answers when it is asked, and what must come of it. Each file in
//! `cases/` is one RFC or topic; each case names its section. `script.rs` says how they are written.
//!
//! They run over real sockets, through the proxy, on a clock that the script moves.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod script;
mod stage;

/// Runs every case of a file, and tells of all that fail.
fn run(name: &str, text: &str) {
    let cases = script::parse(name, text);
    assert!(!cases.is_empty(), "{name} has no cases");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut failed = Vec::new();
    for case in &cases {
        if let Err(why) = runtime.block_on(stage::play(case)) {
            failed.push(format!("{name}:{} {}\n    {why}", case.line, case.title));
        }
    }
    assert!(failed.is_empty(), "{} of {} cases fail:\n{}", failed.len(), cases.len(), failed.join("\n"));
}

macro_rules! files {
    ($($test:ident)+) => {
        $(#[test]
        fn $test() {
            run(stringify!($test), include_str!(concat!("cases/", stringify!($test), ".txt")));
        })+

        /// Every file that is run here, with its cases.
        fn all() -> Vec<(&'static str, Vec<script::Case>)> {
            vec![$((stringify!($test), script::parse(stringify!($test), include_str!(concat!("cases/", stringify!($test), ".txt"))))),+]
        }
    };
}

files! {
    rfc9111_storing
    rfc9111_freshness
    rfc9111_reuse
    rfc9111_vary
    rfc9111_validation
    rfc9111_invalidation
    rfc9110_conditions
    rfc9110_ranges
    rfc5861_stale
    rfc9213_targeted
    extensions
}

#[test]
fn every_file_of_cases_is_run() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rfc/cases");
    let there = std::fs::read_dir(folder).unwrap().count();
    assert_eq!(there, all().len());
}

#[test]
fn the_page_of_rules_names_every_case() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/http-rules.md");
    let page = std::fs::read_to_string(page).unwrap();
    let wanted: String = all()
        .iter()
        .map(|(file, cases)| {
            let rows: String =
                cases.iter().map(|case| format!("| {} |\n", case.title.replacen(' ', " | ", 1))).collect();
            format!("### {file}\n\n| section | rule |\n|---|---|\n{rows}\n")
        })
        .collect();
    let (_, rest) = page.split_once("<!-- cases -->\n\n").expect("the comment above the lists");
    let (lists, _) = rest.split_once("<!-- /cases -->").expect("the comment below the lists");
    assert!(lists == wanted, "put this between the two comments of docs/http-rules.md:\n{wanted}");
}

#[test]
fn every_test_that_the_page_of_rules_names_is_there() {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let page = std::fs::read_to_string(docs.join("http-rules.md")).unwrap();
    let named: Vec<(&str, &str)> = page
        .split("[`")
        .filter_map(|rest| rest.split_once("`](")?.1.split_once(')').map(|(file, _)| (rest, file)))
        .filter(|(_, file)| file.ends_with(".rs"))
        .map(|(rest, file)| (rest.split_once('`').unwrap().0, file))
        .collect();
    assert!(named.len() > 30, "the links to tests are not found any more: {named:?}");
    for (test, file) in named {
        let source = std::fs::read_to_string(docs.join(file)).unwrap_or_default();
        assert!(source.contains(&format!("fn {test}(")), "{file} has no test {test}");
    }
}
