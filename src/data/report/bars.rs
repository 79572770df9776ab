//! Nested bars: a whole above its parts, each as wide as its share.

use super::chart::color;
use super::escape;

/// A bar with the bars below it.
#[derive(Debug, Clone)]
pub struct Bars {
    /// Its name.
    pub name: String,
    /// What it shows when pointed at, behind its name.
    pub note: String,
    /// What its width stands for.
    pub value: f64,
    /// Its parts; they need not add up to it.
    pub below: Vec<Bars>,
}

const WIDTH: f64 = 960.0;
const ROW: f64 = 24.0;
/// Bars that are narrower are left out.
const NARROWEST: f64 = 0.7;
const LETTER: f64 = 6.6;
/// Room left of a name.
const PAD: f64 = 5.0;

impl Bars {
    /// The bars as an SVG document, which HTML can hold as it is.
    pub fn svg(&self) -> String {
        let mut out = String::new();
        let rows = self.draw(&mut out, 0.0, WIDTH, 0, 0);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {}\" role=\"img\" \
             font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"#fff\"><title>{}</title>{out}</svg>",
            rows as f64 * ROW,
            escape(&self.name)
        )
    }

    /// Draws this bar and those below it; the number of rows down to the lowest.
    fn draw(&self, out: &mut String, left: f64, width: f64, row: usize, number: usize) -> usize {
        let top = row as f64 * ROW;
        let (name, note) = (escape(&self.name), escape(&self.note));
        *out += &format!(
            "<g><title>{name}: {note}</title><rect x=\"{left:.1}\" y=\"{top}\" width=\"{:.1}\" height=\"{}\" rx=\"2\" \
             fill=\"{}\"/>",
            (width - 0.5).max(0.2),
            ROW - 2.0,
            color(number)
        );
        let letters = ((width - 2.0 * PAD) / LETTER).max(0.0) as usize;
        if letters >= 3 {
            let whole = self.name.chars().count() <= letters;
            let shown = if whole { letters } else { letters - 1 };
            let text: String = self.name.chars().take(shown).collect();
            let end = if whole { "" } else { "…" };
            *out += &format!(
                "<text x=\"{:.1}\" y=\"{}\">{}{end}</text>",
                left + PAD,
                top + 15.0,
                escape(&text)
            );
        }
        *out += "</g>";
        let mut lowest = row + 1;
        let mut at = left;
        for (i, below) in self.below.iter().enumerate() {
            let share = if self.value > 0.0 { below.value / self.value } else { 0.0 };
            let part = width * share;
            if part >= NARROWEST {
                // Parts of the whole have colors of their own, and hand them down.
                let number = if row == 0 { i + 1 } else { number };
                lowest = lowest.max(below.draw(out, at, part, row + 1, number));
            }
            at += part;
        }
        lowest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(name: &str, value: f64, below: Vec<Bars>) -> Bars {
        Bars { name: name.into(), note: String::new(), value, below }
    }

    #[test]
    fn parts_are_as_wide_as_their_shares_and_slivers_are_left_out() {
        let parts =
            vec![bar("half", 50.0, vec![bar("a<b", 25.0, vec![])]), bar("sliver", 0.01, vec![])];
        let svg = bar("all", 100.0, parts).svg();
        assert_eq!(svg.matches("<rect").count(), 3);
        assert!(svg.contains("viewBox=\"0 0 960 72\""), "three rows: {svg}");
        for width in ["959.5", "479.5", "239.5"] {
            assert!(svg.contains(&format!("width=\"{width}\"")), "{width}: {svg}");
        }
        assert!(svg.contains(">a&lt;b</text>"));
        assert!(!bar("none", 0.0, vec![bar("a", 0.0, vec![])]).svg().contains("NaN"));
    }
}
