//! Which settings a run begins with: what would only show as weights that are no numbers is refused here.

use super::config::{Schedule, TextFocus, TrainConfig};
use super::stage::Stage;
use crate::data::words::{Rules, STEPS};
use crate::models::text_focus;
use crate::{Error, ErrorKind, Result};
use std::fmt::Display;

/// Most images of a step: the host holds two batches of them.
const LARGEST_BATCH: usize = 16_384;
/// Most steps between two lines of the log: the losses of all of them wait on the device.
const RAREST_LINE: usize = 10_000;
/// The square of a gradient whose root is smaller is 0 in 32 bits, and the step it asks for has no bound.
const LEAST_EPS: f32 = 1e-16;
/// Beyond it a loss of ordinary size leaves the range of 32 bits in its gradient.
const HEAVIEST: f32 = 1e6;
/// Longest word by characters, of at most four strokes each, that the stroke-focus recognizer takes.
const MOST_OF_STROKES: usize = (text_focus::LONGEST - 1) / 4;

impl TrainConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] naming the key, what fits, and what was there.
    pub fn check(&self) -> Result<()> {
        self.lemma.check()?;
        self.abinet.check()?;
        let factor = match self.schedule {
            Schedule::Step { factor, .. } => factor,
            Schedule::Cosine | Schedule::Constant => 1.0,
        };
        let below_one = 1.0 - f32::EPSILON / 2.0;
        let floats = [
            ("lr", self.lr, 0.0, 1.0),
            ("prior_lr", self.prior_lr, 0.0, 1.0),
            ("schedule.factor", factor, 0.0, 100.0),
            ("betas", self.betas[0], 0.0, below_one),
            ("betas", self.betas[1], 0.0, below_one),
            ("eps", self.eps, LEAST_EPS, 1.0),
            ("weight_decay", self.weight_decay, 0.0, f32::MAX),
            ("lr · weight_decay", self.lr * self.weight_decay, 0.0, 1.0),
            ("prior_lr · weight_decay", self.prior_lr * self.weight_decay, 0.0, 1.0),
            ("clip", self.clip, 0.0, f32::MAX),
            ("ema", self.ema, 0.0, below_one),
            ("dropout", self.dropout, 0.0, below_one),
            ("loss.text_focus", self.loss.text_focus, 0.0, HEAVIEST),
            ("loss.attention", self.loss.attention, 0.0, HEAVIEST),
            ("loss.recognition", self.loss.recognition, 0.0, HEAVIEST),
            ("loss.finetune", self.loss.finetune, 0.0, HEAVIEST),
            ("attention_supervision", self.attention_supervision, 0.0, HEAVIEST),
            ("lr_input_prob", self.lr_input_prob, 0.0, 1.0),
        ];
        for (key, value, least, most) in floats {
            if !(least..=most).contains(&value) {
                return Err(wrong(key, range(least, most), value));
            }
        }
        let steps = u32::MAX as usize;
        let numbers = [
            ("batch", self.batch, 1, LARGEST_BATCH),
            ("epochs", self.epochs, 1, usize::MAX),
            ("steps", self.steps, 0, steps),
            ("log_every", self.log_every, 1, RAREST_LINE),
            ("save_every", self.save_every, 1, usize::MAX),
            ("keep", self.keep, 1, usize::MAX),
            ("max_skipped_steps", self.max_skipped_steps, 1, usize::MAX),
        ];
        for (key, value, least, most) in numbers {
            if !(least..=most).contains(&value) {
                let most = if most == usize::MAX { String::new() } else { format!(" to {most}") };
                return Err(wrong(key, format!("a number from {least}{most}"), value));
            }
        }
        // Settings are kept as TOML, whose numbers have a sign.
        if i64::try_from(self.seed).is_err() {
            return Err(wrong("seed", format!("at most {}", i64::MAX), self.seed));
        }
        Ok(())
    }

    /// Which samples the stage takes: none that its networks could not.
    pub fn rules(&self) -> Rules {
        let of_transformer = Rules { max_characters: text_focus::LONGEST - 1, ..Rules::LEMMA };
        match (self.stage, self.text_focus) {
            (Stage::Vision | Stage::Language | Stage::Abinet, _) => Rules::ABINET,
            (Stage::Recognizer | Stage::Tbsrn, _) | (Stage::Lemma, TextFocus::Transformer) => {
                of_transformer
            }
            (Stage::Tg, _) => Rules { max_characters: MOST_OF_STROKES, ..Rules::LEMMA },
            (Stage::C3, _) => Rules { max_characters: STEPS - 1, ..Rules::LEMMA },
            _ => Rules::LEMMA,
        }
    }
}

fn range(least: f32, most: f32) -> String {
    match most {
        f32::MAX => format!("a finite number from {least} on"),
        1.0 => format!("a number from {least:e} to 1"),
        _ if most < 1.0 => format!("a number from {least} on, below 1"),
        _ => format!("a number from {least} to {most}"),
    }
    .replace("0e0", "0")
}

fn wrong(key: &str, expected: String, got: impl Display) -> Error {
    Error::new(ErrorKind::Argument, "configuration", key).expected(expected).got(got)
}

#[cfg(test)]
mod tests {
    use super::super::config::Preset;
    use super::*;

    fn read(set: &str) -> Result<TrainConfig> {
        TrainConfig::read(Preset::Nano, Stage::Lemma, "", &[set.into()])
    }

    /// Every number of the settings, by its key, as TOML.
    fn keys(value: &serde_json::Value, prefix: &str, found: &mut Vec<(String, bool)>) {
        for (key, inner) in value.as_object().expect("settings") {
            let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            match inner {
                serde_json::Value::Object(_) => keys(inner, &path, found),
                serde_json::Value::Number(n) => found.push((path, n.is_f64())),
                _ => {}
            }
        }
    }

    #[test]
    fn presets_pass() {
        for stage in Stage::ALL {
            for preset in [Preset::Paper, Preset::Nano] {
                TrainConfig::preset(preset, stage).check().unwrap();
            }
        }
    }

    /// Whatever number the settings have: one that is none, infinite, negative or without end is named, before the run.
    #[test]
    fn no_number_that_spoils_weights_begins_a_run() {
        let mut found = Vec::new();
        let mut preset = TrainConfig::preset(Preset::Nano, Stage::Lemma);
        preset.schedule = Schedule::Step { at: 3, factor: 0.5 };
        keys(&serde_json::to_value(preset).unwrap(), "", &mut found);
        let floats: Vec<&str> = found.iter().filter(|k| k.1).map(|k| k.0.as_str()).collect();
        assert_eq!(floats.len(), 14, "{floats:?}");
        for (key, float) in &found {
            let bad: &[&str] = match float {
                true => &["nan", "inf", "-inf", "-1.0", "1e39", "1e38"],
                false => &["nan", "-1", "1.5", "99999999999999999999"],
            };
            for value in
                bad.iter().filter(|v| **v != "1e38" || !MAY_BE_HUGE.contains(&key.as_str()))
            {
                let set = match key.strip_prefix("schedule.") {
                    Some("factor") => format!("schedule={{kind=\"step\",at=3,factor={value}}}"),
                    Some(at) => format!("schedule={{kind=\"step\",factor=0.5,{at}={value}}}"),
                    None => format!("{key}={value}"),
                };
                let e = read(&set).expect_err(&set);
                assert_eq!(e.kind(), ErrorKind::Argument, "{set}");
            }
        }
    }

    const MAY_BE_HUGE: [&str; 1] = ["clip"];

    #[test]
    fn limits_are_where_they_are_said_to_be() {
        for bad in [
            "eps=0",
            "eps=1e-45",
            "lr=1e30",
            "lr=1.1",
            "lr_input_prob=1.1",
            "dropout=1",
            "epochs=0",
            "batch=0",
            "batch=1000000",
            "log_every=0",
            "log_every=1000000",
            "save_every=0",
            "keep=0",
            "max_skipped_steps=0",
            "betas=[0.9, 1.0]",
            "betas=[0.9, 0.99999999]",
            "weight_decay=1e9",
            "steps=5000000000",
            "loss.finetune=1e7",
        ] {
            let e = read(bad).expect_err(bad).to_string();
            let key = bad.split('=').next().unwrap();
            assert!(e.contains(key) && e.contains("expected") && e.contains("got"), "{bad}: {e}");
        }
        for good in
            ["eps=1e-15", "lr=0", "lr=1", "lr_input_prob=1", "clip=1e30", "weight_decay=0.1"]
        {
            read(good).unwrap_or_else(|e| panic!("{good}: {e}"));
        }
    }

    #[test]
    fn labels_are_no_longer_than_the_networks_of_a_stage_take() {
        let rules = |stage, focus| {
            let config = TrainConfig::preset(Preset::Nano, stage);
            TrainConfig { text_focus: focus, ..config }.rules().max_characters
        };
        assert_eq!(rules(Stage::Recognizer, TextFocus::Off), 511);
        assert_eq!(rules(Stage::Lemma, TextFocus::Transformer), 511);
        assert_eq!(rules(Stage::Lemma, TextFocus::Abinet), usize::MAX);
        assert_eq!(rules(Stage::Vision, TextFocus::Transformer), 25);
        assert_eq!(rules(Stage::Tbsrn, TextFocus::Off), 511);
        assert_eq!(rules(Stage::Tg, TextFocus::Off), 127);
        assert_eq!(rules(Stage::C3, TextFocus::Off), 25);
    }
}
