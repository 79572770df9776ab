//! Training: a network, its optimizer and its data, from a start to checkpoints.
//!
//! Knows no terminal: what a run says goes through a [`Observer`].
//!
//! # Settings
//!
//! A run is a [`TrainConfig`]: a [`Preset`] for a [`Stage`], over it the keys of a TOML file, over these single settings. A key
//! that is unknown or whose value does not fit is an error that names it.
//!
//! ```
//! use lemma_gpu::train::{Preset, Schedule, Stage, TrainConfig};
//!
//! let file = r#"
//!     batch = 16
//!     lr = 3e-4
//!     text_focus = "off"
//!
//!     [schedule]
//!     kind = "step"
//!     at = 20
//!     factor = 0.5
//!
//!     [lemma]
//!     srb_nums = 4
//! "#;
//! let settings = ["loss.finetune=0".to_string(), "lr=1e-4".to_string()];
//! let config = TrainConfig::read(Preset::Nano, Stage::Lemma, file, &settings)?;
//! assert_eq!((config.batch, config.lr, config.lemma.srb_nums), (16, 1e-4, 4));
//! assert_eq!(config.schedule, Schedule::Step { at: 20, factor: 0.5 });
//! assert_eq!(config.steps, 4000, "as the preset has it");
//! # Ok::<(), lemma_gpu::Error>(())
//! ```
//!
//! Readers are the stages `vision`, `language` and `abinet`; the others are `lemma`, `recognizer`, and the networks that LEMMA is
//! compared with: `srcnn`, `srresnet`, `tsrn`, `tbsrn`, `tg`, `tatt`, `c3`, `pcan`, `rcan` and `san`, which are trained by what
//! their authors trained them by, and for which `paper` has the batch, rate, epochs and schedule of theirs. `tbsrn` asks a
//! text-focus recognizer and `tg` a stroke-focus one; the CRNN that guides `tatt` or `c3` learns beside it from a fixed one, its
//! gradients apart from the limit of the norm, and lies in the same file, its names behind `recognizer.`. A dash is for keys that
//! a stage does not look at.
//!
//! | key | meaning | `paper`, readers | `paper`, others | `nano`, readers | `nano`, others |
//! |---|---|---|---|---|---|
//! | `batch` | images of a step | 384 | 64 | 96 | 32 |
//! | `epochs` | passes over the data at most | 10 | 500 | 1,000,000 | 1,000,000 |
//! | `steps` | steps at most; 0 for no limit | 0 | 0 | 4000 | 4000 |
//! | `lr` | learning rate | 1e-4 | 1e-3 | 2e-3 | 6e-4 |
//! | `prior_lr` | that of the recognizer inside LEMMA; 0 freezes it | – | 1e-4 | – | 0 |
//! | `warmup` | steps over which the rates rise from 0 | 0 | 0 | 100 | 100 |
//! | `schedule` | `constant`; `cosine` down to 0; `step`: times `factor` from epoch `at` on | step, 6, 0.1 | step, 400, 0.5 | cosine | cosine |
//! | `betas` | Adam's β | 0.9, 0.999 | 0.5, 0.999 | 0.9, 0.999 | 0.5, 0.999 |
//! | `eps` | Adam's ε | 1e-8 | 1e-8 | 1e-8 | 1e-8 |
//! | `weight_decay` | decoupled (AdamW); 0 is Adam | 0 | 0 | 0 | 0 |
//! | `ema` | decay of averaged weights, which are evaluated, and saved as `best` and `ema`; 0 for none | 0 | 0 | 0 | 0 |
//! | `clip` | largest joint norm of the gradients; 0 for no limit | 20 | 0.25 | 5 | 0.25 |
//! | `dropout` | probability of dropout | 0.1 | 0.1 | 0 | 0 |
//! | `text_focus` | whose attention LEMMA's loss compares: `transformer`, `abinet`, `off` | – | transformer | – | abinet |
//! | `loss.text_focus` | weight of the text-focus loss, α₁ | – | 0.5 | – | 0.5 |
//! | `loss.attention` | weight of the attention in it, λ₁ | – | 10 | – | 10 |
//! | `loss.recognition` | weight of the recognition in it, λ₂ | – | 0.0005 | – | 0.0005 |
//! | `loss.finetune` | weight of the fine-tuning loss, α₂ | – | 0.01 | – | 0.01 |
//! | `attention_supervision` | weight of known places of characters on a reader's attention | 0 | – | 1 | – |
//! | `lr_input_prob` | share of images that a reader sees enlarged from low resolution | 0 | – | 0.5 | – |
//! | `augment` | whether a reader sees words bent, worn and in other colors: [`Augment`](crate::data::augment::Augment) | true | – | false | – |
//! | `bicubic_init` | whether LEMMA, started from nothing, starts as a bicubic enlargement, and the layers that make it one take shorter steps | – | false | – | true |
//! | `seed` | of initial weights, order of the data, augmentation and dropout | 1 | 1 | 1 | 1 |
//! | `log_every` | steps between two lines of the log | 50 | 50 | 10 | 10 |
//! | `save_every` | steps between two checkpoints | 200 | 200 | 200 | 200 |
//! | `eval_every` | steps between two evaluations; 0 for none | 400 | 400 | 400 | 400 |
//! | `keep` | checkpoints kept besides the best | 3 | 3 | 3 | 3 |
//! | `max_skipped_steps` | steps in a row without finite gradients that end the run | 20 | 20 | 20 | 20 |
//! | `abinet.*` | sizes of a reader: [`AbinetConfig`](crate::models::abinet::AbinetConfig) | official | – | small | – |
//! | `lemma.*` | sizes of LEMMA: [`LemmaConfig`](crate::models::lemma::LemmaConfig) | – | official | – | small |
//!
//! A run begins only with numbers that are finite and in a range where weights stay so ([`TrainConfig::check`]).
//! Sizes come from the weights where a run starts from some. The text-focus transformer (`recognizer`) has one size.
//!
//! # Micro-batches
//!
//! A step may take its batch in parts that fit the device; the gradients of the parts are added, and losses are means over the
//! whole batch. Batch normalization sees a part at a time, so its statistics, and with them the result, depend on the size of
//! the parts.
//!
//! Where there is no memory for a step all the same, a [`MicroBatch`] that may be halved is, and the step taken again; it ends in
//! the bits of one that began with the smaller parts.

mod averages;
pub mod branch;
mod check;
pub mod checkpoint;
mod config;
mod events;
mod given;
mod init;
mod inputs;
mod losses;
mod memory;
mod optimizer;
mod overlay;
mod reader;
mod replay;
mod run;
mod stage;
mod start;
mod statistics;
mod trainer;
mod word;

pub use config::{Preset, RENAMED, Schedule, TextFocus, TrainConfig};
pub use events::Events;
pub use given::{Content, Given};
pub use init::Initial;
pub use losses::Losses;
pub use memory::{MicroBatch, plan_memory};
pub use optimizer::{Optimizer, Progress};
pub use run::{Batches, Ended, Observer, StepMetrics, run};
pub use stage::Stage;
pub use start::Start;
pub use trainer::Trainer;
