//! Bars, as an SVG that needs nothing but itself and is readable on light and on dark.

use std::fmt::Write as _;

/// Horizontal bars from zero on.
pub(super) struct Bars {
    pub(super) title: String,
    /// What stands below: machine and date.
    pub(super) below: String,
    pub(super) bars: Vec<Bar>,
    /// Where a line is drawn through all of them.
    pub(super) mark: Option<f64>,
}

/// One bar.
pub(super) struct Bar {
    pub(super) name: String,
    pub(super) value: f64,
    /// What stands at its end.
    pub(super) note: String,
    /// In the colour that stands out.
    pub(super) ours: bool,
}

const WIDTH: f64 = 860.0;
const NAMES: f64 = 300.0;
const NOTES: f64 = 70.0;
const HEIGHT: f64 = 24.0;
const TOP: f64 = 44.0;

impl Bars {
    /// The picture.
    pub(super) fn svg(&self) -> String {
        let values = self.bars.iter().map(|bar| bar.value).chain(self.mark);
        let most = values.filter(|value| value.is_finite()).fold(f64::MIN_POSITIVE, f64::max);
        let scale = (WIDTH - NAMES - NOTES) / most;
        let end = TOP + HEIGHT * self.bars.len() as f64;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {}\" role=\"img\" font-family=\"sans-serif\" font-size=\"13\">\n\
             <title>{}</title>\n<style>text{{fill:#222}}.low{{fill:#666}}.bar{{fill:#8aa0b4}}.ours{{fill:#c2571a}}line{{stroke:#666}}\
             @media(prefers-color-scheme:dark){{text{{fill:#ddd}}.low{{fill:#aaa}}.bar{{fill:#64798c}}.ours{{fill:#e07b3c}}}}</style>\n\
             <text x=\"8\" y=\"24\" font-size=\"15\">{}</text>\n",
            end + 34.0,
            escape(&self.title),
            escape(&self.title)
        );
        for (row, bar) in self.bars.iter().enumerate() {
            let y = TOP + HEIGHT * row as f64;
            let width = if bar.value.is_finite() { (bar.value * scale).max(1.0) } else { 0.0 };
            let class = if bar.ours { "ours" } else { "bar" };
            let _ = writeln!(
                svg,
                "<text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
                 <rect class=\"{class}\" x=\"{NAMES}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                NAMES - 8.0,
                y + 16.0,
                escape(&bar.name),
                y + 3.0,
                HEIGHT - 6.0,
                NAMES + width + 6.0,
                y + 16.0,
                escape(&bar.note)
            );
        }
        if let Some(mark) = self.mark {
            let x = NAMES + mark * scale;
            let _ = writeln!(
                svg,
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{end}\" stroke-dasharray=\"3 3\"/>"
            );
        }
        let _ = writeln!(
            svg,
            "<text class=\"low\" x=\"8\" y=\"{:.0}\" font-size=\"10\">{}</text>\n</svg>",
            end + 22.0,
            escape(&self.below)
        );
        svg
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(name: &str, value: f64, ours: bool) -> Bar {
        Bar { name: name.into(), value, note: format!("{value:.2}"), ours }
    }

    #[test]
    fn bars_are_as_long_as_their_values_and_the_longest_fills_the_picture() {
        let bars = Bars {
            title: "a < b".into(),
            below: "here & now".into(),
            bars: vec![bar("one", 2.0, true), bar("two", 1.0, false)],
            mark: Some(1.0),
        };
        let svg = bars.svg();
        assert!(svg.contains("class=\"ours\" x=\"300\" y=\"47.0\" width=\"490.0\""), "{svg}");
        assert!(svg.contains("class=\"bar\" x=\"300\" y=\"71.0\" width=\"245.0\""), "{svg}");
        assert!(svg.contains("x1=\"545.0\"") && svg.contains("a &lt; b") && svg.contains("here &amp; now"));
    }

    #[test]
    fn what_was_not_measured_has_no_length() {
        let bars = Bars {
            title: String::new(),
            below: String::new(),
            bars: vec![bar("x", f64::NAN, false)],
            mark: None,
        };
        assert!(bars.svg().contains("width=\"0.0\""));
    }
}
