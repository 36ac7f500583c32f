//! What somebody meant who mistyped a name.

/// For an error about a name that does not exist: `did you mean "x"?`, or the list of what there is.
///
/// ```
/// use larder_core::suggest;
///
/// assert_eq!(suggest("timout", &["prefix", "timeout"]), "did you mean \"timeout\"?");
/// assert_eq!(suggest("colour", &["prefix", "timeout"]), "there are prefix, timeout");
/// ```
pub fn suggest(name: &str, known: &[&str]) -> String {
    let nearest = known.iter().map(|k| (distance(name, k), *k)).min();
    match nearest {
        Some((d, k)) if d <= 2.max(k.len() / 3) => format!("did you mean {k:?}?"),
        _ if known.is_empty() => "there are none".to_owned(),
        _ => format!("there are {}", known.join(", ")),
    }
}

/// Levenshtein distance, of short words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let next = (diagonal + usize::from(ca != *cb)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], next);
        }
    }
    row[b.len()]
}
