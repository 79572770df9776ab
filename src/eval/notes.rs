//! Where the paper and the released code differ, and what is done here: the code's way.

use super::evaluation::Evaluation;
use super::letters::Letters;
use super::published::{TABLE_5, beside, nearness_beside, same};

/// What a reader of the figures has to know, a sentence or two each.
pub fn notes(evaluation: &Evaluation) -> Vec<String> {
    let mut notes = Vec::new();
    let mut say = |when: bool, note: &str| {
        if when {
            notes.push(note.to_string());
        }
    };
    let read = !evaluation.judges.is_empty();
    let made = evaluation.sets.iter().any(|s| s.seed.is_some());
    let judge = |name: &str| evaluation.judges.iter().any(|j| same(j, name));
    say(
        read && evaluation.letters == Letters::Released,
        "A word is right when the reading equals the label, both in lower case and without anything but 0-9 and a-z; where \
         nothing is left of both, it is right. Words that are longer than a recognizer reads stay in the count.",
    );
    say(
        read && evaluation.letters == Letters::Folded,
        "Letters beyond a-z are compared as ASCII has them, é as e, and words in other scripts are not counted: not the rule of \
         the released code.",
    );
    say(
        read,
        "LR is the poor image at 16×64 through each recognizer's own preparation, without an enlargement of its own: the row \
         that the paper calls BICUBIC. SR is read as it was made, not clamped and not rounded to bytes; images of another \
         program come as bytes.",
    );
    say(
        true,
        "PSNR and SSIM are means over batches of 64 in the order of the files, the last batch with what there is, as the \
         released code has them but that it shuffles; beside them the means over images, which no paper reports. Bicubic is \
         there the enlargement to 32×128 with half-pixel centers.",
    );
    say(
        read && evaluation.weighted(|_| 0.0).is_some(),
        "The average weighs easy, medium and hard with 1619, 1411 and 1343 images, whatever the sets hold, on accuracies of \
         four digits, as the released code does.",
    );
    say(
        !beside(evaluation).is_empty(),
        "The published checkpoints were chosen by their accuracy on these test sets; there is no validation split. Two averages \
         of Table 3 (SAN with ASTER, C3-STISR with MORAN) are no weighted means of its other figures.",
    );
    let compared = !beside(evaluation).is_empty() || !nearness_beside(evaluation).is_empty();
    let others: Vec<String> = evaluation
        .other_sizes()
        .iter()
        .map(|(name, own, theirs)| format!("{name} {own}, there {theirs}"))
        .collect();
    say(
        !others.is_empty() && compared,
        &format!(
            "The sets are not the paper's, whose names they have ({}): the difference from the published figures says nothing.",
            others.join("; ")
        ),
    );
    say(
        judge("ABINet"),
        "The paper says ABINet; the released evaluation runs one of its three iterations. So do weights here that do not say \
         otherwise.",
    );
    say(
        judge("MORAN"),
        "On a CPU the released code overwrites MORAN's rectified image; its figures are those of a GPU, and so are these.",
    );
    let sizes: Vec<String> = TABLE_5.iter().map(|t| format!("{} {}", t.0, t.1)).collect();
    say(
        made,
        &format!(
            "Poor images are made by the paper's degradation at the size of the good ones, seeded by seed, name of the set and \
             number of the image. The paper says that images below 16×64 pixels were taken; its figures fit the full sets \
             ({}), and the released code degrades nothing. So both are here: all images, and those of at most 1024 pixels. The \
             published figures are for orientation only; their recognizer is not named.",
            sizes.join(", ")
        ),
    );
    notes
}
