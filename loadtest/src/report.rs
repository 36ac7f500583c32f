//! The page: the table, and two plots with before beside after. It needs nothing but itself.

use std::fmt::Write as _;

use crate::cli::{Args, Load};
use crate::plot::{Plot, Series, escape, log_ticks, round_ticks};
use crate::stats::{Stats, millis, thousands};
use crate::table;

const PERCENTILES: [(f64, &str); 7] = [
    (50.0, "p50"),
    (75.0, "p75"),
    (90.0, "p90"),
    (95.0, "p95"),
    (99.0, "p99"),
    (99.9, "p99.9"),
    (100.0, "slowest"),
];

pub(crate) fn page(load: &Load, args: &Args, before: &Stats, after: &Stats) -> String {
    let target = match &args.url {
        Some(url) => format!("{url} was loaded."),
        None => format!("The example ran with --cache {} and --delay {}.", args.cache, args.delay),
    };
    let fields = [
        ("load", escape(&format!("{load}. {target}"))),
        ("before_path", escape(&before.path)),
        ("after_path", escape(&after.path)),
        ("tiles", tiles(before, after)),
        ("rows", rows(before, after)),
        ("latency", latency(before, after).svg()),
        ("throughput", throughput(load, before, after).svg()),
    ];
    let template = include_str!("report.html");
    fields
        .iter()
        .fold(template.to_owned(), |page, (field, value)| page.replace(&format!("{{{{{field}}}}}"), value))
}

/// The three figures that people remember.
fn tiles(before: &Stats, after: &Stats) -> String {
    let mut tiles = String::new();
    let mut tile = |what: &str, before: String, after: String| {
        let _ = writeln!(
            tiles,
            "<div class=\"tile\"><p>{what}</p><p class=\"figures\"><span class=\"before\">{before}</span> \
             <span aria-label=\"became\">→</span> <span class=\"after\">{after}</span></p></div>"
        );
    };
    let median = |stats: &Stats| format!("{} ms", millis(stats.percentile(50.0)));
    tile("half of the users waited less than", median(before), median(after));
    let p99 = |stats: &Stats| format!("{} ms", millis(stats.percentile(99.0)));
    tile("99 of 100 waited less than", p99(before), p99(after));
    if let (Some(b), Some(a)) = (before.origin_calls, after.origin_calls) {
        tile("calls to the API", thousands(b), thousands(a));
    }
    tiles
}

fn rows(before: &Stats, after: &Stats) -> String {
    table::rows(before, after).iter().fold(String::new(), |mut html, [what, before, after, ratio]| {
        let _ = writeln!(
            html,
            "<tr><th scope=\"row\">{what}</th><td>{before}</td><td>{after}</td><td>{ratio}</td></tr>"
        );
        html
    })
}

fn latency(before: &Stats, after: &Stats) -> Plot {
    let ms = |stats: &Stats, percent| stats.percentile(percent).as_secs_f64() * 1e3;
    let series = |class, notes_below, stats: &Stats| Series {
        class,
        notes_below,
        points: (0_u32..)
            .zip(PERCENTILES)
            .map(|(i, (percent, _))| (f64::from(i), ms(stats, percent)))
            .collect(),
        notes: PERCENTILES.iter().map(|(percent, _)| millis(stats.percentile(*percent))).collect(),
    };
    let least = ms(before, 50.0).min(ms(after, 50.0));
    let most = ms(before, 100.0).max(ms(after, 100.0));
    Plot {
        title: "Response times by percentile, before and after".to_owned(),
        x_label: "so many of 100 requests were faster",
        y_label: "milliseconds, each line ten times the one below",
        // Room for the labels of the outer points.
        x_ends: (-0.4, PERCENTILES.len() as f64 - 0.6),
        x_ticks: (0_u32..).zip(PERCENTILES).map(|(i, (_, name))| (f64::from(i), name.to_owned())).collect(),
        // Room for the labels.
        y_ticks: log_ticks(least / 2.5, most * 1.5),
        y_log: true,
        mark: None,
        series: vec![series("before", false, before), series("after", true, after)],
    }
}

fn throughput(load: &Load, before: &Stats, after: &Stats) -> Plot {
    let series = |class, stats: &Stats| Series {
        class,
        points: (0_u32..).zip(&stats.seconds).map(|(at, n)| (f64::from(at) + 0.5, f64::from(*n))).collect(),
        notes: Vec::new(),
        notes_below: false,
    };
    let all = || before.seconds.iter().chain(&after.seconds);
    let length = before.seconds.len().max(after.seconds.len()) as f64;
    let ramp = load.ramp().as_secs_f64();
    Plot {
        title: "Requests a second over time, before and after".to_owned(),
        x_label: "seconds since the run began",
        y_label: "requests a second",
        x_ends: (0.0, length),
        x_ticks: round_ticks(length).into_iter().filter(|(at, _)| *at <= length).collect(),
        y_ticks: round_ticks(f64::from(*all().max().unwrap_or(&1)) * 1.1),
        y_log: false,
        mark: (ramp < length).then(|| (ramp, format!("all {} users are there", load.users))),
        series: vec![series("before", before), series("after", after)],
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser as _;

    use super::*;
    use crate::record::Sample;

    fn stats(path: &str, took: u64) -> Stats {
        let sample = |n: u64| Sample {
            at: Duration::from_millis(100 * n),
            took: Duration::from_millis(took),
            ok: true,
        };
        Stats::new(path, &(1..100).map(sample).collect::<Vec<_>>(), Some(took)).unwrap()
    }

    #[test]
    fn the_page_is_filled_whole_escaped_and_asks_for_nothing_else() {
        let args = Args::parse_from(["loadtest", "--users", "20", "--cache", "file:///a<b"]);
        let page = page(&args.load(), &args, &stats("/slow/?a&b", 2000), &stats("/fast/", 2));
        assert!(!page.contains("{{"), "{page}");
        assert!(page.contains("file:///a&lt;b") && page.contains("/slow/?a&amp;b"));
        assert_eq!(page.matches("<svg").count(), 2);
        for outside in ["src=", "href=\"http", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert!(page.contains("all 20 users are there"));
    }
}
