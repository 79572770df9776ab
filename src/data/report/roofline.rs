//! What an adapter can do at most, and what kernels make of it: operations a second over operations for each byte.

use super::chart::{Axis, GRID, INK, SOFT, color};
use super::escape;

/// A roofline plot.
#[derive(Debug, Clone)]
pub struct Roofline {
    /// Operations a second at most.
    pub flops: f64,
    /// Bytes a second at most.
    pub bandwidth: f64,
    /// The kernels; what is not above 0 on both axes is left out.
    pub points: Vec<RooflinePoint>,
}

/// A kernel on the plot.
#[derive(Debug, Clone)]
pub struct RooflinePoint {
    /// Its name, an operation and a shape. Dots of one operation have one color.
    pub name: String,
    /// Operations for each byte.
    pub intensity: f64,
    /// Operations a second.
    pub flops: f64,
}

const SIZE: (f64, f64) = (960.0, 620.0);
/// Left, top, right and bottom of the field.
const FIELD: [f64; 4] = [64.0, 40.0, 940.0, 572.0];
/// Width of a letter and height of a line of labels.
const LETTER: (f64, f64) = (5.2, 10.0);
/// Letters of a label at most.
const LONGEST: usize = 26;

impl RooflinePoint {
    fn operation(&self) -> &str {
        self.name.split(' ').next().unwrap_or_default()
    }

    /// The operation and what the shape is, without its numbers.
    fn label(&self) -> String {
        let what = self.name.rsplit_once(": ").map_or("", |(_, what)| what);
        let whole = format!("{} {what}", self.operation());
        let mut label: String = whole.trim_end().chars().take(LONGEST).collect();
        if whole.chars().count() > LONGEST {
            label.push('…');
        }
        label
    }
}

/// A box on the plot: left, top, right, bottom.
type Place = [f64; 4];

fn overlap(a: &Place, b: &Place) -> bool {
    a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3]
}

impl Roofline {
    /// The plot as an SVG document, which HTML can hold as it is.
    pub fn svg(&self) -> String {
        let (w, h) = SIZE;
        let [left, top, right, bottom] = FIELD;
        let good = |v: f64| v.is_finite() && v > 0.0;
        let shown = self.points.iter().filter(|p| good(p.intensity) && good(p.flops));
        let shown: Vec<&RooflinePoint> = shown.collect();
        let extent = |values: Vec<f64>| {
            let values = values.into_iter().filter(|v| good(*v));
            values.fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)))
        };
        let ridge = self.flops / self.bandwidth;
        let xs = shown.iter().map(|p| p.intensity).chain([ridge, ridge / 10.0, ridge * 10.0]);
        let giga = |flops: f64| flops / 1e9;
        let ys =
            shown.iter().map(|p| giga(p.flops)).chain([giga(self.flops), giga(self.flops) / 10.0]);
        let x = Axis::new(extent(xs.collect()), (left, right), true, 9);
        let y = Axis::new(extent(ys.collect()), (bottom, top), true, 9);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" role=\"img\" \
             font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"{SOFT}\">\
             <title>Roofline</title><rect width=\"{w}\" height=\"{h}\" rx=\"10\" fill=\"#fff\"/>"
        );
        out += &y.levels((left, right));
        for (v, label) in x.ticks() {
            let at = x.place(v);
            out += &format!(
                "<path d=\"M{at:.1} {top}V{bottom}\" stroke=\"{GRID}\"/>\
                 <text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
                bottom + 20.0
            );
        }
        out += &format!(
            "<text x=\"{right}\" y=\"{}\" text-anchor=\"end\">operations for each byte</text>\
             <text x=\"{left}\" y=\"{}\">GFLOP/s</text>",
            h - 10.0,
            top - 12.0
        );
        let (roofs, taken) = self.roofs(&x, &y);
        out + &roofs + &labeled(&shown, &x, &y, taken) + "</svg>"
    }

    /// The two lines, where they bound, with their values, and the places that these take.
    fn roofs(&self, x: &Axis, y: &Axis) -> (String, Vec<Place>) {
        let [.., right, _] = FIELD;
        let ridge = self.flops / self.bandwidth;
        let (low, high) = y.ends();
        let (peak, rate) = (self.flops / 1e9, self.bandwidth / 1e9);
        if !ridge.is_finite() || ridge <= 0.0 {
            return (String::new(), Vec::new());
        }
        // The slanted line begins where it enters the field, at the left or at the bottom.
        let from = x.ends().0.max(low / rate);
        let (px, py) = (x.place(ridge), y.place(peak.min(high)));
        let (sx, sy) = (x.place(from), y.place(from * rate));
        let (mx, my) = (f64::midpoint(sx, px) - 10.0, f64::midpoint(sy, py) - 4.0);
        let text = |at: (f64, f64), text: String| {
            let place = [at.0 - 8.0 * text.chars().count() as f64, at.1 - 12.0, at.0, at.1 + 3.0];
            let text = format!(
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"{INK}\">{text}</text>",
                at.0, at.1
            );
            (text, place)
        };
        let (peak, peak_place) = text((right - 4.0, py - 8.0), format!("{peak:.0} GFLOP/s"));
        let (rate, rate_place) = text((mx, my), format!("{rate:.1} GB/s"));
        let style = format!("fill=\"none\" stroke=\"{INK}\" stroke-width=\"2\"");
        let line = format!("<path d=\"M{sx:.1} {sy:.1}L{px:.1} {py:.1}H{right}\" {style}/>");
        (line + &peak + &rate, vec![peak_place, rate_place])
    }
}

/// Dots, and labels where there is room for them.
fn labeled(points: &[&RooflinePoint], x: &Axis, y: &Axis, roofs: Vec<Place>) -> String {
    let [left, top, right, bottom] = FIELD;
    let mut operations: Vec<&str> = Vec::new();
    let at = |p: &RooflinePoint| (x.place(p.intensity), y.place(p.flops / 1e9));
    let around = |(px, py): (f64, f64)| [px - 4.0, py - 4.0, px + 4.0, py + 4.0];
    let mut taken = roofs;
    taken.extend(points.iter().map(|p| around(at(p))));
    let (mut dots, mut labels) = (String::new(), String::new());
    for point in points {
        let operation = point.operation();
        let number = operations.iter().position(|o| *o == operation).unwrap_or_else(|| {
            operations.push(operation);
            operations.len() - 1
        });
        let (color, (px, py)) = (color(number), at(point));
        dots += &format!(
            "<circle cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"4\" fill=\"{color}\" fill-opacity=\"0.8\">\
             <title>{}: {:.2} GFLOP/s</title></circle>",
            escape(&point.name),
            point.flops / 1e9
        );
        let label = point.label();
        let (width, height) = (LETTER.0 * label.chars().count() as f64, LETTER.1);
        let beside = |dx: f64, dy: f64| {
            let (l, t) = (px + dx, py + dy - height / 2.0);
            [l, t, l + width, t + height]
        };
        let places = [
            beside(7.0, 0.0),
            beside(-7.0 - width, 0.0),
            beside(-width / 2.0, -10.0),
            beside(-width / 2.0, 10.0),
            beside(7.0, -9.0),
            beside(7.0, 9.0),
        ];
        let inside = |p: &Place| p[0] >= left && p[1] >= top && p[2] <= right && p[3] <= bottom;
        let free = |p: &&Place| inside(p) && !taken.iter().any(|other| overlap(p, other));
        if let Some(place) = places.iter().find(free) {
            labels += &format!(
                "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"10\" fill=\"{color}\">{}</text>",
                place[0],
                place[3] - 1.5,
                escape(&label)
            );
            taken.push(*place);
        }
    }
    dots + &labels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(name: &str, intensity: f64, flops: f64) -> RooflinePoint {
        RooflinePoint { name: name.into(), intensity, flops }
    }

    #[test]
    fn every_kernel_has_a_dot_and_labels_do_not_overlap() {
        let mut points: Vec<_> =
            (0..50).map(|i| point(&format!("conv2d [{i}]: trunk"), 30.0, 1e10)).collect();
        points.push(point("<b> [1]: alone", 0.5, 1e9));
        points.push(point("layout [1]: moves data", 0.0, 0.0));
        let svg = Roofline { flops: 1e11, bandwidth: 1e10, points }.svg();
        assert_eq!(svg.matches("<circle").count(), 51);
        let labels = svg.matches(">conv2d trunk</text>").count();
        assert!((1..=6).contains(&labels), "{labels} labels of dots at one place");
        assert!(svg.contains(">&lt;b&gt; alone</text>") && !svg.contains("<b>"));
    }

    #[test]
    fn the_roofs_meet_at_the_ridge() {
        let svg = Roofline { flops: 1e11, bandwidth: 1e10, points: Vec::new() }.svg();
        // From 1 to 100 operations a byte, and from 10 to 100 GFLOP/s: 10·1 GFLOP/s at the left, the ridge in the middle.
        assert!(svg.contains("M64.0 572.0L502.0 40.0H940"), "{svg}");
        assert!(svg.contains(">100 GFLOP/s<") && svg.contains(">10.0 GB/s<"));
    }

    #[test]
    fn nothing_breaks_without_a_peak() {
        for (flops, bandwidth) in [(0.0, 0.0), (f64::NAN, 1.0), (1.0, 0.0)] {
            let points = vec![point("a b", 1.0, 1.0)];
            let svg = Roofline { flops, bandwidth, points }.svg();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{flops} {bandwidth}: {svg}");
        }
    }
}
