//! A table, for a page or a terminal.

use super::escape;

/// Rows of text below a heading. Columns of numbers stand to the right.
#[derive(Debug, Clone)]
pub struct Table {
    caption: String,
    columns: Vec<String>,
    /// Columns of text; those after them hold numbers.
    text: usize,
    rows: Vec<(Vec<String>, bool)>,
}

impl Table {
    /// A table with columns of `text`, and columns of `numbers` after them.
    pub fn new(caption: &str, text: &[&str], numbers: &[&str]) -> Self {
        let columns = text.iter().chain(numbers).map(|c| c.to_string()).collect();
        Table { caption: caption.into(), columns, text: text.len(), rows: Vec::new() }
    }

    /// Adds a row; what is missing of it stays empty.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) -> &mut Self {
        self.add(cells, false)
    }

    /// Adds a row that sums up those above.
    pub fn total<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) -> &mut Self {
        self.add(cells, true)
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn add<S: Into<String>>(
        &mut self,
        cells: impl IntoIterator<Item = S>,
        total: bool,
    ) -> &mut Self {
        let mut cells: Vec<String> = cells.into_iter().map(Into::into).collect();
        cells.resize(self.columns.len(), String::new());
        self.rows.push((cells, total));
        self
    }

    /// The table in HTML.
    pub fn html(&self) -> String {
        let class = |i: usize| if i < self.text { "" } else { " class=\"n\"" };
        let cells = |tag: &str, cells: &[String]| -> String {
            let cell =
                |(i, c): (usize, &String)| format!("<{tag}{}>{}</{tag}>", class(i), escape(c));
            cells.iter().enumerate().map(cell).collect()
        };
        let rows: String = self
            .rows
            .iter()
            .map(|(row, total)| {
                let sum = if *total { " class=\"sum\"" } else { "" };
                format!("<tr{sum}>{}</tr>\n", cells("td", row))
            })
            .collect();
        let caption = match self.caption.as_str() {
            "" => String::new(),
            caption => format!("<caption>{}</caption>", escape(caption)),
        };
        format!(
            "<div class=\"wide\"><table>{caption}<thead><tr>{}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>",
            cells("th", &self.columns)
        )
    }

    /// The table in Markdown, its caption as a line before it.
    pub fn markdown(&self) -> String {
        let row = |cells: &[String]| {
            let cell = |c: &String| {
                let plain: String =
                    c.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
                let plain = plain.replace('\\', "\\\\").replace('|', "\\|");
                plain.replace('<', "&lt;")
            };
            format!("| {} |\n", cells.iter().map(cell).collect::<Vec<_>>().join(" | "))
        };
        let rule = (0..self.columns.len()).map(|i| if i < self.text { "---|" } else { "---:|" });
        let mut out = match self.caption.as_str() {
            "" => String::new(),
            caption => format!("**{caption}**\n\n"),
        };
        out += &row(&self.columns);
        out += &format!("|{}\n", rule.collect::<String>());
        self.rows.iter().for_each(|(cells, _)| out += &row(cells));
        out
    }

    /// The table for a terminal: columns in line, two spaces between them.
    pub fn plain(&self) -> String {
        let one_line = |c: &String| -> String {
            c.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
        };
        let rows: Vec<Vec<String>> = std::iter::once(&self.columns)
            .chain(self.rows.iter().map(|r| &r.0))
            .map(|row| row.iter().map(one_line).collect())
            .collect();
        let length = |s: &String| s.chars().count();
        let width = |i: usize| rows.iter().map(|r| length(&r[i])).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut out = String::new();
        if !self.caption.is_empty() {
            out += &format!("{}\n", self.caption);
        }
        for row in &rows {
            let cell = |(i, c): (usize, &String)| {
                let gap = " ".repeat(widths[i] - length(c));
                if i < self.text { format!("{c}{gap}") } else { format!("{gap}{c}") }
            };
            let line: Vec<String> = row.iter().enumerate().map(cell).collect();
            out += line.join("  ").trim_end();
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_in_line() {
        let mut table = Table::new("Sizes", &["set"], &["images", "dB"]);
        table.row(["éasy", "3", "20.5"]).total(["all", "1619"]);
        assert_eq!(table.plain(), "Sizes\nset   images    dB\néasy       3  20.5\nall     1619\n");
        table.row(["a|b<c"]);
        let md = "**Sizes**\n\n| set | images | dB |\n|---|---:|---:|\n| éasy | 3 | 20.5 |\n";
        let markdown = table.markdown();
        assert!(markdown.starts_with(md), "{markdown}");
        assert!(markdown.ends_with("| a\\|b&lt;c |  |  |\n"), "{markdown}");
        let html = table.html();
        assert!(html.contains("<tr class=\"sum\"><td>all</td><td class=\"n\">1619</td>"), "{html}");
    }
}
