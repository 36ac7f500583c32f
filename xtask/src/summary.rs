//! The counts in what test runners print.

use std::{fmt, iter::Sum, ops::Add};

/// How many tests passed and failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Count {
    /// What nextest says in its `Summary` line: `[0.1s] 3/4 tests run: 1 passed (1 slow), 1 failed, 1 timed out`.
    pub(crate) fn of_nextest(output: &str) -> Self {
        let output = without_colour(output);
        // The last one: a test may print something alike.
        let line = output.lines().rev().find(|line| line.trim_start().starts_with("Summary ["));
        let Some((_, counts)) = line.and_then(|line| line.split_once("run: ")) else {
            return Self::default();
        };
        let counts = without_brackets(counts);
        counts.split(',').fold(Self::default(), |sum, part| {
            let (number, word) = number_and_word(part);
            match word {
                "passed" => Self { passed: sum.passed + number, ..sum },
                "skipped" => sum,
                // failed, timed out, exec failed, and whatever else a later version names.
                _ => Self { failed: sum.failed + number, ..sum },
            }
        })
    }

    /// What libtest says, once a binary and once a crate's documentation: `test result: ok. 3 passed; 0 failed; …`.
    pub(crate) fn of_libtest(output: &str) -> Self {
        let output = without_colour(output);
        let results = output.lines().filter_map(|line| line.strip_prefix("test result: "));
        results
            .filter_map(|line| line.split_once(". "))
            .map(|(_, counts)| {
                counts.split(';').fold(Self::default(), |sum, part| match number_and_word(part) {
                    (number, "passed") => Self { passed: number, ..sum },
                    (number, "failed") => Self { failed: number, ..sum },
                    _ => sum,
                })
            })
            .sum()
    }

    /// Whether something passed and nothing failed: a run without a test shows nothing.
    pub(crate) fn is_good(self) -> bool {
        self.passed > 0 && self.failed == 0
    }

    /// A run that failed without a failing test (it did not build, or a runner crashed) counts as one failure, so that
    /// the closing line can't say that all is well.
    pub(crate) fn with_outcome(self, success: bool) -> Self {
        if success || self.failed > 0 { self } else { Self { failed: 1, ..self } }
    }
}

impl Add for Count {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { passed: self.passed + other.passed, failed: self.failed + other.failed }
    }
}

impl Sum for Count {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), Add::add)
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// `" 12 timed out"` as 12 and its first word.
fn number_and_word(part: &str) -> (u64, &str) {
    let mut words = part.split_whitespace();
    let number = words.next().and_then(|number| number.parse().ok()).unwrap_or(0);
    (number, words.next().unwrap_or(""))
}

/// The text without what stands in brackets: `1 passed (1 slow, 1 flaky)` is one test.
fn without_brackets(text: &str) -> String {
    let mut pieces = text.split('(');
    let first = pieces.next().unwrap_or("").to_owned();
    pieces.fold(first, |plain, piece| plain + piece.split_once(')').map_or("", |(_, rest)| rest))
}

/// The text without the escape sequences that colour it.
fn without_colour(text: &str) -> String {
    let mut pieces = text.split("\u{1b}[");
    let first = pieces.next().unwrap_or("").to_owned();
    pieces.fold(first, |plain, piece| plain + piece.split_once('m').map_or(piece, |(_, rest)| rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nextest(line: &str) -> (u64, u64) {
        let count = Count::of_nextest(line);
        (count.passed, count.failed)
    }

    #[test]
    fn nextest_counts_what_passed_whatever_the_reason_of_what_did_not() {
        assert_eq!(nextest("     Summary [   0.003s] 3 tests run: 3 passed, 0 skipped"), (3, 0));
        assert_eq!(nextest("Summary [ 1m 2s] 1 test run: 0 passed, 1 failed, 7 skipped"), (0, 1));
        assert_eq!(
            nextest(
                "  Summary [1s] 5/9 tests run: 1 passed (1 slow, 1 flaky), 2 failed, 1 timed out, 1 exec failed"
            ),
            (1, 4)
        );
    }

    #[test]
    fn nextest_in_colours_counts_as_plain_does() {
        let line = "\u{1b}[31;1m     Summary\u{1b}[0m [   0.003s] \u{1b}[1m3\u{1b}[0m tests run: \u{1b}[1m2\u{1b}[0m \
                    \u{1b}[32;1mpassed\u{1b}[0m, \u{1b}[1m1\u{1b}[0m \u{1b}[31;1mfailed\u{1b}[0m, \u{1b}[1m0\u{1b}[0m skipped";
        assert_eq!(nextest(line), (2, 1));
    }

    #[test]
    fn only_the_last_summary_of_nextest_counts() {
        assert_eq!(
            nextest("Summary [0s] 9 tests run: 9 passed\nSummary [0s] 2 tests run: 1 passed, 1 failed\n"),
            (1, 1)
        );
    }

    #[test]
    fn libtest_results_of_all_binaries_add_up() {
        let output = "running 2 tests\n\
            test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
            test result: FAILED. 1 passed; 3 failed; 4 ignored; 0 measured; 5 filtered out; finished in 0.1s\n";
        assert_eq!(Count::of_libtest(output), Count { passed: 3, failed: 3 });
    }

    #[test]
    fn a_run_that_breaks_without_a_failing_test_is_no_success() {
        let nothing = Count::of_libtest("error[E0425]: cannot find value");
        assert_eq!(nothing.with_outcome(false).failed, 1);
        assert_eq!(nothing.with_outcome(true).failed, 0);
        assert_eq!(Count { passed: 0, failed: 2 }.with_outcome(false).failed, 2);
    }

    #[test]
    fn a_run_without_a_test_is_no_success() {
        assert!(!Count::default().is_good());
        assert!(Count { passed: 1, failed: 0 }.is_good());
        assert!(!Count { passed: 1, failed: 1 }.is_good());
    }

    #[test]
    fn the_closing_line_is_plain() {
        assert_eq!(Count { passed: 12, failed: 0 }.to_string(), "12 passed, 0 failed");
    }
}
