//! What a training run is: read from a TOML file and from `key=value` pairs over a preset.

use super::overlay::{merge, unknown};
use super::stage::Stage;
use super::start::pace;
use crate::models::abinet::AbinetConfig;
use crate::models::lemma::{LemmaConfig, LossWeights};
use crate::models::text_prior::BESIDE;
use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// Sizes and schedule to start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// The official sizes and schedule.
    Paper,
    /// Sizes and schedule that train in hours without a GPU.
    Nano,
}

/// Which recognizer supplies the attention of the text-focus loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TextFocus {
    /// The transformer of the paper; needs `recognizer`.
    Transformer,
    /// An ABINet: `recognizer`, or the one that ships.
    Abinet,
    /// None.
    Off,
}

/// The learning rate over the steps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind", deny_unknown_fields)]
pub enum Schedule {
    /// Multiplied by `factor` from epoch `at` on.
    Step {
        /// The epoch.
        at: usize,
        /// The factor.
        factor: f32,
    },
    /// Down to 0 along half a cosine.
    Cosine,
    /// Always the same.
    Constant,
}

/// A training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// What is trained.
    pub stage: Stage,
    /// Sizes of LEMMA.
    pub lemma: LemmaConfig,
    /// Sizes of ABINet.
    pub abinet: AbinetConfig,
    /// Images of a step.
    pub batch: usize,
    /// Passes over the data.
    pub epochs: usize,
    /// Steps at most; 0 for no limit.
    pub steps: usize,
    /// Learning rate.
    pub lr: f32,
    /// Learning rate of the recognizer inside LEMMA.
    pub prior_lr: f32,
    /// Steps over which the rate rises from 0.
    pub warmup: usize,
    /// The rate over time.
    pub schedule: Schedule,
    /// Adam's β.
    pub betas: [f32; 2],
    /// Adam's ε.
    pub eps: f32,
    /// Decoupled weight decay (AdamW); 0 is Adam.
    pub weight_decay: f32,
    /// Largest joint norm of the gradients; 0 for no limit.
    pub clip: f32,
    /// Decay of averaged weights; 0 for none.
    #[serde(default)] // Checkpoints of earlier versions have none.
    pub ema: f32,
    /// Probability of dropout.
    pub dropout: f32,
    /// Weights of LEMMA's loss.
    pub loss: LossWeights,
    /// Which recognizer supplies the attention of the text-focus loss.
    pub text_focus: TextFocus,
    /// Weight of the places of characters, where a source knows them, on the recognizer's attention.
    #[serde(alias = "guide_attention")]
    pub attention_supervision: f32,
    /// Share of images that the recognizer sees enlarged from low resolution.
    #[serde(alias = "degraded")]
    pub lr_input_prob: f32,
    /// Whether the vision and joint stages of a reader see augmented images.
    #[serde(default)] // Checkpoints of earlier versions have none.
    pub augment: bool,
    /// Whether a super-resolver that starts from nothing starts as a bicubic enlargement; and whether the layers that make it
    /// one take shorter steps, as they must to stay one, whatever a run starts from.
    #[serde(alias = "start_bicubic")]
    pub bicubic_init: bool,
    /// Seed of the initial weights, of the order of the data, of augmentation and of dropout.
    pub seed: u64,
    /// Steps between two lines of the log.
    pub log_every: usize,
    /// Steps between two checkpoints.
    pub save_every: usize,
    /// Steps between two evaluations; 0 for none.
    pub eval_every: usize,
    /// Checkpoints that are kept besides the best.
    pub keep: usize,
    /// Skipped batches in a row that end the run.
    #[serde(alias = "most_skipped")]
    pub max_skipped_steps: usize,
}

/// Settings that have another name than in earlier versions, whose files and checkpoints still say the first.
pub const RENAMED: [(&str, &str); 4] = [
    ("guide_attention", "attention_supervision"),
    ("degraded", "lr_input_prob"),
    ("start_bicubic", "bicubic_init"),
    ("most_skipped", "max_skipped_steps"),
];

fn renamed(key: String) -> String {
    RENAMED.iter().find(|(old, _)| *old == key).map_or(key, |(_, new)| (*new).into())
}

impl TrainConfig {
    /// The run of a preset.
    pub fn preset(preset: Preset, stage: Stage) -> Self {
        let reader = matches!(stage, Stage::Vision | Stage::Language | Stage::Abinet);
        let paper = TrainConfig {
            stage,
            lemma: LemmaConfig::default(),
            abinet: AbinetConfig::default(),
            batch: if reader { 384 } else { 64 },
            epochs: if reader { 10 } else { 500 },
            steps: 0,
            lr: if reader { 1e-4 } else { 1e-3 },
            prior_lr: 1e-4,
            warmup: 0,
            schedule: if reader {
                Schedule::Step { at: 6, factor: 0.1 }
            } else {
                Schedule::Step { at: 400, factor: 0.5 }
            },
            betas: if reader { [0.9, 0.999] } else { [0.5, 0.999] },
            eps: 1e-8,
            weight_decay: 0.0,
            clip: if reader { 20.0 } else { 0.25 },
            ema: 0.0,
            dropout: 0.1,
            loss: LossWeights::default(),
            text_focus: TextFocus::Transformer,
            attention_supervision: 0.0,
            lr_input_prob: 0.0,
            augment: reader,
            bicubic_init: false,
            seed: 1,
            log_every: 50,
            save_every: 200,
            eval_every: 400,
            keep: 3,
            max_skipped_steps: 20,
        };
        let paper = paper.of_the_authors();
        match preset {
            Preset::Paper => paper,
            Preset::Nano => TrainConfig {
                abinet: AbinetConfig::nano(),
                lemma: LemmaConfig::nano(),
                batch: if reader { 96 } else { 32 },
                epochs: 1_000_000,
                steps: 4000,
                lr: if reader { 2e-3 } else { 6e-4 },
                prior_lr: 0.0,
                warmup: 100,
                schedule: Schedule::Cosine,
                clip: if reader { 5.0 } else { 0.25 },
                dropout: 0.0,
                text_focus: TextFocus::Abinet,
                attention_supervision: 1.0,
                lr_input_prob: 0.5,
                augment: false,
                bicubic_init: true,
                log_every: 10,
                ..paper
            },
        }
    }

    /// With what the authors of a compared network say of its training. RCAN's halve the rate every 200 epochs, this run once.
    fn of_the_authors(self) -> Self {
        use Stage::{C3, Pcan, Rcan, San, Srcnn, Srresnet, Tatt, Tbsrn, Tg, Tsrn};
        let (batch, lr, epochs) = match self.stage {
            Srcnn | Srresnet | Tsrn => (512, 1e-3, 500),
            Tbsrn | Tg => (16, 1e-4, 50_000),
            Tatt => (64, 1e-3, 500),
            C3 => (48, 1e-3, 100),
            Pcan | San => (128, 1e-3, 500),
            Rcan => {
                let schedule = Schedule::Step { at: 200, factor: 0.5 };
                let betas = [0.9, 0.999];
                return TrainConfig { batch: 16, lr: 1e-4, betas, clip: 0.0, schedule, ..self };
            }
            _ => return self,
        };
        TrainConfig { batch, lr, epochs, schedule: Schedule::Constant, ..self }
    }

    /// The learning rate of a parameter, before warm-up and schedule.
    pub fn rate(&self, name: &str) -> f32 {
        match self.stage {
            Stage::Lemma if name.starts_with("position_prior.") => self.prior_lr,
            Stage::Lemma if self.bicubic_init => self.lr * pace(name, &self.lemma),
            _ => self.lr,
        }
    }

    /// Whether the joint norm of the gradients that is limited counts that of a parameter: not one of the recognizer that guides a
    /// network.
    pub(super) fn clips(&self, name: &str) -> bool {
        !(self.stage.is_guided() && name.starts_with(BESIDE))
    }

    /// The preset with the keys of a TOML text and then `key=value` pairs (`loss.finetune=0`, values as in TOML) over it.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] naming the key that is unknown or whose value does not fit.
    pub fn read(preset: Preset, stage: Stage, text: &str, sets: &[String]) -> Result<Self> {
        Self::preset(preset, stage).with(text, sets)
    }

    /// These settings with the keys of a TOML text and then `key=value` pairs over them.
    ///
    /// # Errors
    /// As [`TrainConfig::read`].
    pub fn with(&self, text: &str, sets: &[String]) -> Result<Self> {
        let wrong = |what: &str, e: &dyn std::fmt::Display| {
            Error::new(ErrorKind::Argument, "configuration", what.to_string()).detail(e)
        };
        let mut merged = toml::Value::try_from(self).map_err(|e| wrong("settings", &e))?;
        let file: toml::Table = text.parse().map_err(|e| wrong("the file", &e))?;
        let file = file.into_iter().map(|(key, value)| (renamed(key), value)).collect();
        merge(&mut merged, toml::Value::Table(file));
        for set in sets {
            let (key, value) = set.split_once('=').ok_or_else(|| {
                Error::new(ErrorKind::Argument, "--set", "a setting").expected("key=value").got(set)
            })?;
            let value: toml::Value = toml::from_str::<toml::Table>(&format!("v = {value}"))
                .ok()
                .and_then(|mut t| t.remove("v"))
                .unwrap_or_else(|| toml::Value::String(value.into()));
            let key = renamed(key.into());
            let nested = key.rsplit('.').fold(value, |inner, part| {
                toml::Value::Table([(part.to_string(), inner)].into_iter().collect())
            });
            merge(&mut merged, nested);
        }
        let config: Self = merged.clone().try_into().map_err(|e| wrong("settings", &e))?;
        // Sizes of networks take over what they do not know from files of other versions, and would do so here.
        let known = toml::Value::try_from(&config).map_err(|e| wrong("settings", &e))?;
        if let Some(key) = unknown(&merged, &known) {
            return Err(Error::new(
                ErrorKind::Argument,
                "configuration",
                "a setting that there is",
            )
            .got(key));
        }
        config.check()?;
        Ok(config)
    }

    /// Images that the device must work on at once: the transformer that moves LEMMA's input about normalizes by the statistics
    /// of one value of each image, which take two.
    pub fn fewest_at_once(&self) -> usize {
        let straightens = self.stage == Stage::Lemma && self.lemma.stn || self.stage.straightens();
        if straightens { 2 } else { 1 }
    }

    /// Steps of the whole run, with `per_epoch` of them in an epoch.
    pub fn total_steps(&self, per_epoch: usize) -> usize {
        let all = self.epochs.saturating_mul(per_epoch);
        if self.steps == 0 { all } else { self.steps.min(all) }
    }

    /// The factor on the learning rates at `step` (from 0) of `total`, with `per_epoch` steps in an epoch.
    pub fn factor(&self, step: usize, per_epoch: usize, total: usize) -> f32 {
        let warm = match self.warmup {
            0 => 1.0,
            n => ((step + 1) as f32 / n as f32).min(1.0),
        };
        warm * match self.schedule {
            Schedule::Constant => 1.0,
            Schedule::Step { at, factor } if step / per_epoch.max(1) >= at => factor,
            Schedule::Step { .. } => 1.0,
            Schedule::Cosine => {
                let done = step as f64 / total.max(1) as f64;
                (0.5 + 0.5 * (std::f64::consts::PI * done.min(1.0)).cos()) as f32
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_go_over_the_file_and_the_file_over_the_preset() {
        let sets = ["loss.finetune=0".to_string(), "text_focus=off".to_string()];
        let text =
            "batch = 8\n[loss]\nfinetune = 0.5\nattention = 3\n[schedule]\nkind = \"constant\"";
        let c = TrainConfig::read(Preset::Paper, Stage::Lemma, text, &sets).unwrap();
        assert_eq!((c.batch, c.loss.finetune, c.loss.attention), (8, 0.0, 3.0));
        assert_eq!((c.text_focus, c.schedule), (TextFocus::Off, Schedule::Constant));
        let factor =
            TrainConfig::read(Preset::Paper, Stage::Lemma, "", &["schedule.factor=0.3".into()]);
        assert_eq!(factor.unwrap().schedule, Schedule::Step { at: 400, factor: 0.3 });
        for bad in [
            "bacht = 3",
            "lemma.nonsense = 3",
            "lemma.guidance.select = 3",
            "batch = -1",
            "batch = 0",
            "dropout = 1.5",
            "[[x",
        ] {
            let e = TrainConfig::read(Preset::Paper, Stage::Lemma, bad, &[]).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Argument, "{bad}");
        }
    }

    #[test]
    fn readers_of_the_paper_see_augmented_images_and_earlier_checkpoints_still_open() {
        assert!(TrainConfig::preset(Preset::Paper, Stage::Vision).augment);
        assert!(!TrainConfig::preset(Preset::Paper, Stage::Lemma).augment);
        let nano = TrainConfig::preset(Preset::Nano, Stage::Vision);
        let mut stored = serde_json::to_value(&nano).unwrap();
        stored.as_object_mut().unwrap().remove("augment").unwrap();
        assert_eq!(serde_json::from_value::<TrainConfig>(stored).unwrap(), nano);
    }

    #[test]
    fn settings_of_earlier_names_are_understood() {
        let nano = TrainConfig::preset(Preset::Nano, Stage::Vision);
        let mut stored = serde_json::to_value(&nano).unwrap();
        for (old, new) in RENAMED {
            let settings = stored.as_object_mut().unwrap();
            let value = settings.remove(new).unwrap();
            settings.insert(old.into(), value);
        }
        assert_eq!(serde_json::from_value::<TrainConfig>(stored).unwrap(), nano);
        let c = nano.with("degraded = 0.25", &["most_skipped=3".into()]).unwrap();
        assert_eq!((c.lr_input_prob, c.max_skipped_steps), (0.25, 3));
    }

    #[test]
    fn rates_over_time() {
        let paper = TrainConfig::preset(Preset::Paper, Stage::Lemma);
        assert_eq!(paper.factor(400 * 271 - 1, 271, 0), 1.0);
        assert_eq!(paper.factor(400 * 271, 271, 0), 0.5);
        let nano = TrainConfig::preset(Preset::Nano, Stage::Lemma);
        assert_eq!(nano.factor(0, 10, 4000), 0.01);
        assert!((nano.factor(2000, 10, 4000) - 0.5).abs() < 1e-6);
    }
}
