//! An evaluation as a page.

use super::Subject;
use super::tables::{
    by_length, left_out, nearness, published, published_nearness, readability, table_5, test,
    versions,
};
use crate::Result;
use crate::data::report::{Chart, Page, Picture, Series, Tile, Word, number};
use crate::eval::evaluation::Evaluation;
use crate::eval::examples::Example;
use crate::eval::notes::notes;
use crate::eval::run::Pictures;

/// The whole evaluation as a page; `pictures` are those of the [places](crate::eval::Examples::places) of its examples, in their
/// order.
///
/// # Errors
/// A picture that cannot be encoded.
pub fn page(evaluation: &Evaluation, subject: &Subject, pictures: &[Pictures]) -> Result<Page> {
    let judges = match subject.judges.is_empty() {
        true => String::new(),
        false => format!(", read by {}", subject.judges.join(", ")),
    };
    let words = evaluation.images();
    let lead = format!("{words} words{judges}. Computed on {}.", subject.adapter);
    let mut page = Page::new(&format!("Evaluation of {}", subject.models.join(", ")), &lead);
    page.tiles(&tiles(evaluation));
    page.section("Nearness").table(&nearness(evaluation));
    let seeds = evaluation.sets.iter().any(|s| s.seed.is_some());
    if seeds {
        page.section("Degraded sets");
        for table in table_5(evaluation) {
            page.table(&table);
        }
    }
    for (j, judge) in evaluation.judges.iter().enumerate().filter(|_| !seeds) {
        let Some(all) = evaluation.readability(0, j) else { continue };
        page.section(&format!("Words read right by {judge}")).table(&readability(evaluation, j));
        page.note("CER: edits for each 100 characters of the labels. Intervals: Wilson, 95 %.");
        page.table(&test(evaluation, j)).note(
            "p is the probability that luck alone would make two equally good versions differ as much as this.",
        );
        if all.0.len() > 1 {
            page.chart(
                &lengths(evaluation, j),
                "Shaded: 95 % intervals. Lengths with few words say little.",
            );
        }
        page.table(&by_length(evaluation, j));
    }
    let beside = [published(evaluation), published_nearness(evaluation)];
    if beside.iter().any(|table| !table.is_empty()) {
        page.section("Beside the published figures");
    }
    for table in beside.iter().filter(|table| !table.is_empty()) {
        page.table(table);
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
    let places = evaluation.examples.places();
    for (title, text, examples) in kinds {
        let shown = |example: &Example| {
            let own = (example.record.set.clone(), example.record.sample);
            let place = places.iter().position(|place| *place == own)?;
            word(evaluation, example, pictures.get(place)?)
        };
        let words: Vec<Word> = examples.iter().filter_map(shown).collect();
        if !words.is_empty() {
            page.section(title).text(text).words(&words)?;
        }
    }
    let table = left_out(evaluation);
    if !table.is_empty() {
        page.section("Samples").table(&table);
    }
    page.section("Rules");
    for note in notes(evaluation) {
        page.text(&note);
    }
    Ok(page)
}

fn tiles(evaluation: &Evaluation) -> Vec<Tile> {
    let mut tiles = Vec::new();
    if let Some(all) = evaluation.readability(0, 0) {
        let total = all.total();
        let percent = |i| format!("{} %", number(100.0 * total.score(i).accuracy, 1));
        tiles.push(Tile {
            value: percent(1),
            name: "of the words read right in SR".into(),
            note: format!("{} in LR, {} in HR", percent(0), percent(2)),
        });
    }
    let first = (!evaluation.methods.is_empty()).then_some(0);
    let (low, sr) = (evaluation.nearness(None), evaluation.nearness(first));
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
fn lengths(evaluation: &Evaluation, judge: usize) -> Chart {
    let chart = Chart::new("Words read right", "characters", "%").range(0.0, 100.0);
    versions(evaluation).into_iter().fold(chart, |chart, (name, method, version)| {
        let all = evaluation.readability(method, judge).unwrap_or_default();
        let scores = || all.0.iter().map(|(length, t)| (*length as f64, t.score(version)));
        chart.series(Series {
            name: name.to_string(),
            points: scores().map(|(x, s)| (x, 100.0 * s.accuracy)).collect(),
            band: scores().map(|(_, s)| (100.0 * s.interval.0, 100.0 * s.interval.1)).collect(),
        })
    })
}

/// A word with its images and what the first judge read.
fn word<'a>(
    evaluation: &'a Evaluation,
    example: &Example,
    pictures: &'a Pictures,
) -> Option<Word<'a>> {
    let record = &example.record;
    let word = record.word.as_ref()?;
    let letters = evaluation.letters;
    let reading = |text: Option<&String>| {
        let right = |text: &String| letters.of(text) == letters.of(&word.label);
        let counted = text.filter(|_| letters.counts(&word.label));
        counted.map(|text| (text.clone(), right(text)))
    };
    let shown = versions(evaluation).into_iter().map(|(name, method, version)| {
        let (image, text) = match version {
            0 => (&pictures.lr, word.lr.first()),
            1 => (&pictures.made[method], word.methods[method].readings.first()),
            _ => (&pictures.hr, word.hr.first()),
        };
        Picture { name, image, reading: reading(text) }
    });
    let psnr = [word.bicubic.psnr(), word.methods.first()?.fidelity.psnr()];
    let [low, sr] = psnr.map(|v| number(v, 1));
    Some(Word {
        title: word.label.clone(),
        note: format!("{} {} · PSNR {low} → {sr} dB", record.set, record.sample),
        pictures: shown.collect(),
    })
}
