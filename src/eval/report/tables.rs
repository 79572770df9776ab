//! An evaluation in tables.

use crate::data::metrics::mcnemar;
use crate::data::report::{Table, number};
use crate::eval::evaluation::{Evaluation, SetResult};
use crate::eval::published::{Beside, COLUMNS, beside, nearness_beside};
use crate::eval::score::{LONGEST_BIN, Nearness, Tally, WordAccuracy};
use crate::eval::seeds::{OverSeeds, Spread, over_seeds};

/// The tables that answer what was asked: nearness, readability, what was published, and what was left out.
pub fn tables(evaluation: &Evaluation) -> Vec<Table> {
    let mut all = vec![nearness(evaluation)];
    if evaluation.sets.iter().any(|s| s.seed.is_some()) {
        all.extend(table_5(evaluation));
    } else {
        for judge in 0..evaluation.judges.len() {
            all.push(readability(evaluation, judge));
            all.push(test(evaluation, judge));
            all.push(by_length(evaluation, judge));
        }
    }
    all.push(published(evaluation));
    all.push(published_nearness(evaluation));
    all.push(left_out(evaluation));
    all.into_iter().filter(|t| !t.is_empty()).collect()
}

/// Names of what is read: LR, each method, HR. One method alone is called SR.
pub(super) fn versions(evaluation: &Evaluation) -> Vec<(&str, usize, usize)> {
    let names = match evaluation.methods.as_slice() {
        [_] => vec!["SR"],
        several => several.iter().map(String::as_str).collect(),
    };
    let methods = names.into_iter().enumerate().map(|(m, name)| (name, m, 1));
    [("LR", 0, 0)].into_iter().chain(methods).chain([("HR", 0, 2)]).collect()
}

/// A caption for what a judge read.
fn caption(evaluation: &Evaluation, what: &str, judge: usize) -> String {
    format!("{}: {what}", evaluation.judges[judge])
}

pub(super) fn nearness(evaluation: &Evaluation) -> Table {
    let columns = ["images", "PSNR", "SSIM", "PSNR per image", "SSIM per image"];
    let mut table = Table::new("Nearness to the true images", &["set", "image"], &columns);
    let cells = |set: &str, image: &str, images: usize, near: Nearness, each: Option<Nearness>| {
        let (psnr, ssim) = (|v| number(v, 2), |v| number(v, 4));
        let mut cells = vec![set.to_string(), image.to_string(), images.to_string()];
        cells.extend([psnr(near.psnr), ssim(near.ssim)]);
        cells.extend(each.iter().flat_map(|each| [psnr(each.psnr), ssim(each.ssim)]));
        cells
    };
    let names = versions(evaluation);
    let methods: Vec<(&str, Option<usize>)> = [("bicubic", None)]
        .into_iter()
        .chain(names.iter().filter(|v| v.2 == 1).map(|v| (v.0, Some(v.1))))
        .collect();
    let sets: Vec<&SetResult> = evaluation.sets.iter().filter(|s| s.images > 0).collect();
    for s in &sets {
        for (name, method) in &methods {
            let near = s.near(*method);
            table.row(cells(&s.id, name, s.images, near.by_batch(), Some(near.by_image())));
        }
    }
    let seeds = sets.iter().any(|s| s.seed.is_some());
    for (name, method) in &methods {
        if let Some(near) = evaluation.weighted_nearness(*method) {
            let all = evaluation.images();
            table.total(cells("average as in the paper", name, all, near, None));
        } else if sets.len() > 1 && !seeds {
            let near = evaluation.nearness(*method);
            table.total(cells("mean of sets", name, evaluation.images(), near, None));
        }
    }
    table
}

fn percent(share: f64, decimals: usize) -> String {
    number(100.0 * share, decimals)
}

/// `81.2 (78.9–83.3)`.
fn share(tally: &Tally, version: usize) -> String {
    let score = tally.score(version);
    let (low, high) = score.interval;
    format!("{} ({}–{})", percent(score.rounded, 2), percent(low, 1), percent(high, 1))
}

pub(in crate::eval) fn readability(evaluation: &Evaluation, judge: usize) -> Table {
    let columns = ["words", "right", "% (95 % interval)", "CER"];
    let caption = caption(evaluation, "words read right", judge);
    let mut table = Table::new(&caption, &["set", "image"], &columns);
    let cells = |set: &str, image: &str, t: &Tally, version: usize| {
        let errors = t.score(version).character_error_rate.unwrap_or(f64::NAN);
        [
            set.to_string(),
            image.to_string(),
            t.words.to_string(),
            t.right[version].to_string(),
            share(t, version),
            percent(errors, 1),
        ]
    };
    let (sets, names) = (evaluation.sets(), versions(evaluation));
    for s in &sets {
        for (name, method, version) in &names {
            let total = s.methods[*method].judges[judge].words.total();
            table.row(cells(&s.name, name, &total, *version));
        }
    }
    for (name, method, version) in names.iter().filter(|_| sets.len() > 1) {
        if let Some(all) = evaluation.readability(*method, judge) {
            table.total(cells("all words", name, &all.total(), *version));
        }
    }
    for (name, method, version) in &names {
        if let Some(average) = evaluation.weighted_accuracy(*method, judge) {
            let cells = ["average as in the paper", name, "", "", &percent(average[*version], 2)];
            table.total(cells.map(String::from));
        }
    }
    table
}

/// `0.031`, `< 0.001`.
fn probability(p: f64) -> String {
    if p < 0.001 { "< 0.001".into() } else { number(p, 3) }
}

pub(in crate::eval) fn test(evaluation: &Evaluation, judge: usize) -> Table {
    let columns = ["only SR right", "only LR right", "p"];
    let several = evaluation.methods.len() > 1;
    let columns = if several { ["only it right", "only the other right", "p"] } else { columns };
    let what = "word by word (McNemar, exact)";
    let against = if several { "against" } else { "image against" };
    let caption = caption(evaluation, what, judge);
    let mut table = Table::new(&caption, &["set", "image", against], &columns);
    let cells = |set: &str, image: &str, other: &str, (own, theirs): (usize, usize)| {
        let counts = [own.to_string(), theirs.to_string(), probability(mcnemar(own, theirs))];
        [set, image, other].map(String::from).into_iter().chain(counts)
    };
    let sets = evaluation.sets();
    let names: Vec<(&str, usize)> =
        versions(evaluation).iter().filter(|v| v.2 == 1).map(|v| (v.0, v.1)).collect();
    for (name, method) in names {
        let mut sums = [(0, 0); 2];
        let first = evaluation.methods.first().map_or("", String::as_str);
        for s in &sets {
            let reading = &s.methods[method].judges[judge];
            let total = reading.words.total();
            let counts = [(total.only_sr, total.only_lr), reading.against_first];
            for (i, other) in ["LR", first].iter().enumerate().take(1 + usize::from(method > 0)) {
                sums[i] = (sums[i].0 + counts[i].0, sums[i].1 + counts[i].1);
                table.row(cells(&s.name, name, other, counts[i]));
            }
        }
        for (i, other) in ["LR", first].iter().enumerate().take(1 + usize::from(method > 0)) {
            if sets.len() > 1 {
                table.total(cells("all words", name, other, sums[i]));
            }
        }
    }
    table
}

/// What a bin of lengths is called.
fn bin_name(bin: usize) -> String {
    if bin == LONGEST_BIN { format!("{bin} and more") } else { bin.to_string() }
}

pub(in crate::eval) fn by_length(evaluation: &Evaluation, judge: usize) -> Table {
    let names = versions(evaluation);
    let columns: Vec<&str> = ["words"].into_iter().chain(names.iter().map(|n| n.0)).collect();
    let caption = caption(evaluation, "words read right by length, %", judge);
    let mut table = Table::new(&caption, &["characters"], &columns);
    let all: Vec<WordAccuracy> =
        (0..evaluation.methods.len()).filter_map(|m| evaluation.readability(m, judge)).collect();
    if all.is_empty() {
        return table;
    }
    let row = |name: String, of: &dyn Fn(&WordAccuracy) -> Tally| {
        let mut cells = vec![name, of(&all[0]).words.to_string()];
        let figure = |(_, m, version): &(&str, usize, usize)| share(&of(&all[*m]), *version);
        cells.extend(names.iter().map(figure));
        cells
    };
    for bin in (0..=LONGEST_BIN).filter(|bin| all[0].bins()[*bin].words > 0) {
        table.row(row(bin_name(bin), &|a| a.bins()[bin]));
    }
    table.total(row("all".into(), &WordAccuracy::total));
    table
}

/// Ours, theirs with as many decimals as they were printed with, and ours minus theirs.
fn three(ours: Option<f64>, theirs: f64, decimals: usize) -> [String; 3] {
    let ours = ours.unwrap_or(f64::NAN);
    let difference = ours - theirs;
    let sign = if difference > 0.0 { "+" } else { "" };
    let difference = format!("{sign}{}", number(difference, 2));
    [number(ours, 2), number(theirs, decimals), difference]
}

pub(super) fn published(evaluation: &Evaluation) -> Table {
    let columns = compared_columns();
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let mut table =
        Table::new("Beside the published figures, %", &["judge", "published as"], &columns);
    for Beside { judge, row, ours, published } in beside(evaluation) {
        table.row([judge, row.to_string()].into_iter().chain(compared(ours, published)));
    }
    table
}

pub(super) fn published_nearness(evaluation: &Evaluation) -> Table {
    let columns = ["PSNR", "paper", "more", "SSIM", "paper", "more"];
    let caption = "Beside the published nearness, mean of easy, medium and hard";
    let mut table = Table::new(caption, &["published as"], &columns);
    for (row, ours, paper) in nearness_beside(evaluation) {
        let more = |ours: f64, paper: f64, decimals| {
            let sign = if ours > paper { "+" } else { "" };
            format!("{sign}{}", number(ours - paper, decimals))
        };
        table.row([
            row.to_string(),
            number(ours.psnr, 2),
            number(paper.psnr, 2),
            more(ours.psnr, paper.psnr, 2),
            number(ours.ssim, 4),
            number(paper.ssim, 4),
            more(ours.ssim, paper.ssim, 4),
        ]);
    }
    table
}

/// Ours, the paper's, and how much more ours is, for each column.
pub(in crate::eval) fn compared(ours: [Option<f64>; 4], published: [f64; 4]) -> Vec<String> {
    let finer = |v: &f64| (v * 10.0 - (v * 10.0).round()).abs() > 1e-6;
    let decimals = if published.iter().any(finer) { 2 } else { 1 };
    ours.into_iter().zip(published).flat_map(|(o, p)| three(o, p, decimals)).collect()
}

/// Headings of what [`compared`] gives.
pub(in crate::eval) fn compared_columns() -> Vec<String> {
    COLUMNS.iter().flat_map(|c| [c.to_string(), "paper".into(), "more".into()]).collect()
}

/// `31.25 ± 0.42`.
fn spread(spread: &Spread) -> String {
    let mean = percent(spread.mean, 2);
    match spread.deviation {
        Some(deviation) => format!("{mean} ± {}", percent(deviation, 2)),
        None => mean,
    }
}

pub(in crate::eval) fn table_5(evaluation: &Evaluation) -> Vec<Table> {
    let names = versions(evaluation);
    let mut columns = vec!["images"];
    columns.extend(names.iter().map(|n| n.0));
    columns.extend(["paper: images", "bicubic", "LEMMA"]);
    let rows = over_seeds(evaluation);
    let table = |judge: &String| {
        let caption = format!("{judge}: words read right, %, mean ± deviation over the seeds");
        let mut table = Table::new(&caption, &["set", "which"], &columns);
        for row in rows.iter().filter(|row| row.judge == *judge) {
            let OverSeeds { set, small, images, lr, methods, hr, published, .. } = row;
            let which = if *small { "at most 1024 pixels" } else { "all" };
            let mut cells = vec![set.clone(), which.into(), images.to_string()];
            cells.extend([lr].into_iter().chain(methods).chain([hr]).map(spread));
            if let Some((bicubic, lemma, images)) = published {
                cells.extend([images.to_string(), number(*bicubic, 1), number(*lemma, 1)]);
            }
            table.row(cells);
        }
        table
    };
    evaluation.judges.iter().map(table).collect()
}

pub(super) fn left_out(evaluation: &Evaluation) -> Table {
    let mut table = Table::new("Samples out of the ordinary", &["set", "what"], &["samples"]);
    for s in &evaluation.sets {
        for (reason, n) in &s.left_out {
            table.row([s.id.clone(), format!("left out: {reason}"), n.to_string()]);
        }
        for (kind, n) in &s.unusual_labels {
            table.row([s.id.clone(), format!("counted: label {kind}"), n.to_string()]);
        }
    }
    table
}
