//! Plots as inline SVG: lines over two axes, coloured by the style sheet of the page that holds them.

use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 52.0;

/// One line of a plot.
pub(crate) struct Series {
    /// Its class in the style sheet, also its name in the legend.
    pub(crate) class: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
    /// Mark each point, with this text beside it.
    pub(crate) notes: Vec<String>,
    /// Where that text goes, so that two lines don't write over each other.
    pub(crate) notes_below: bool,
}

/// A plot in the making.
pub(crate) struct Plot {
    /// Said to those who can't see it.
    pub(crate) title: String,
    pub(crate) x_label: &'static str,
    pub(crate) y_label: &'static str,
    pub(crate) x_ends: (f64, f64),
    /// Where the ticks are and what they say.
    pub(crate) x_ticks: Vec<(f64, String)>,
    /// The same; the first and last are the ends of the axis.
    pub(crate) y_ticks: Vec<(f64, String)>,
    /// Powers of ten at equal distances.
    pub(crate) y_log: bool,
    /// A line across at some x, with its label.
    pub(crate) mark: Option<(f64, String)>,
    pub(crate) series: Vec<Series>,
}

impl Plot {
    pub(crate) fn svg(&self) -> String {
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\"><title>{title}</title>\n",
            title = escape(&self.title)
        );
        self.draw(&mut svg);
        svg + "</svg>\n"
    }

    fn draw(&self, svg: &mut String) {
        let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        for (value, label) in &self.y_ticks {
            let y = self.y(*value);
            line(svg, "grid", (LEFT, y), (right, y));
            text(svg, "end", (LEFT - 8.0, y + 4.0), label);
        }
        for (value, label) in &self.x_ticks {
            let x = self.x(*value);
            line(svg, "axis", (x, bottom), (x, bottom + 5.0));
            text(svg, "middle", (x, bottom + 20.0), label);
        }
        line(svg, "axis", (LEFT, bottom), (right, bottom));
        text(svg, "middle", ((LEFT + right) / 2.0, HEIGHT - 8.0), self.x_label);
        text(svg, "start", (4.0, TOP - 10.0), self.y_label);
        if let Some((at, label)) = &self.mark {
            let x = self.x(*at);
            line(svg, "mark", (x, TOP), (x, bottom));
            text(svg, "start", (x + 6.0, bottom - 8.0), label);
        }
        for series in &self.series {
            self.draw_series(svg, series);
        }
    }

    fn draw_series(&self, svg: &mut String, series: &Series) {
        let points: Vec<_> = series.points.iter().map(|&(x, y)| (self.x(x), self.y(y))).collect();
        let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let class = series.class;
        let _ = writeln!(svg, "<polyline class=\"{class}\" points=\"{}\"/>", path.join(" "));
        for ((x, y), note) in points.iter().zip(&series.notes) {
            let note = escape(note);
            let _ = writeln!(
                svg,
                "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\"><title>{note}</title></circle>"
            );
            let beside = if series.notes_below { y + 20.0 } else { y - 11.0 };
            text(svg, "middle value", (*x, beside), &note);
        }
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * along(self.x_ends, value)
    }

    fn y(&self, value: f64) -> f64 {
        let scale = if self.y_log { f64::log10 } else { |y| y };
        let end = |tick: Option<&(f64, String)>| scale(tick.map_or(1.0, |(value, _)| *value));
        let ends = (end(self.y_ticks.first()), end(self.y_ticks.last()));
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * along(ends, scale(value))
    }
}

/// Where a value lies between the ends, 0 to 1 and never beyond.
fn along((first, last): (f64, f64), value: f64) -> f64 {
    if first < last { ((value - first) / (last - first)).clamp(0.0, 1.0) } else { 0.0 }
}

/// Ticks from 0 to `most` or a little beyond, at round numbers.
pub(crate) fn round_ticks(most: f64) -> Vec<(f64, String)> {
    let rough = most.max(1.0) / 6.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= rough).unwrap_or(rough);
    let count = (most.max(1.0) / step).ceil() as u32;
    (0..=count)
        .map(|i| f64::from(i) * step)
        .map(|tick| (tick, format!("{}", (tick * 100.0).round() / 100.0)))
        .collect()
}

/// Ticks at the powers of ten that hold everything from `least` to `most`.
pub(crate) fn log_ticks(least: f64, most: f64) -> Vec<(f64, String)> {
    let first = least.max(1e-3).log10().floor() as i32;
    let last = (most.max(1e-3).log10().ceil() as i32).max(first + 1);
    (first..=last).map(|power| 10_f64.powi(power)).map(|tick| (tick, format!("{tick}"))).collect()
}

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn line(svg: &mut String, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
    let _ = writeln!(
        svg,
        "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
    );
}

fn text(svg: &mut String, class: &str, (x, y): (f64, f64), text: &str) {
    let _ = writeln!(svg, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escape(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_hold_what_is_plotted_at_round_numbers() {
        let labels =
            |ticks: Vec<(f64, String)>| ticks.into_iter().map(|(_, label)| label).collect::<Vec<_>>();
        assert_eq!(labels(round_ticks(183.0)), ["0", "50", "100", "150", "200"]);
        assert_eq!(labels(round_ticks(0.0)), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        assert_eq!(labels(log_ticks(0.31, 2014.0)), ["0.1", "1", "10", "100", "1000", "10000"]);
        assert_eq!(labels(log_ticks(0.0, 0.0)), ["0.001", "0.01"]);
    }

    #[test]
    fn a_point_lies_where_its_tick_does_and_text_is_escaped() {
        let plot = Plot {
            title: "a < b".to_owned(),
            x_label: "x",
            y_label: "y",
            x_ends: (0.0, 10.0),
            x_ticks: round_ticks(10.0),
            y_ticks: log_ticks(1.0, 100.0),
            y_log: true,
            mark: None,
            series: vec![Series {
                class: "after",
                points: vec![(0.0, 1.0), (10.0, 100.0)],
                notes: Vec::new(),
                notes_below: false,
            }],
        };
        let svg = plot.svg();
        assert!(svg.contains("aria-label=\"a &lt; b\""), "{svg}");
        assert!(svg.contains("points=\"74.0,288.0 736.0,24.0\""), "{svg}");
    }
}
