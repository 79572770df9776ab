//! Line charts as SVG: axes with round numbers, a legend, bands for intervals. A chart stands alone as a file.

use super::{escape, number};
use std::fmt::Write;

const SIZE: (f64, f64) = (960.0, 360.0);
/// Left, top, right and bottom of what the lines are drawn in.
const FIELD: [f64; 4] = [64.0, 56.0, 940.0, 312.0];
pub(super) const INK: &str = "#1c1c1e";
pub(super) const SOFT: &str = "#6e6e73";
pub(super) const GRID: &str = "#e0e0dc";
const COLORS: [&str; 6] = ["#8a8a90", "#2f6fdb", "#2b9a66", "#c8652f", "#8455c9", "#b8912a"];

/// The color of a figure's part.
pub(super) fn color(number: usize) -> &'static str {
    COLORS[number % COLORS.len()]
}

/// Lines with no more points than these show them.
const DOTS: usize = 40;

/// Lines over one axis.
#[derive(Debug, Clone)]
pub struct Chart {
    title: String,
    x: String,
    y: String,
    log: bool,
    range: Option<(f64, f64)>,
    series: Vec<Series>,
}

/// A line of a chart.
#[derive(Debug, Clone, Default)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Points from left to right. What is not finite interrupts the line.
    pub points: Vec<(f64, f64)>,
    /// For each point the lowest and the highest value it may well have; empty for none.
    pub band: Vec<(f64, f64)>,
}

impl Chart {
    /// An empty chart with names of its axes.
    pub fn new(title: &str, x: &str, y: &str) -> Self {
        let [title, x, y] = [title, x, y].map(str::to_string);
        Chart { title, x, y, log: false, range: None, series: Vec::new() }
    }

    /// Makes the upright axis logarithmic; what is not above 0 is left out.
    pub fn logarithmic(mut self) -> Self {
        self.log = true;
        self
    }

    /// Fixes the ends of the upright axis.
    pub fn range(mut self, low: f64, high: f64) -> Self {
        self.range = Some((low, high));
        self
    }

    /// Adds a line.
    pub fn line(self, name: &str, points: Vec<(f64, f64)>) -> Self {
        self.series(Series { name: name.into(), points, band: Vec::new() })
    }

    /// Adds a line with its band.
    pub fn series(mut self, series: Series) -> Self {
        self.series.push(series);
        self
    }

    /// The chart as an SVG document, which HTML can hold as it is.
    pub fn svg(&self) -> String {
        let (w, h) = SIZE;
        let [left, top, right, bottom] = FIELD;
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" role=\"img\" \
             font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"{SOFT}\">\
             <title>{0}</title><rect width=\"{w}\" height=\"{h}\" rx=\"10\" fill=\"#fff\"/>\
             <text x=\"{left}\" y=\"30\" font-size=\"15\" font-weight=\"600\" fill=\"{INK}\">{0}</text>",
            escape(&self.title)
        );
        let (xs, ys) = (self.extent(|p| p.0, false), self.extent(|p| p.1, self.log));
        let x = Axis::new(xs, (left, right), false, 9);
        let y = Axis::new(self.range.unwrap_or(ys), (bottom, top), self.log, 5);
        out += &y.levels((left, right));
        for (v, label) in x.ticks() {
            out += &format!(
                "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
                x.place(v),
                bottom + 20.0
            );
        }
        let (xn, yn) = (escape(&self.x), escape(&self.y));
        let (below, over) = (h - 10.0, top - 8.0);
        out += &format!("<text x=\"{right}\" y=\"{below}\" text-anchor=\"end\">{xn}</text>");
        out +=
            &format!("<text x=\"{left}\" y=\"{over}\" text-anchor=\"end\" dx=\"-8\">{yn}</text>");
        for (series, color) in self.series.iter().zip(COLORS.iter().cycle()) {
            out += &series.svg(&x, &y, color);
        }
        out + &self.legend() + "</svg>"
    }

    /// Names from right to left above the field.
    fn legend(&self) -> String {
        let mut out = String::new();
        let mut at = FIELD[2];
        for (i, series) in self.series.iter().enumerate().rev() {
            let (name, color) = (escape(&series.name), COLORS[i % COLORS.len()]);
            out += &format!(
                "<text x=\"{at:.0}\" y=\"30\" text-anchor=\"end\" font-weight=\"600\" fill=\"{color}\">{name}</text>"
            );
            at -= 8.0 * series.name.chars().count() as f64 + 22.0;
        }
        out
    }

    /// Least and largest of what `of` gives. Bands may reach beyond and are cut off there.
    fn extent(&self, of: impl Fn(&(f64, f64)) -> f64, log: bool) -> (f64, f64) {
        let points = self.series.iter().flat_map(|s| &s.points).map(&of);
        let good = points.filter(|v| v.is_finite() && (!log || *v > 0.0));
        let (low, high) =
            good.fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
        if low > high { (if log { 0.1 } else { 0.0 }, 1.0) } else { (low, high) }
    }
}

impl Series {
    fn svg(&self, x: &Axis, y: &Axis, color: &str) -> String {
        let place =
            |px: f64, py: f64| (px.is_finite() && y.shows(py)).then(|| (x.place(px), y.place(py)));
        let mut out = String::new();
        if self.band.len() == self.points.len() && !self.band.is_empty() {
            let ends = self.points.iter().zip(&self.band);
            let high = ends.clone().filter_map(|(p, b)| place(p.0, b.1));
            let low = ends.rev().filter_map(|(p, b)| place(p.0, b.0));
            let corners: Vec<String> = high.chain(low).map(pair).collect();
            out += &format!(
                "<polygon points=\"{}\" fill=\"{color}\" fill-opacity=\"0.1\"/>",
                corners.join(" ")
            );
        }
        let mut path = String::new();
        let mut pen = false;
        for point in thinned(&self.points, x) {
            let placed = place(point.0, point.1);
            if let Some((px, py)) = placed {
                let letter = if pen { 'L' } else { 'M' };
                // Writing to a string does not fail.
                let _ = write!(path, "{letter}{px:.1} {py:.1}");
            }
            pen = placed.is_some();
        }
        out += &format!(
            "<path d=\"{path}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\" \
             stroke-linejoin=\"round\" stroke-linecap=\"round\"/>"
        );
        if self.points.len() <= DOTS {
            for (px, py) in self.points.iter().filter_map(|p| place(p.0, p.1)) {
                out += &format!("<circle cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"3\" fill=\"{color}\"/>");
            }
        }
        out
    }
}

fn pair((x, y): (f64, f64)) -> String {
    format!("{x:.1},{y:.1}")
}

/// Of a long line the first, lowest, highest and last point in each step of a pixel: it looks the same and stays small.
fn thinned(points: &[(f64, f64)], x: &Axis) -> Vec<(f64, f64)> {
    let columns = FIELD[2] - FIELD[0];
    if points.len() as f64 <= 4.0 * columns {
        return points.to_vec();
    }
    let same = |a: &(f64, f64), b: &(f64, f64)| x.place(a.0).floor() == x.place(b.0).floor();
    let mut out = Vec::new();
    for column in points.chunk_by(same) {
        let by = |a: &usize, b: &usize| column[*a].1.total_cmp(&column[*b].1);
        let all = 0..column.len();
        let mut keep = vec![0, column.len() - 1];
        keep.extend(all.clone().min_by(by));
        keep.extend(all.max_by(by));
        keep.sort_unstable();
        keep.dedup();
        out.extend(keep.into_iter().map(|i| column[i]));
    }
    out
}

/// From values to places.
pub(super) struct Axis {
    low: f64,
    high: f64,
    step: f64,
    from: f64,
    to: f64,
    log: bool,
}

impl Axis {
    /// An axis over `extent`, widened to round numbers, with about `ticks` of them.
    pub(super) fn new(extent: (f64, f64), (from, to): (f64, f64), log: bool, ticks: usize) -> Self {
        let (mut low, mut high) = extent;
        if log {
            (low, high) = (low.log10().floor(), high.log10().ceil());
            high = high.max(low + 1.0);
        } else if high <= low {
            (low, high) = (low - 0.5, high + 0.5);
        }
        let rough = (high - low) / ticks as f64;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .iter()
            .map(|s| s * power)
            .find(|s| *s >= rough)
            .unwrap_or(10.0 * power);
        let step = if log { step.max(1.0).round() } else { step };
        let upright = from > to;
        if upright && !log {
            (low, high) = ((low / step + 1e-9).floor() * step, (high / step - 1e-9).ceil() * step);
        }
        Axis { low, high, step, from, to, log }
    }

    fn shows(&self, v: f64) -> bool {
        v.is_finite() && (!self.log || v > 0.0)
    }

    pub(super) fn place(&self, v: f64) -> f64 {
        let v = if self.log { v.log10() } else { v };
        let share = ((v - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        self.from + share * (self.to - self.from)
    }

    /// The values at its ends.
    pub(super) fn ends(&self) -> (f64, f64) {
        if self.log { (10f64.powf(self.low), 10f64.powf(self.high)) } else { (self.low, self.high) }
    }

    /// A line across the field at each round value of a vertical axis, with its label on the left.
    pub(super) fn levels(&self, (left, right): (f64, f64)) -> String {
        let level = |(v, label): (f64, String)| {
            let at = self.place(v);
            format!(
                "<path d=\"M{left} {at:.1}H{right}\" stroke=\"{GRID}\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                left - 8.0,
                at + 4.5
            )
        };
        self.ticks().into_iter().map(level).collect()
    }

    /// Round values with their labels.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        let first = (self.low / self.step - 1e-9).ceil() as i64;
        let last = (self.high / self.step + 1e-9).floor() as i64;
        let decimals = (-self.step.log10().floor()).max(0.0) as usize;
        let tick = |i: i64| {
            let v = i as f64 * self.step;
            match v {
                v if self.log && (-4.0..=4.0).contains(&v) => {
                    (10f64.powf(v), number(10f64.powf(v), (-v).max(0.0) as usize))
                }
                v if self.log => (10f64.powf(v), format!("1e{v}").replace('-', "−")),
                v if v.abs() >= 1e5 => (v, format!("{}k", number(v / 1e3, 0))),
                v => (v, number(v, decimals)),
            }
        };
        (first..=last).map(tick).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers() {
        let labels = |low, high, log| -> Vec<String> {
            Axis::new((low, high), (100.0, 0.0), log, 5).ticks().into_iter().map(|t| t.1).collect()
        };
        assert_eq!(labels(0.0, 1.0, false), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(-3.0, 17.0, false), ["−5", "0", "5", "10", "15", "20"]);
        assert_eq!(labels(0.02, 30.0, true), ["0.01", "0.1", "1", "10", "100"]);
        assert_eq!(labels(7.0, 7.0, false).len(), 7);
    }

    #[test]
    fn gaps_interrupt_and_nothing_breaks() {
        let points =
            vec![(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0), (3.0, f64::INFINITY), (4.0, 2.0)];
        let svg = Chart::new("t", "x", "y").line("a", points).svg();
        let path = svg.split("<path d=\"").find(|p| p.contains("stroke-width")).unwrap();
        assert_eq!(path.split('"').next().unwrap().matches('M').count(), 3);
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
        for chart in
            [Chart::new("", "", ""), Chart::new("", "", "").line("a", vec![]).logarithmic()]
        {
            assert!(!chart.svg().contains("NaN"));
        }
        let zero = Chart::new("", "", "").line("a", vec![(0.0, 0.0), (1.0, -1.0)]).logarithmic();
        assert!(!zero.svg().contains("NaN") && !zero.svg().contains("inf"));
    }

    #[test]
    fn long_lines_stay_small_and_keep_their_peaks() {
        let points: Vec<_> =
            (0..1_000_000).map(|i| (f64::from(i), if i == 654_321 { 9.0 } else { 1.0 })).collect();
        let axis = Axis::new((0.0, 1e6), (FIELD[0], FIELD[2]), false, 9);
        let thin = thinned(&points, &axis);
        assert!(thin.len() < 4000 && thin.contains(&(654_321.0, 9.0)));
    }
}
