//! One training step of the networks that a recognizer guides, on raw tensors.

use super::gradients::{GradMode, finish, pass};
use super::inputs::{float_images, pool_or_bytes};
use super::{Activation, Detail, Subject, first_images, info, to_f64};
use crate::data::checkpoint::StateDict;
use crate::data::picture;
use crate::gpu::Gpu;
use crate::models::tatt::{Neighbors, Turn, Turns};
use crate::models::word::WordNetwork;
use crate::models::{ModelKind, c3, crnn, tatt};
use crate::nn::Parameters;
use crate::ops::backward;
use crate::shape::to_u32;
use crate::tensor::Tensor;
use crate::{Error, ErrorKind, Result};

/// What a step takes besides the network.
struct Step<'a> {
    gpu: &'a Gpu,
    subject: &'a Subject<'a>,
    inputs: &'a StateDict,
    mode: GradMode,
    reader: &'a Subject<'a>,
    detail: Detail,
}

/// Losses and gradients of `subject`, guided by the CRNN `reader`, which learns beside it: `input.lr` against `input.hr_u8`. TATT
/// turns the images as `tatt.rot.arc` and `tatt.rot.off` of the file say; the words of C3-STISR are `ctc_targets` of its part of
/// `info`.
pub(super) fn run(
    gpu: &Gpu,
    subject: &Subject,
    inputs: &StateDict,
    mode: GradMode,
    reader: &Subject,
    detail: Detail,
) -> Result<Vec<Activation>> {
    let step = Step { gpu, subject, inputs, mode, reader, detail };
    match subject.kind()? {
        ModelKind::Tatt | ModelKind::TattInBatch => step.of_tatt(),
        ModelKind::C3 => step.of_c3(),
        other => Err(Error::new(ErrorKind::Argument, "gradients", "network")
            .expected("one whose training loss is known here")
            .got(other.name())),
    }
}

impl Step<'_> {
    fn sizes(&self) -> Option<&StateDict> {
        match self.subject {
            Subject::State(state) => Some(state),
            Subject::Procedural(_) => None,
        }
    }

    /// Student and teacher, the former with its parameters, which are leaves behind those of `network`.
    fn readers(&self, network: &Parameters) -> Result<([crnn::Network; 2], Parameters)> {
        let (gpu, source) = (self.gpu, self.reader.source());
        let (student, parameters) =
            crnn::Network::to_train_behind(gpu, source, &|_| false, network.all().len())?;
        Ok(([student, crnn::Network::load(gpu, source)?], parameters))
    }

    /// Poor and good images with their masks.
    fn images(&self) -> Result<[Tensor; 2]> {
        let lr = float_images(self.gpu, self.inputs, &["input.lr", "input"], 4, 16, 64)?;
        let high = pool_or_bytes(self.inputs, "hr", 32, 128)?;
        let values: Vec<f32> = high.iter().flat_map(picture::lr_input).collect();
        Ok([lr, Tensor::upload(self.gpu, [high.len(), 32, 128, 4], &values)])
    }

    fn of_tatt(&self) -> Result<Vec<Activation>> {
        let (mut network, own) = tatt::Network::to_train(
            self.gpu,
            self.subject.source(),
            self.sizes(),
            Neighbors::Counted,
            &|_| false,
        )?;
        let ([student, teacher], read) = self.readers(&own)?;
        network.guide(student);
        let [lr, hr] = self.images()?;
        let [arcs, stretches] = ["tatt.rot.arc", "tatt.rot.off"].map(|name| {
            let missing = || {
                Error::new(ErrorKind::Format, "inputs", "turns of the images")
                    .expected(format!("a tensor {name}"))
                    .got("none")
            };
            to_f64(self.inputs.tensors.get(name).ok_or_else(missing)?)
        });
        let turns = arcs?.into_iter().zip(stretches?);
        let turns: Vec<Turn> =
            turns.map(|(arc, by)| Turn { arc: arc as f32, stretch: by as f32 }).collect();
        let turns =
            Turns::new(&turns, |shape, places| Ok(Tensor::upload(self.gpu, shape, places)))?;
        let cx = pass(self.gpu, self.mode, self.detail);
        let loss = network.loss(&cx, &teacher, [&lr, &hr], &turns)?;
        let grads = backward(&cx, &loss.total, 1.0)?;
        let parts = [
            ("loss", &loss.total),
            ("loss_image", &loss.image),
            ("loss_distill", &loss.distill),
            ("loss_tssim", &loss.structure),
        ];
        // The prefix is that of reference files.
        let parameters = [("", &own), ("recogniser:", &read)];
        let none: Option<fn(&str) -> f32> = None;
        let mut out = finish(self.gpu, cx, grads, &parts, 1.0, &parameters, self.mode, none)?;
        // Modules and other values see turned images, which no file has.
        let families = ["losses.", "grad.", "grad_of.rot.", "bn.", "rot."];
        out.retain(|a| families.iter().any(|family| a.name.starts_with(family)));
        first_images(&mut out, &["rot.lr_back", "rot.sr", "grad_of.rot.sr"]);
        Ok(out)
    }

    fn of_c3(&self) -> Result<Vec<Activation>> {
        let (mut network, own) =
            c3::Network::to_train(self.gpu, self.subject.source(), self.sizes(), &|_| false)?;
        let ([student, teacher], read) = self.readers(&own)?;
        network.guide(student);
        let [lr, hr] = self.images()?;
        let words = self.words()?;
        let longest = words.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let padded = words.iter().flat_map(|word| {
            word.iter().copied().chain(std::iter::repeat(0)).take(longest).collect::<Vec<u32>>()
        });
        let n = words.len();
        let lengths: Vec<u32> = words.iter().map(|word| to_u32(word.len())).collect();
        let share = words.iter().map(|word| 1.0 / (n * word.len().max(1)) as f32);
        let words = c3::Words {
            targets: &Tensor::upload_u32(self.gpu, [n, longest], &padded.collect::<Vec<_>>()),
            lengths: &Tensor::upload_u32(self.gpu, [n], &lengths),
            share: &Tensor::upload(self.gpu, [n], &share.collect::<Vec<f32>>()),
        };
        let cx = pass(self.gpu, self.mode, self.detail);
        let loss = network.loss(&cx, &teacher, [&lr, &hr], &words)?;
        let grads = backward(&cx, &loss.total, 1.0)?;
        let parts = [
            ("loss", &loss.total),
            ("loss_image", &loss.image),
            ("loss_distill", &loss.distill),
            ("loss_ctc", &loss.ctc),
        ];
        // The prefix is that of reference files.
        let parameters = [("", &own), ("recogniser:", &read)];
        let none: Option<fn(&str) -> f32> = None;
        finish(self.gpu, cx, grads, &parts, 1.0, &parameters, self.mode, none)
    }

    fn words(&self) -> Result<Vec<Vec<u32>>> {
        let info = info(self.inputs).unwrap_or_default();
        let word = |word: &serde_json::Value| {
            let class = |v: &serde_json::Value| u32::try_from(v.as_u64()?).ok();
            word.as_array()?.iter().map(class).collect::<Option<Vec<u32>>>()
        };
        let list = info["systems"]["c3"]["ctc_targets"].as_array();
        list.and_then(|list| list.iter().map(word).collect()).ok_or_else(|| {
            Error::new(ErrorKind::Format, "inputs", "words of the images")
                .expected("`ctc_targets` in `info.systems.c3`: lists of classes")
        })
    }
}
