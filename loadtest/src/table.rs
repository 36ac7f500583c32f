//! Both runs side by side, for the terminal and for the report.

use std::time::Duration;

use crate::stats::{Stats, millis, thousands};

/// A row: what it is, before, after, and how many times better that is.
pub(crate) type Row = [String; 4];

pub(crate) fn rows(before: &Stats, after: &Stats) -> Vec<Row> {
    let count = |what: &str, number: fn(&Stats) -> usize| {
        let text = |stats| thousands(number(stats) as u64);
        [what.to_owned(), text(before), text(after), String::new()]
    };
    let time = |what: &str, of: &dyn Fn(&Stats) -> Duration| {
        let (b, a) = (of(before), of(after));
        [format!("{what}, ms"), millis(b), millis(a), ratio(b.as_secs_f64(), a.as_secs_f64())]
    };
    let percentile = |what: &str, percent: f64| time(what, &|stats| stats.percentile(percent));
    let calls = |stats: &Stats| stats.origin_calls.map_or("–".to_owned(), thousands);
    let calls_ratio = match (before.origin_calls, after.origin_calls) {
        (Some(b), Some(a)) => ratio(b as f64, a as f64),
        _ => String::new(),
    };
    vec![
        count("requests", |stats| stats.requests),
        count("failed", |stats| stats.failures),
        percentile("p50", 50.0),
        percentile("p90", 90.0),
        percentile("p99", 99.0),
        time("average", &|stats| stats.average),
        percentile("slowest", 100.0),
        [
            "requests a second".to_owned(),
            format!("{:.1}", before.per_second),
            format!("{:.1}", after.per_second),
            ratio(after.per_second, before.per_second),
        ],
        ["calls to the API".to_owned(), calls(before), calls(after), calls_ratio],
    ]
}

pub(crate) fn compare(before: &Stats, after: &Stats) -> String {
    let head = ["", "before", "after", "ratio"].map(str::to_owned);
    let paths = [String::new(), before.path.clone(), after.path.clone(), String::new()];
    let rows: Vec<Row> = [head, paths].into_iter().chain(rows(before, after)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (a, b, c, d) = (width(0), width(1), width(2), width(3));
    let line = |row: &Row| format!("{:<a$}  {:>b$}  {:>c$}  {:>d$}", row[0], row[1], row[2], row[3]);
    let mut lines: Vec<String> = rows.iter().map(line).collect();
    lines.insert(2, "─".repeat(a + b + c + d + 6));
    lines.join("\n") + "\n"
}

/// How many times larger, with as many digits as mean something.
fn ratio(larger: f64, smaller: f64) -> String {
    match larger / smaller {
        times if !times.is_finite() => String::new(),
        times @ ..10.0 => format!("{times:.1}×"),
        times => format!("{}×", thousands(times.round() as u64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Sample;

    fn stats(took: u64, calls: Option<u64>) -> Stats {
        let sample = Sample { at: Duration::from_secs(2), took: Duration::from_millis(took), ok: true };
        Stats::new("/x/", &[sample; 1200], calls).unwrap()
    }

    #[test]
    fn the_table_shows_how_many_times_better_it_got() {
        let table = compare(&stats(2000, Some(1200)), &stats(2, Some(1)));
        let row = |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        assert_eq!(
            row("p50").split_whitespace().collect::<Vec<_>>(),
            ["p50,", "ms", "2,000", "2.00", "1,000×"]
        );
        assert!(row("calls to the API").ends_with("1,200      1  1,200×"), "{table}");
    }

    #[test]
    fn calls_that_nobody_counted_show_as_a_dash() {
        let table = compare(&stats(2, None), &stats(2, None));
        assert!(table.contains("calls to the API        –      –"), "{table}");
    }
}
