//! The figures of one run.

use std::time::Duration;

use serde_json::{Value, json};

use crate::record::Sample;

/// What the table and the plots show of one run.
#[derive(Debug)]
pub(crate) struct Stats {
    pub(crate) path: String,
    pub(crate) requests: usize,
    pub(crate) failures: usize,
    pub(crate) average: Duration,
    pub(crate) per_second: f64,
    /// Calls that reached the API, where the server counts them.
    pub(crate) origin_calls: Option<u64>,
    /// Requests that ended in each second of the run.
    pub(crate) seconds: Vec<u32>,
    /// How long each took, in order.
    took: Vec<Duration>,
}

impl Stats {
    /// `None` when there are no samples.
    pub(crate) fn new(path: &str, samples: &[Sample], origin_calls: Option<u64>) -> Option<Self> {
        let end = samples.iter().map(|sample| sample.at).max()?;
        let mut seconds = vec![0; usize::try_from(end.as_secs()).ok()? + 1];
        for sample in samples {
            if let Some(second) = usize::try_from(sample.at.as_secs()).ok().and_then(|at| seconds.get_mut(at))
            {
                *second += 1;
            }
        }
        // The last second is seldom a whole one and would look like a collapse.
        if seconds.len() > 1 {
            seconds.pop();
        }
        let mut took: Vec<Duration> = samples.iter().map(|sample| sample.took).collect();
        took.sort_unstable();
        Some(Self {
            path: path.to_owned(),
            requests: samples.len(),
            failures: samples.iter().filter(|sample| !sample.ok).count(),
            average: took.iter().sum::<Duration>().div_f64(took.len() as f64),
            per_second: samples.len() as f64 / end.as_secs_f64().max(f64::EPSILON),
            origin_calls,
            seconds,
            took,
        })
    }

    /// For other programs: times in milliseconds.
    pub(crate) fn figures(&self) -> Value {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        json!({
            "path": self.path,
            "requests": self.requests,
            "failures": self.failures,
            "p50": ms(self.percentile(50.0)),
            "p90": ms(self.percentile(90.0)),
            "p99": ms(self.percentile(99.0)),
            "average": ms(self.average),
            "slowest": ms(self.percentile(100.0)),
            "per_second": self.per_second,
            "origin_calls": self.origin_calls,
        })
    }

    /// The time within which `percent` of the requests were answered; 100 is the slowest.
    pub(crate) fn percentile(&self, percent: f64) -> Duration {
        percentile(&self.took, percent).unwrap_or_default()
    }
}

/// The nearest-rank percentile of what is in order; `None` of nothing.
pub(crate) fn percentile(ordered: &[Duration], percent: f64) -> Option<Duration> {
    let rank = (percent / 100.0 * ordered.len() as f64).ceil() as usize;
    ordered.get(rank.max(1) - 1).or(ordered.last()).copied()
}

/// Milliseconds as people read them: three digits that matter.
pub(crate) fn millis(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    match ms {
        ..10.0 => format!("{ms:.2}"),
        ..100.0 => format!("{ms:.1}"),
        _ => thousands(ms.round() as u64),
    }
}

/// 7041 as 7,041.
pub(crate) fn thousands(n: u64) -> String {
    if n < 1000 { n.to_string() } else { format!("{},{:03}", thousands(n / 1000), n % 1000) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let ordered: Vec<_> = (1..=200).map(ms).collect();
        let at = |percent| percentile(&ordered, percent).unwrap();
        assert_eq!([at(0.0), at(50.0), at(99.0), at(99.9), at(100.0)], [1, 100, 198, 200, 200].map(ms));
        assert_eq!(percentile(&[], 50.0), None);
    }

    #[test]
    fn a_run_is_summed_up_and_its_last_second_left_out_of_the_plot() {
        let sample = |at, took, ok| Sample { at: ms(at), took: ms(took), ok };
        let samples = [sample(900, 10, true), sample(1100, 30, false), sample(2000, 20, true)];
        let stats = Stats::new("/", &samples, Some(2)).unwrap();
        assert_eq!((stats.requests, stats.failures, stats.average), (3, 1, ms(20)));
        assert_eq!(stats.seconds, [1, 1]);
        assert!((stats.per_second - 1.5).abs() < 1e-9);
        assert_eq!(stats.percentile(50.0), ms(20));
        assert!(Stats::new("/", &[], None).is_none());
        let figures = stats.figures();
        assert_eq!(
            (&figures["p99"], &figures["failures"], &figures["origin_calls"]),
            (&json!(30.0), &json!(1), &json!(2))
        );
    }

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(
            ["0.31", "31.4", "2,014"],
            [310, 31_400, 2_014_000].map(|us| millis(Duration::from_micros(us)))
        );
        assert_eq!(thousands(1_007_041), "1,007,041");
    }
}
