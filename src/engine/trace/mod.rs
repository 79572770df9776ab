//! Running a graph on raw tensors and looking at everything inside it, beside reference tensors.

mod abinet;
mod aster;
mod compare;
mod crnn;
mod gradients;
mod guided_gradients;
mod inputs;
mod lemma;
mod matrn;
mod moran;
mod packed;
mod parseq;
mod recognizers;
mod text_focus;
mod word;
mod word_gradients;

pub use compare::{Comparison, compare};
pub use gradients::{GradMode, TextFocusModel};
pub use packed::compare_packed;

use crate::data::checkpoint::{Dtype, HostTensor, StateDict};
use crate::engine::ModelKind;
use crate::gpu::Gpu;
use crate::models::procedural;
use crate::nn::Source;
use crate::tensor::{Cx, Dtype as DeviceType, Host, Tap, Tensor};
use crate::{Error, ErrorKind, Result};
use std::collections::HashMap;

/// One named activation in the official layout.
#[derive(Debug, Clone)]
pub struct Activation {
    /// The name of a value, or of the module whose output it is.
    pub name: String,
    /// Which call of the module, from 1; 0 for a value that is no module's output by itself.
    pub call: usize,
    /// Its values.
    pub value: Host,
}

impl Activation {
    /// Whether it is one of the graph's named values rather than a module's output.
    pub fn is_value(&self) -> bool {
        self.call == 0
    }

    /// The texts of a value of code points, whose name ends in `.text`.
    pub fn texts(&self) -> Option<Vec<String>> {
        if !self.name.ends_with(".text") || self.value.dims().len() != 2 {
            return None;
        }
        let (n, longest) = (self.value.dims()[0], self.value.dims()[1]);
        let row = |i: usize| self.value.data[i * longest..][..longest].iter();
        let text = |i: usize| {
            row(i).filter_map(|c| char::from_u32(*c as u32).filter(|c| *c != '\0')).collect()
        };
        Some((0..n).map(text).collect())
    }

    /// Its key in a file: later calls of one module are numbered, `layer1.0.relu#2`.
    pub fn key(&self) -> String {
        if self.call > 1 { format!("{}#{}", self.name, self.call) } else { self.name.clone() }
    }
}

/// Weights of a graph to trace: a checkpoint, or the procedural ones of a seed.
pub enum Subject<'a> {
    /// A checkpoint of any model.
    State(&'a StateDict),
    /// The official sizes with procedural weights.
    Procedural(procedural::Procedural),
}

impl Subject<'_> {
    /// The model that the weights are of.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for a checkpoint of something else.
    pub fn kind(&self) -> Result<ModelKind> {
        match self {
            Subject::State(state) => ModelKind::of(state).ok_or_else(|| {
                Error::new(ErrorKind::Format, "weights", "what the weights are of")
                    .expected("a checkpoint of a network that is known here")
            }),
            Subject::Procedural(p) => Ok(p.model),
        }
    }

    /// The recognizer that guides procedural weights: that of the same seed.
    fn own_reader(&self) -> Option<Subject<'static>> {
        match self {
            Subject::Procedural(p) => {
                let reader = procedural::Procedural { model: ModelKind::Crnn, ..*p };
                Some(Subject::Procedural(reader))
            }
            Subject::State(_) => None,
        }
    }

    fn source(&self) -> &dyn Source {
        match self {
            Subject::State(state) => *state,
            Subject::Procedural(p) => p,
        }
    }
}

/// Which values of a pass are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Every named one: nothing fuses across the output of a module.
    EveryModule,
    /// Those that fusion leaves of the pass as it runs in production.
    AsRun,
}

impl Detail {
    fn pass(self, gpu: &Gpu) -> Cx {
        match self {
            Detail::EveryModule => Cx::traced(gpu),
            Detail::AsRun => Cx::traced_as_run(gpu),
        }
    }
}

/// Runs the graph of `subject` on the raw tensors of `inputs`, and returns its values and its modules' outputs, in the `detail`
/// that is asked for, in the order of the graph.
///
/// LEMMA takes `input.lr_u8 [N, 3, 16, 64]` (bytes) or `input.lr`/`input [N, 4, 16, 64]`; ABINet `input.u8` or `input.rec_u8`
/// `[N, 3, 32, 128]`, or `prior_input` (floats); other recognizers `input.rec_u8`; the text-focus recognizer `input.hr_u8` and `input.sr_u8`, or floats `input.hr`
/// and `input.sr` `[N, 3 or 4, 32, 128]`, with `lab.input` and `lab.lengths`; the other networks that super-resolve words
/// `input.lr`. A file that gives a seed instead of its images gets the images of that seed. In a file that holds several systems
/// (`info.systems`) all names begin with that of the network's.
///
/// # Errors
/// Weights or inputs that do not fit.
pub fn run(
    gpu: &Gpu,
    subject: &Subject,
    inputs: &StateDict,
    detail: Detail,
) -> Result<Vec<Activation>> {
    run_guided(gpu, subject, inputs, detail, None)
}

/// [`run`] with the recognizer that guides the network, TATT or C3-STISR; without one procedural weights are guided by those of a
/// CRNN of the same seed, and others by nobody.
///
/// # Errors
/// Weights or inputs that do not fit.
pub fn run_guided(
    gpu: &Gpu,
    subject: &Subject,
    inputs: &StateDict,
    detail: Detail,
    reader: Option<&Subject>,
) -> Result<Vec<Activation>> {
    match subject.kind()? {
        ModelKind::Lemma => lemma::run(gpu, subject, inputs, detail),
        ModelKind::Abinet => abinet::run(gpu, subject, inputs, detail),
        ModelKind::TextFocus => text_focus::run(gpu, subject, inputs, detail),
        ModelKind::Crnn => crnn::run(gpu, subject, inputs, detail),
        ModelKind::Aster => aster::run(gpu, subject, inputs, detail),
        ModelKind::Moran => moran::run(gpu, subject, inputs, detail),
        ModelKind::Parseq => parseq::run(gpu, subject, inputs, detail),
        ModelKind::Matrn => matrn::run(gpu, subject, inputs, detail),
        kind => Ok(placed(word::run(gpu, subject, inputs, detail, reader)?, kind, inputs)),
    }
}

/// Gradients of the training loss of `subject` on `inputs`, which also holds the labels: `lab.ids`, `lab.input` and
/// `lab.lengths` for LEMMA and the text-focus recognizer, `target.ids` and `target.lengths` for ABINet; for other networks whose
/// loss looks at words, `labels` in `info`. LEMMA without labels is trained on its pixels alone.
///
/// Returns `losses.PART`, `grad.PARAMETER` and `grad_of.VALUE` of the loss as it is differentiated, and in training
/// `bn.BUFFER` after the step, `adam_delta.PARAMETER` of LEMMA's optimizer and `losses_after.PART` of a second pass behind
/// its step; then what [`run`] returns of the pass.
///
/// # Errors
/// Weights, inputs or labels that do not fit.
pub fn gradients(
    gpu: &Gpu,
    subject: &Subject,
    inputs: &StateDict,
    mode: GradMode,
    focus: Option<&TextFocusModel>,
    detail: Detail,
) -> Result<Vec<Activation>> {
    match subject.kind()? {
        ModelKind::Lemma => gradients::of_lemma(gpu, subject, inputs, mode, focus, detail),
        ModelKind::Abinet => gradients::of_abinet(gpu, subject, inputs, mode, detail),
        ModelKind::TextFocus => gradients::of_text_focus(gpu, subject, inputs, focus),
        ModelKind::Matrn => matrn::gradients(gpu, subject, inputs, mode, detail),
        ModelKind::Parseq => parseq::gradients(gpu, subject, inputs, mode, detail),
        kind if kind.is_guided() => {
            let own = subject.own_reader();
            let reader =
                focus.map(|focus| &focus.recognizer).or(own.as_ref()).ok_or_else(|| {
                    Error::new(
                        ErrorKind::Argument,
                        "gradients",
                        "recognizer that guides the network",
                    )
                    .got("none")
                })?;
            let all = guided_gradients::run(gpu, subject, inputs, mode, reader, detail)?;
            Ok(placed(all, kind, inputs))
        }
        kind => {
            let all = word_gradients::run(gpu, subject, inputs, mode, focus, detail)?;
            Ok(placed(all, kind, inputs))
        }
    }
}

/// Activations under the names of a file that holds several systems: `tsrn.sr`.
fn placed(mut all: Vec<Activation>, kind: ModelKind, file: &StateDict) -> Vec<Activation> {
    let key = kind.key();
    if info(file).is_some_and(|info| info["systems"].get(key).is_some()) {
        all.iter_mut().for_each(|a| a.name = format!("{key}.{}", a.name));
    }
    all
}

/// Adds `NAME.img0`, the first image of each named activation.
fn first_images(out: &mut Vec<Activation>, names: &[&str]) {
    for name in names {
        let Some(found) = out.iter().find(|a| a.name == *name) else { continue };
        let mut dims = found.value.dims().to_vec();
        dims[0] = 1;
        let len = dims.iter().product();
        let value = Host::new(dims.as_slice(), found.value.data[..len].to_vec());
        out.push(Activation { name: format!("{name}.img0"), call: 0, value });
    }
}

/// Of `[N, L, C]` the first `length` rows of every sample, one after the other.
fn packed(logits: &Host, lengths: &[u32]) -> Host {
    let (l, c) = (logits.dims()[1], logits.dims()[2]);
    let data: Vec<f64> = lengths
        .iter()
        .enumerate()
        .flat_map(|(i, length)| &logits.data[i * l * c..][..*length as usize * c])
        .copied()
        .collect();
    Host::new([data.len() / c, c], data)
}

/// The JSON object that a reference file carries under the metadata key `info`.
pub fn info(state: &StateDict) -> Option<serde_json::Value> {
    serde_json::from_str(state.metadata.get("info")?).ok()
}

fn collect(gpu: &Gpu, taps: Vec<Tap>) -> Result<Vec<Activation>> {
    // Calls are counted before it is asked which of them fusion left.
    let mut calls: HashMap<String, usize> = HashMap::new();
    let numbered = taps.into_iter().map(|tap| {
        let call = calls.entry(tap.name.clone()).or_default();
        *call += usize::from(tap.module);
        (if tap.module { *call } else { 0 }, tap)
    });
    let there: Vec<(usize, Tap)> = numbered.filter(|(_, tap)| tap.is_there()).collect();
    let hosts = Tensor::read_all(gpu, &there.iter().map(|(_, t)| &t.tensor).collect::<Vec<_>>())?;
    let activation = |((call, tap), host): (&(usize, Tap), Host)| Activation {
        name: tap.name.clone(),
        call: *call,
        value: tap.official(&host),
    };
    Ok(there.iter().zip(hosts).map(activation).collect())
}

/// Activations as a state dict to write: floats as f32, indices as i32, texts in the JSON object of the metadata key `info`.
///
/// # Errors
/// [`ErrorKind::Shape`] when a value does not fit its shape, which would be a mistake here.
pub fn to_state_dict(activations: &[Activation]) -> Result<StateDict> {
    let mut state = StateDict::default();
    let mut info = serde_json::Map::new();
    for a in activations {
        if let Some(texts) = a.texts() {
            info.insert(a.key(), texts.into());
            continue;
        }
        let dims = a.value.dims().to_vec();
        let tensor = match a.value.dtype {
            DeviceType::F32 | DeviceType::F16 => HostTensor::from_f32(dims, &a.value.to_f32())?,
            DeviceType::U32 => {
                let bytes = a.value.data.iter().flat_map(|v| (*v as i32).to_le_bytes()).collect();
                HostTensor::new(Dtype::I32, dims, bytes)?
            }
        };
        state.tensors.insert(a.key(), tensor);
    }
    if !info.is_empty() {
        state.metadata.insert("info".into(), serde_json::Value::from(info).to_string());
    }
    Ok(state)
}

fn to_f64(tensor: &HostTensor) -> Result<Vec<f64>> {
    let wide = tensor.convert(Dtype::F64)?;
    let one = |c: &[u8]| f64::from_le_bytes(c.try_into().expect("eight bytes"));
    Ok(wide.bytes().chunks_exact(8).map(one).collect())
}
