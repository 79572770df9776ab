//! An evaluation in tables, for a terminal and for a page.

use super::VERSIONS;
use super::examples::Example;
use super::score::{Evaluation, SetResult, Tally};
use crate::Result;
use crate::data::report::{Chart, Page, Picture, Series, Table, Tile, Word, number};

/// What was evaluated, in words.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The model.
    pub model: String,
    /// Who reads; none without a judge.
    pub judge: Option<String>,
    /// What computes.
    pub adapter: String,
}

/// The tables that answer what was asked: nearness, readability, and what was left out.
pub fn tables(evaluation: &Evaluation) -> Vec<Table> {
    let all = [
        nearness(evaluation),
        readability(evaluation),
        test(evaluation),
        by_length(evaluation),
        left_out(evaluation),
    ];
    all.into_iter().filter(|t| !t.is_empty()).collect()
}

/// Sets with images.
fn sets(evaluation: &Evaluation) -> Vec<&SetResult> {
    evaluation.sets.iter().filter(|s| s.images > 0).collect()
}

fn nearness(evaluation: &Evaluation) -> Table {
    let columns = ["images", "PSNR bicubic", "PSNR SR", "SSIM bicubic", "SSIM SR"];
    let mut table = Table::new("EditDistance to the true images", &["set"], &columns);
    let cells = |name: &str, images: usize, [low, sr]: [super::EditDistance; 2]| {
        let (psnr, ssim) = (|v| number(v, 2), |v| number(v, 4));
        let figures = [psnr(low.psnr), psnr(sr.psnr), ssim(low.ssim), ssim(sr.ssim)];
        [name.to_string(), images.to_string()].into_iter().chain(figures)
    };
    let sets = sets(evaluation);
    for s in &sets {
        table.row(cells(&s.name, s.images, [s.bicubic, s.super_resolved]));
    }
    if sets.len() > 1 {
        table.total(cells("mean of sets", evaluation.images(), evaluation.nearness()));
    }
    table
}

/// `81.2 (78.9–83.3)`.
fn share(tally: &Tally, version: usize) -> String {
    let score = tally.score(version);
    let percent = |v: f64| number(100.0 * v, 1);
    let (low, high) = score.interval;
    format!("{} ({}–{})", percent(score.accuracy), percent(low), percent(high))
}

fn error_rate(tally: &Tally, version: usize) -> String {
    number(100.0 * tally.score(version).character_error_rate.unwrap_or(f64::NAN), 1)
}

fn readability(evaluation: &Evaluation) -> Table {
    let columns = ["words", "LR", "SR", "HR", "CER LR", "CER SR", "CER HR"];
    let mut table = Table::new("Words read right, % (95 % interval)", &["set"], &columns);
    let cells = |name: &str, t: &Tally| {
        let mut cells = vec![name.to_string(), t.words.to_string()];
        cells.extend((0..3).map(|i| share(t, i)));
        cells.extend((0..3).map(|i| error_rate(t, i)));
        cells
    };
    let sets = sets(evaluation);
    for s in &sets {
        if let Some(r) = &s.readability {
            table.row(cells(&s.name, &r.total()));
        }
    }
    if let (Some(all), true) = (evaluation.readability(), sets.len() > 1) {
        table.total(cells("all words", &all.total()));
    }
    if let Some(weighted) = evaluation.weighted_accuracy() {
        let mut cells = vec!["average as in the paper".into(), String::new()];
        cells.extend(weighted.map(|w| number(100.0 * w, 1)));
        table.total(cells);
    }
    table
}

/// `0.031`, `< 0.001`.
fn probability(p: f64) -> String {
    if p < 0.001 { "< 0.001".into() } else { number(p, 3) }
}

fn test(evaluation: &Evaluation) -> Table {
    let columns = ["only SR right", "only LR right", "p"];
    let mut table = Table::new("SR against LR, word by word (McNemar, exact)", &["set"], &columns);
    let cells = |name: &str, t: &Tally| {
        [name.to_string(), t.only_sr.to_string(), t.only_lr.to_string(), probability(t.p())]
    };
    let sets = sets(evaluation);
    for s in &sets {
        if let Some(r) = &s.readability {
            table.row(cells(&s.name, &r.total()));
        }
    }
    if let (Some(all), true) = (evaluation.readability(), sets.len() > 1) {
        table.total(cells("all words", &all.total()));
    }
    table
}

fn by_length(evaluation: &Evaluation) -> Table {
    let columns = ["words", "LR", "SR", "HR"];
    let mut table =
        Table::new("Words read right by length, % (95 % interval)", &["characters"], &columns);
    for (length, tally) in evaluation.readability().iter().flat_map(|r| &r.0) {
        let mut cells = vec![length.to_string(), tally.words.to_string()];
        cells.extend((0..3).map(|i| share(tally, i)));
        table.row(cells);
    }
    table
}

fn left_out(evaluation: &Evaluation) -> Table {
    let mut table = Table::new("Samples out of the ordinary", &["set", "what"], &["samples"]);
    for s in &evaluation.sets {
        for (reason, n) in &s.left_out {
            table.row([s.name.clone(), format!("left out: {reason}"), n.to_string()]);
        }
        for (kind, n) in &s.unusual_labels {
            table.row([s.name.clone(), format!("counted: label {kind}"), n.to_string()]);
        }
    }
    table
}

/// The whole evaluation as a page.
///
/// # Errors
/// A picture that cannot be encoded.
pub fn page(evaluation: &Evaluation, subject: &Subject) -> Result<Page> {
    let judge = subject.judge.as_deref().map_or(String::new(), |j| format!(", read by {j}"));
    let words = evaluation.images();
    let lead = format!("{words} words{judge}. Computed on {}.", subject.adapter);
    let mut page = Page::new(&format!("Evaluation of {}", subject.model), &lead);
    page.tiles(&tiles(evaluation));
    page.section("EditDistance").table(&nearness(evaluation)).note(
        "PSNR in dB of batches of 64 images in a fixed order, the mean over batches; SSIM with an 11×11 Gaussian window. \
         Both on values that are not clamped, against 128×32 originals. Bicubic is the plain enlargement of the same input.",
    );
    if let Some(all) = evaluation.readability() {
        page.section("WordAccuracy").table(&readability(evaluation)).note(
            "A word counts as right when the reading equals the label, both in lower case and without anything but 0-9 and \
             a-z. CER: edits for each 100 characters of the labels. Intervals: Wilson, 95 %.",
        );
        page.table(&test(evaluation)).note(
            "p is the probability that luck alone would make two equally good versions differ as much as this.",
        );
        page.section("By length of the word");
        if all.0.len() > 1 {
            page.chart(
                &lengths(&all.0),
                "Shaded: 95 % intervals. Lengths with few words say little.",
            );
        }
        page.table(&by_length(evaluation));
    }
    let kinds = [
        ("Best", "Where super-resolution gains most over bicubic.", &evaluation.examples.best),
        ("Worst", "Where it loses most.", &evaluation.examples.worst),
        (
            "Most changed",
            "Where its image is furthest from the bicubic one, for better or worse.",
            &evaluation.examples.changed,
        ),
    ];
    for (title, text, examples) in kinds.iter().filter(|k| !k.2.is_empty()) {
        let words: Vec<Word> = examples.iter().map(word).collect();
        page.section(title).text(text).words(&words)?;
    }
    let table = left_out(evaluation);
    if !table.is_empty() {
        page.section("Samples").table(&table);
    }
    Ok(page)
}

fn tiles(evaluation: &Evaluation) -> Vec<Tile> {
    let mut tiles = Vec::new();
    if let Some(all) = evaluation.readability() {
        let total = all.total();
        let percent = |i| format!("{} %", number(100.0 * total.score(i).accuracy, 1));
        tiles.push(Tile {
            value: percent(1),
            name: "of the words read right in SR".into(),
            note: format!("{} in LR, {} in HR", percent(0), percent(2)),
        });
    }
    let [low, sr] = evaluation.nearness();
    tiles.push(Tile {
        value: format!("{} dB", number(sr.psnr, 2)),
        name: "PSNR of SR".into(),
        note: format!("{} dB bicubic", number(low.psnr, 2)),
    });
    tiles.push(Tile {
        value: number(sr.ssim, 4),
        name: "SSIM of SR".into(),
        note: format!("{} bicubic", number(low.ssim, 4)),
    });
    tiles
}

/// Accuracy by length, a line for each version.
fn lengths(by_length: &std::collections::BTreeMap<usize, Tally>) -> Chart {
    let chart = Chart::new("Words read right", "characters", "%").range(0.0, 100.0);
    VERSIONS.iter().enumerate().fold(chart, |chart, (i, name)| {
        let scores = by_length.iter().map(|(length, t)| (*length as f64, t.score(i)));
        chart.series(Series {
            name: name.to_string(),
            points: scores.clone().map(|(x, s)| (x, 100.0 * s.accuracy)).collect(),
            band: scores.map(|(_, s)| (100.0 * s.interval.0, 100.0 * s.interval.1)).collect(),
        })
    })
}

fn word(example: &Example) -> Word<'_> {
    let [low, sr] = example.psnr;
    let images = [&example.lr, &example.sr, &example.hr];
    let picture = |(i, image): (usize, _)| Picture {
        name: VERSIONS[i],
        image,
        reading: example.readings.as_ref().map(|r| (r[i].0.clone(), r[i].1 == 0)),
    };
    Word {
        title: example.label.clone(),
        note: format!(
            "{} {} · PSNR {} → {} dB",
            example.set,
            example.index + 1,
            number(low, 1),
            number(sr, 1)
        ),
        pictures: images.into_iter().enumerate().map(picture).collect(),
    }
}
