//! Tables and figures of the paper that are evaluations: their rows, with ours in them where there are weights.

use super::evaluation::Evaluation;
use super::notes::notes;
use super::published::{
    BICUBIC, HR, RETRAINED, SUPPLEMENT_1, SUPPLEMENT_1_JUDGES, TABLE_3, TABLE_3_JUDGES, TABLE_5,
    ours, same,
};
use super::report::{Subject, by_length, compared, compared_columns, page, table_5};
use super::run::Pictures;
use crate::Result;
use crate::data::report::{Page, Table};
use serde_json::{Value, json};

/// A table or figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exhibit {
    /// Table 3: TextZoom, every method, read by ASTER, MORAN and CRNN.
    Table3,
    /// Table 5: degraded sets of scene text.
    Table5,
    /// Figure 5: accuracy by the length of the word.
    Fig5,
    /// Table 1 of the supplement: stronger recognizers.
    Supplement1,
}

/// Where something that takes part comes from: its name in the exhibit, and its file.
pub type Origins<'a> = &'a [(String, String)];

impl Exhibit {
    /// What files and arguments call it.
    pub fn name(self) -> &'static str {
        match self {
            Exhibit::Table3 => "table3",
            Exhibit::Table5 => "table5",
            Exhibit::Fig5 => "fig5",
            Exhibit::Supplement1 => "supplement1",
        }
    }

    /// What it shows.
    pub fn title(self) -> &'static str {
        match self {
            Exhibit::Table3 => "Table 3: words of TextZoom read right",
            Exhibit::Table5 => "Table 5: words of degraded sets of scene text read right",
            Exhibit::Fig5 => "Figure 5: words of TextZoom read right, by their length",
            Exhibit::Supplement1 => "Table 1 of the supplement: stronger recognizers on TextZoom",
        }
    }

    /// Who reads in it. The paper does not say who read for Table 5; CRNN is assumed, and others read besides.
    pub fn judges(self) -> Vec<&'static str> {
        match self {
            Exhibit::Table3 | Exhibit::Fig5 => TABLE_3_JUDGES.to_vec(),
            Exhibit::Table5 => vec!["CRNN", "ASTER", "MORAN"],
            Exhibit::Supplement1 => SUPPLEMENT_1_JUDGES.to_vec(),
        }
    }

    /// Networks in it.
    pub fn methods(self) -> Vec<&'static str> {
        let networks = |rows: &'static [(&'static str, _)]| {
            rows.iter()
                .map(|row| row.0)
                .filter(|row| ![BICUBIC, HR, RETRAINED].contains(row))
                .collect()
        };
        match self {
            Exhibit::Table3 | Exhibit::Fig5 => networks(TABLE_3),
            Exhibit::Table5 => vec!["LEMMA"],
            Exhibit::Supplement1 => networks(SUPPLEMENT_1),
        }
    }

    /// Its sets, with the number of images that they have.
    pub fn sets(self) -> Vec<(&'static str, usize)> {
        match self {
            Exhibit::Table5 => TABLE_5.iter().map(|row| (row.0, row.1)).collect(),
            _ => vec![("easy", 1619), ("medium", 1411), ("hard", 1343)],
        }
    }

    /// The exhibit with our figures in it; what has no weights is there without.
    pub fn tables(self, evaluation: &Evaluation, weights: Origins) -> Vec<Table> {
        let read = |judge: &&str| evaluation.judges.iter().any(|name| same(name, judge));
        match self {
            Exhibit::Table3 => self.accuracies(TABLE_3, evaluation, weights),
            Exhibit::Supplement1 => self.accuracies(SUPPLEMENT_1, evaluation, weights),
            Exhibit::Table5 => table_5(evaluation),
            Exhibit::Fig5 => self
                .judges()
                .iter()
                .filter(|judge| read(judge))
                .filter_map(|judge| evaluation.judges.iter().position(|name| same(name, judge)))
                .map(|j| by_length(evaluation, j))
                .collect(),
        }
    }

    fn accuracies(
        self,
        rows: &[(&'static str, [[f64; 4]; 3])],
        evaluation: &Evaluation,
        weights: Origins,
    ) -> Vec<Table> {
        let columns = compared_columns();
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        let mut tables = Vec::new();
        for (j, judge) in self.judges().into_iter().enumerate() {
            let reader = file_of(judge, weights).map_or("no weights".into(), String::from);
            let caption = format!("{judge} ({reader}), %");
            let mut table = Table::new(&caption, &["method", "weights"], &columns);
            for (row, published) in rows {
                let from = match *row {
                    BICUBIC | HR => "",
                    RETRAINED => file_of("LEMMA", weights).unwrap_or(MISSING),
                    method => file_of(method, weights).unwrap_or(MISSING),
                };
                let figures = ours(evaluation, row, judge).unwrap_or_default();
                let figures = compared(figures, published[j]);
                table.row([row.to_string(), from.into()].into_iter().chain(figures));
            }
            tables.push(table);
        }
        tables
    }

    /// What is missing to fill it, a line each.
    pub fn missing(self, weights: Origins, sets: &[&str]) -> Vec<String> {
        let without = |name: &&str| file_of(name, weights).is_none();
        let methods = self.methods().into_iter().filter(without).map(|m| format!("weights of {m}"));
        let judges =
            self.judges().into_iter().filter(without).map(|j| format!("weights of {j}, who reads"));
        let absent = self.sets().into_iter().filter(|(set, _)| !sets.contains(set));
        methods.chain(judges).chain(absent.map(|(set, _)| format!("the set {set}"))).collect()
    }

    /// The exhibit in Markdown.
    pub fn markdown(
        self,
        evaluation: &Evaluation,
        subject: &Subject,
        weights: Origins,
        missing: &[String],
    ) -> String {
        let mut out = format!("# {}\n\nComputed on {}.\n", self.title(), subject.adapter);
        for table in self.tables(evaluation, weights) {
            out += &format!("\n{}", table.markdown());
        }
        if !missing.is_empty() {
            out += "\n## Missing\n\n";
            missing.iter().for_each(|line| out += &format!("- {line}\n"));
        }
        out += "\n## Rules\n\n";
        notes(evaluation).iter().for_each(|note| out += &format!("- {note}\n"));
        out
    }

    /// The exhibit as JSON, with the whole evaluation.
    pub fn json(
        self,
        evaluation: &Evaluation,
        subject: &Subject,
        weights: Origins,
        missing: &[String],
    ) -> Value {
        let origin = |(name, file): &(String, String)| json!({ "name": name, "file": file });
        let mut value = evaluation.json(subject);
        value["exhibit"] = self.name().into();
        value["title"] = self.title().into();
        value["weights"] = weights.iter().map(origin).collect();
        value["missing"] = missing.into();
        value
    }

    /// The exhibit as a page, with the whole evaluation below it.
    ///
    /// # Errors
    /// A picture that cannot be encoded.
    pub fn page(
        self,
        evaluation: &Evaluation,
        subject: &Subject,
        weights: Origins,
        missing: &[String],
        pictures: &[Pictures],
    ) -> Result<Page> {
        let mut whole = Page::new(self.title(), &format!("Computed on {}.", subject.adapter));
        for table in self.tables(evaluation, weights) {
            whole.table(&table);
        }
        if !missing.is_empty() {
            whole.section("Missing");
            missing.iter().for_each(|line| {
                whole.text(line);
            });
        }
        whole.append(&page(evaluation, subject, pictures)?);
        Ok(whole)
    }
}

const MISSING: &str = "no weights";

fn file_of<'a>(name: &str, weights: Origins<'a>) -> Option<&'a str> {
    weights.iter().find(|(own, _)| same(own, name)).map(|(_, file)| file.as_str())
}
