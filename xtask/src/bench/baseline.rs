//! The committed baseline, and what differs from it.

use std::{collections::BTreeMap, fmt, fs, path::Path};

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use super::{
    counts::{Cost, Row},
    machine::Machine,
};

/// What a row may cost more than in the baseline: hash seeds move the counts by a few tenths of a percent.
const TOLERANCE: f64 = 0.02;

/// What counts as the same number of allocations.
const ALLOCATIONS: f64 = 0.1;

/// What the rows cost when the baseline was saved, and on what.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Baseline {
    pub(super) tools: String,
    pub(super) costs: BTreeMap<String, Cost>,
}

impl Baseline {
    /// Reads it.
    ///
    /// # Errors
    /// When it is not there, or is none.
    pub(super) fn load(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file)
            .with_context(|| format!("{}; `cargo xtask bench --save` writes it", file.display()))?;
        Self::parse(&text).with_context(|| format!("{}", file.display()))
    }

    /// Writes it, a row a line.
    ///
    /// # Errors
    /// When it can't be written.
    pub(super) fn save(&self, file: &Path, machine: &Machine) -> Result<()> {
        fs::write(file, self.text(machine)).with_context(|| format!("{}", file.display()))
    }

    fn text(&self, machine: &Machine) -> String {
        let head = |name: &str, value: &str| format!("  {}: {},\n", json!(name), json!(value));
        let rows = self.costs.iter().map(|(name, cost)| {
            let (instructions, allocations) = (cost.instructions.round(), cost.allocations);
            format!(
                r#"    {}: {{"instructions": {instructions}, "allocations": {allocations:.2}}}"#,
                json!(name)
            )
        });
        let rows: Vec<String> = rows.collect();
        format!(
            "{{\n{}{}{}  \"rows\": {{\n{}\n  }}\n}}\n",
            head("date", &machine.date),
            head("machine", &machine.name),
            head("tools", &self.tools),
            rows.join(",\n")
        )
    }

    fn parse(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text)?;
        let rows: &Map<String, Value> = value["rows"].as_object().context("it has no \"rows\"")?;
        let number =
            |row: &Value, name: &str| row[name].as_f64().with_context(|| format!("no number {name:?}"));
        let cost = |(name, row): (&String, &Value)| {
            let instructions = number(row, "instructions").with_context(|| name.clone())?;
            let allocations = number(row, "allocations").with_context(|| name.clone())?;
            Ok((name.clone(), Cost { instructions, allocations, nanos: 0.0 }))
        };
        Ok(Self {
            tools: value["tools"].as_str().unwrap_or_default().to_owned(),
            costs: rows.iter().map(cost).collect::<Result<_>>()?,
        })
    }

    /// What has become dearer than the baseline allows, or is in one of them only.
    pub(super) fn complaints(&self, rows: &[Row], now: &BTreeMap<String, Cost>) -> Vec<Complaint> {
        let mut complaints = Vec::new();
        for Row { name, .. } in rows {
            let (before, now) = (self.costs.get(name), now.get(name).copied().unwrap_or_default());
            let Some(before) = before else {
                complaints.push(Complaint::New(name.clone()));
                continue;
            };
            let dearer = |what, unit: fn(&Cost) -> f64, limit| {
                (unit(&now) > limit).then(|| Complaint::Dearer {
                    row: name.clone(),
                    what,
                    before: unit(before),
                    now: unit(&now),
                })
            };
            let limit = before.instructions * (1.0 + TOLERANCE);
            complaints.extend(dearer("instructions", |cost| cost.instructions, limit));
            complaints.extend(dearer(
                "allocations",
                |cost| cost.allocations,
                before.allocations + ALLOCATIONS,
            ));
        }
        let gone = |name: &&String| rows.iter().all(|row| row.name != **name);
        complaints.extend(self.costs.keys().filter(gone).cloned().map(Complaint::Gone));
        complaints
    }
}

/// Something that a person has to look at.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Complaint {
    Dearer { row: String, what: &'static str, before: f64, now: f64 },
    New(String),
    Gone(String),
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dearer { row, what, before, now } => write!(
                f,
                "{row}: {} {what} a request, {} in the baseline (+{:.1} %)",
                figure(*now),
                figure(*before),
                (now / before - 1.0) * 100.0
            )?,
            Self::New(row) => write!(f, "{row} is not in the baseline")?,
            Self::Gone(row) => write!(f, "{row} is in the baseline, and there is no such row")?,
        }
        write!(f, "; if that is as it should be: cargo xtask bench --save")
    }
}

/// 12,345 or 4.5.
pub(super) fn figure(number: f64) -> String {
    if number.fract().abs() > 0.05 && number.abs() < 1000.0 {
        return format!("{number:.1}");
    }
    let digits = format!("{:.0}", number.abs());
    let mut text = String::from(if number < -0.5 { "-" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str) -> Row {
        Row { name: name.into(), base: "bare".into(), what: String::new() }
    }

    fn cost(instructions: f64, allocations: f64) -> Cost {
        Cost { instructions, allocations, nanos: 5.0 }
    }

    fn baseline(rows: &[(&str, Cost)]) -> Baseline {
        let costs = rows.iter().map(|(name, cost)| ((*name).to_owned(), *cost)).collect();
        Baseline { tools: "rustc 1, valgrind 3".into(), costs }
    }

    #[test]
    fn what_is_saved_is_read_again() {
        let saved = baseline(&[("page", cost(11_000.0, 23.5)), ("bare", cost(9186.0, 19.0))]);
        let machine = Machine { name: "a \"fast\" one".into(), date: "2026-11-21".into() };
        let read = Baseline::parse(&saved.text(&machine)).unwrap();
        assert_eq!(read.tools, saved.tools);
        assert_eq!(read.costs["page"], Cost { nanos: 0.0, ..cost(11_000.0, 23.5) });
        assert_eq!(read.costs.len(), 2);
    }

    #[test]
    fn a_damaged_baseline_says_which_row_it_is() {
        let error = Baseline::parse(r#"{"rows": {"page": {"instructions": 5}}}"#).unwrap_err();
        assert!(format!("{error:#}").contains("page") && format!("{error:#}").contains("allocations"));
        assert!(Baseline::parse("{}").is_err());
    }

    #[test]
    fn a_row_complains_above_the_tolerance_and_not_below() {
        let baseline = baseline(&[("page", cost(10_000.0, 20.0))]);
        let with = |now| baseline.complaints(&[row("page")], &BTreeMap::from([("page".to_owned(), now)]));
        assert_eq!(with(cost(10_200.0, 20.05)), []);
        assert_eq!(with(cost(5000.0, 2.0)), []);
        let complaints = with(cost(10_201.0, 21.0)).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            complaints,
            [
                "page: 10,201 instructions a request, 10,000 in the baseline (+2.0 %); if that is as it should be: cargo xtask bench --save",
                "page: 21 allocations a request, 20 in the baseline (+5.0 %); if that is as it should be: cargo xtask bench --save",
            ]
        );
    }

    #[test]
    fn rows_that_only_one_side_has_are_told() {
        let baseline = baseline(&[("old", cost(1.0, 1.0))]);
        let now = BTreeMap::from([("new".to_owned(), cost(1.0, 1.0))]);
        assert_eq!(
            baseline.complaints(&[row("new")], &now),
            [Complaint::New("new".into()), Complaint::Gone("old".into())]
        );
    }

    #[test]
    fn figures_are_written_for_people() {
        assert_eq!(
            [1_234_567.2, 999.0, 12.34, 0.0, -4820.4].map(figure),
            ["1,234,567", "999", "12.3", "0", "-4,820"]
        );
    }
}
