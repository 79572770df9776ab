//! The paper's ablations: rows whose networks are trained one after the other, as the settings that make them.

use super::evaluation::Evaluation;
use super::published::{COLUMNS, ours};
use super::report::{compared, compared_columns, readability, test};
use super::score::Nearness;
use crate::data::report::{Table, number};

/// A table of ablations. Which number it has in the paper was taken from the order of the ablations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ablation {
    /// Table 1: location attention and feature selection.
    Location,
    /// Table 2: alignment of image and text.
    Alignment,
    /// Table 4: the three modules, one after the other.
    Modules,
    /// Table 6: expansion by convolutions, and pixels to regions.
    Expansion,
    /// Table 7: the recognizer inside.
    Prior,
    /// The number of selected positions.
    K,
    /// The weight of the text-focus loss.
    Alpha,
}

/// A row: a network, as it differs from the whole one.
#[derive(Debug, Clone, Copy)]
pub struct Trial {
    /// What the row is called.
    pub name: &'static str,
    /// Settings of `train` that make it.
    pub settings: &'static [&'static str],
    /// Published accuracies with CRNN in percent, easy, medium, hard and average; not a number where only the average is.
    pub accuracy: [f64; 4],
    /// Published PSNR and SSIM.
    pub nearness: Option<(f64, f64)>,
}

const WHOLE: [f64; 4] = [67.1, 58.8, 40.6, 56.3];

const fn trial(name: &'static str, settings: &'static [&'static str], accuracy: [f64; 4]) -> Trial {
    Trial { name, settings, accuracy, nearness: None }
}

const fn average(average: f64) -> [f64; 4] {
    [f64::NAN, f64::NAN, f64::NAN, average]
}

const fn and(trial: Trial, psnr: f64, ssim: f64) -> Trial {
    Trial { nearness: Some((psnr, ssim)), ..trial }
}

const NO_ATTENTION: &str = "lemma.guidance.location_attention=false";
const NO_SELECTION: &str = "lemma.guidance.feature_selection=false";
const NO_EXPANSION: &str = "lemma.guidance.expansion_conv=false";
const NO_REGION: &str = "lemma.guidance.pixel_to_region=false";
const NO_ALIGNMENT: &str = "lemma.guidance.alignment=none";
const TEXT_ALONE: &str = "lemma.guidance.alignment=text";
const ONE_DIRECTION: &str = "lemma.guidance.alignment=uni";
const CONCAT: &str = "lemma.fusion=concat";

impl Ablation {
    /// What arguments and files call it.
    pub fn name(self) -> &'static str {
        match self {
            Ablation::Location => "table1",
            Ablation::Alignment => "table2",
            Ablation::Modules => "table4",
            Ablation::Expansion => "table6",
            Ablation::Prior => "table7",
            Ablation::K => "k",
            Ablation::Alpha => "alpha",
        }
    }

    /// What it shows.
    pub fn title(self) -> &'static str {
        match self {
            Ablation::Location => "Location attention and feature selection",
            Ablation::Alignment => "Alignment of image and text",
            Ablation::Modules => "The modules, one after the other",
            Ablation::Expansion => "Expansion by convolutions, and pixels to regions",
            Ablation::Prior => "The recognizer inside",
            Ablation::K => "Number of selected positions",
            Ablation::Alpha => "Weight of the text-focus loss",
        }
    }

    /// Its rows.
    pub fn trials(self) -> Vec<Trial> {
        match self {
            Ablation::Location => vec![
                trial("neither", &[NO_ATTENTION, NO_SELECTION], [60.1, 50.5, 38.0, 50.2]),
                trial("selection", &[NO_ATTENTION], [62.1, 51.2, 38.2, 51.3]),
                trial("attention", &[NO_SELECTION], [65.0, 55.3, 39.8, 54.1]),
                trial("both", &[], WHOLE),
            ],
            Ablation::Alignment => vec![
                trial("text alone", &[TEXT_ALONE], [63.5, 53.4, 37.4, 52.2]),
                trial("one direction", &[ONE_DIRECTION], [64.2, 56.7, 41.2, 54.5]),
                trial("both directions", &[], WHOLE),
            ],
            Ablation::Modules => vec![
                trial(
                    "none",
                    &[NO_ATTENTION, NO_SELECTION, NO_REGION, NO_ALIGNMENT, CONCAT],
                    average(50.0),
                ),
                trial("location", &[NO_ALIGNMENT, CONCAT], average(54.6)),
                trial("location, alignment", &[CONCAT], average(55.5)),
                trial("location, alignment, fusion", &[], WHOLE),
            ],
            Ablation::Expansion => vec![
                trial("neither", &[NO_EXPANSION, NO_REGION], average(54.2)),
                trial("region", &[NO_EXPANSION], average(54.7)),
                trial("expansion", &[NO_REGION], average(51.6)),
                trial("both", &[], WHOLE),
            ],
            Ablation::Prior => vec![
                trial("CRNN", &["lemma.prior=crnn"], average(55.2)),
                trial("ABINet", &[], WHOLE),
            ],
            Ablation::K => vec![
                and(
                    trial("300", &["lemma.guidance.select_num=300"], [65.5, 54.8, 40.4, 54.3]),
                    20.4,
                    0.7568,
                ),
                and(trial("500", &[], WHOLE), 20.9, 0.7729),
                and(
                    trial("700", &["lemma.guidance.select_num=700"], [64.8, 56.3, 40.2, 54.5]),
                    20.9,
                    0.7633,
                ),
                // All of 1024, which is Table 1's network with attention alone.
                and(trial("1024", &[NO_SELECTION], [65.0, 55.3, 39.8, 54.1]), 21.0, 0.7667),
            ],
            Ablation::Alpha => vec![
                and(trial("0.0", &["loss.text_focus=0.0"], [58.7, 50.7, 36.1, 49.2]), 20.8, 0.7744),
                and(trial("0.2", &["loss.text_focus=0.2"], [63.7, 54.5, 39.3, 53.2]), 20.8, 0.7670),
                and(trial("0.5", &["loss.text_focus=0.5"], WHOLE), 20.9, 0.7729),
                and(trial("0.7", &["loss.text_focus=0.7"], [65.5, 55.6, 40.2, 54.5]), 20.9, 0.7736),
                and(trial("1.0", &["loss.text_focus=1.0"], [64.4, 53.9, 39.5, 53.3]), 20.8, 0.7744),
            ],
        }
    }

    /// The table with what an evaluation of its networks, by the names of their rows, found; one for each judge.
    pub fn tables(self, evaluation: &Evaluation) -> Vec<Table> {
        let mut columns = compared_columns();
        columns.extend(["PSNR", "paper", "SSIM", "paper"].map(String::from));
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        let table = |judge: &String| {
            let caption = format!("{}, read by {judge}, %", self.title());
            let mut table = Table::new(&caption, &["row"], &columns);
            for trial in self.trials() {
                let mine = ours(evaluation, trial.name, judge).unwrap_or([None; COLUMNS.len()]);
                let mut cells = vec![trial.name.to_string()];
                cells.extend(compared(mine, trial.accuracy));
                let method = evaluation.methods.iter().position(|name| name == trial.name);
                let none = Nearness { psnr: f64::NAN, ssim: f64::NAN };
                let near = method.and_then(|m| evaluation.weighted_nearness(Some(m)));
                let (near, paper) =
                    (near.unwrap_or(none), trial.nearness.unwrap_or((f64::NAN, f64::NAN)));
                cells.extend([number(near.psnr, 2), number(paper.0, 1)]);
                cells.extend([number(near.ssim, 4), number(paper.1, 4)]);
                table.row(cells);
            }
            table
        };
        evaluation.judges.iter().map(table).collect()
    }

    /// What an evaluation of its networks found of the words of each set: how many were read right, with intervals, and the rows
    /// against each other, word by word.
    pub fn details(self, evaluation: &Evaluation) -> Vec<Table> {
        let judges = 0..evaluation.judges.len();
        judges.flat_map(|judge| [readability(evaluation, judge), test(evaluation, judge)]).collect()
    }
}
