//! Reports for people: one HTML file that holds everything it shows, and the figures on it.
//!
//! [`Page`] is written from top to bottom. A [`Table`] is also text for a terminal, and a [`Chart`] also a picture of its
//! own. Knows no model and no training; text given to it is shown as it is, never as markup.

mod bars;
mod chart;
mod roofline;
mod table;

pub use bars::Bars;
pub use chart::{Chart, Series};
pub use roofline::{Roofline, RooflinePoint};
pub use table::Table;

use crate::Result;
use crate::data::picture::{Format, RgbImage, encode, write_file};
use std::fmt::Write;
use std::path::Path;

const STYLE: &str = include_str!("style.css");

/// A page under construction.
#[derive(Debug, Clone)]
pub struct Page {
    title: String,
    body: String,
}

/// A large number with what it is.
#[derive(Debug, Clone)]
pub struct Tile {
    /// The number, with its unit.
    pub value: String,
    /// What it is.
    pub name: String,
    /// What to compare it with.
    pub note: String,
}

/// A word with pictures of it, for [`Page::words`].
#[derive(Debug, Clone)]
pub struct Word<'a> {
    /// What is written there.
    pub title: String,
    /// More about it, in a line.
    pub note: String,
    /// The pictures, one below the other.
    pub pictures: Vec<Picture<'a>>,
}

/// A picture with its short name and what was read in it.
#[derive(Debug, Clone)]
pub struct Picture<'a> {
    /// Short name, such as `SR`.
    pub name: &'a str,
    /// The picture.
    pub image: &'a RgbImage,
    /// What was read, and whether it is right.
    pub reading: Option<(String, bool)>,
}

impl Page {
    /// A page with a title and a line about what it shows.
    pub fn new(title: &str, lead: &str) -> Self {
        let body = format!("<h1>{}</h1>\n<p class=\"lead\">{}</p>\n", escape(title), escape(lead));
        Page { title: title.into(), body }
    }

    /// Starts a section.
    pub fn section(&mut self, title: &str) -> &mut Self {
        self.add(&format!("<h2>{}</h2>", escape(title)))
    }

    /// A paragraph.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.add(&format!("<p>{}</p>", escape(text)))
    }

    /// A paragraph of smaller importance.
    pub fn note(&mut self, text: &str) -> &mut Self {
        self.add(&format!("<p class=\"note\">{}</p>", escape(text)))
    }

    /// The numbers that matter most.
    pub fn tiles(&mut self, tiles: &[Tile]) -> &mut Self {
        let tile = |t: &Tile| {
            let [value, name, note] = [&t.value, &t.name, &t.note].map(|s| escape(s));
            format!(
                "<div class=\"tile\"><b>{value}</b><span>{name}</span><small>{note}</small></div>"
            )
        };
        let tiles: String = tiles.iter().map(tile).collect();
        self.add(&format!("<div class=\"tiles\">{tiles}</div>"))
    }

    /// A table.
    pub fn table(&mut self, table: &Table) -> &mut Self {
        self.add(&table.html())
    }

    /// A chart with a line about it.
    pub fn chart(&mut self, chart: &Chart, caption: &str) -> &mut Self {
        self.drawing(&chart.svg(), caption)
    }

    /// The SVG document of a figure of this module, with a line about it.
    pub fn drawing(&mut self, svg: &str, caption: &str) -> &mut Self {
        let caption = escape(caption);
        self.add(&format!("<figure>{svg}<figcaption>{caption}</figcaption></figure>"))
    }

    /// A picture over the whole width, with a line about it.
    ///
    /// # Errors
    /// An image without pixels.
    pub fn figure(&mut self, image: &RgbImage, caption: &str) -> Result<&mut Self> {
        let (uri, caption) = (data_uri(image)?, escape(caption));
        Ok(self.add(&format!(
            "<figure class=\"sheet\"><img src=\"{uri}\" alt=\"{caption}\"><figcaption>{caption}</figcaption></figure>"
        )))
    }

    /// Words with their pictures, side by side as the page has room.
    ///
    /// # Errors
    /// An image without pixels.
    pub fn words(&mut self, words: &[Word]) -> Result<&mut Self> {
        let mut html = String::from("<div class=\"words\">");
        for word in words {
            let (title, note) = (escape(&word.title), escape(&word.note));
            html += &format!("<div class=\"word\"><h3>{title}</h3><small>{note}</small>");
            for picture in &word.pictures {
                let (uri, name) = (data_uri(picture.image)?, escape(picture.name));
                html +=
                    &format!("<div><span>{name}</span><span><img src=\"{uri}\" alt=\"{name}\">");
                if let Some((text, right)) = &picture.reading {
                    let (class, sign) = if *right { ("good", '✓') } else { ("bad", '✗') };
                    let text = if text.is_empty() { "nothing".into() } else { escape(text) };
                    html += &format!("<em class=\"{class}\">{sign} {text}</em>");
                }
                html += "</span></div>";
            }
            html += "</div>";
        }
        Ok(self.add(&(html + "</div>")))
    }

    /// What another page shows, below this one's.
    pub fn append(&mut self, other: &Page) -> &mut Self {
        self.add(&other.body)
    }

    /// The page as one HTML document.
    pub fn html(&self) -> String {
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{}\
             <footer>lemma-gpu {}</footer>\n</body>\n</html>\n",
            escape(&self.title),
            self.body,
            env!("CARGO_PKG_VERSION")
        )
    }

    /// Writes the page, whole or not at all.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io) when writing fails, and when `path` exists and `overwrite` is off.
    pub fn write(&self, path: &Path, overwrite: bool) -> Result<()> {
        write_file(path, self.html().as_bytes(), overwrite)
    }

    fn add(&mut self, html: &str) -> &mut Self {
        self.body += html;
        self.body.push('\n');
        self
    }
}

/// Text as HTML or SVG shows it as it is, also inside quotes. Control characters become spaces.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// An image as a PNG inside a link.
///
/// # Errors
/// An image without pixels.
pub fn data_uri(image: &RgbImage) -> Result<String> {
    Ok(format!("data:image/png;base64,{}", base64(&encode(image, Format::Png)?)))
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= chunk.len() { digit.into() } else { '=' });
        }
    }
    out
}

/// A number with `decimals`, with a true minus sign; `–` for none.
pub fn number(value: f64, decimals: usize) -> String {
    let mut out = String::new();
    match value {
        v if v.is_nan() => out.push('–'),
        v if v.is_infinite() => out += if v > 0.0 { "∞" } else { "−∞" },
        // Writing to a string does not fail.
        v => drop(write!(out, "{v:.decimals$}")),
    }
    out.replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_the_standard() {
        let cases =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (plain, coded) in cases {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn nothing_that_is_shown_becomes_markup() {
        let hostile = "<script>\"'&\u{0}";
        let image = RgbImage::new(2, 1);
        let mut page = Page::new(hostile, hostile);
        let mut table = Table::new(hostile, &[hostile], &[]);
        table.row([hostile]);
        let reading = Some((hostile.to_string(), false));
        let pictures = vec![Picture { name: hostile, image: &image, reading }];
        let word = Word { title: hostile.into(), note: hostile.into(), pictures };
        let tile = Tile { value: hostile.into(), name: hostile.into(), note: hostile.into() };
        page.section(hostile).text(hostile).note(hostile).table(&table).tiles(&[tile]);
        page.chart(&Chart::new(hostile, hostile, hostile).line(hostile, vec![(0.0, 1.0)]), hostile);
        page.figure(&image, hostile).unwrap().words(&[word]).unwrap();
        let html = page.html();
        assert!(!html.contains("<script") && !html.contains('\u{0}'));
        assert!(!html.contains("http:") && !html.contains("https:") || html.contains("www.w3.org"));
        assert_eq!(html.matches("data:image/png;base64,").count(), 2);
        assert_eq!(html.matches("<div").count(), html.matches("</div>").count());
    }

    #[test]
    fn numbers_in_words() {
        let said = [1.25, -0.5, f64::INFINITY, f64::NAN].map(|v| number(v, 1));
        assert_eq!(said, ["1.2", "−0.5", "∞", "–"]);
    }
}
