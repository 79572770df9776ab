//! Running a graph on raw tensors and looking at everything inside it, beside reference tensors.

mod compare;
mod gradients;
mod inputs;
mod packed;

pub use compare::{Comparison, compare};
pub use gradients::{Eyes, Manner, gradients};
pub use packed::compare_packed;

use inputs::{float_images, integers, rgb_images, text_focus_images};

use crate::data::checkpoint::{Dtype, HostTensor, StateDict};
use crate::data::picture;
use crate::engine::ModelKind;
use crate::gpu::Gpu;
use crate::models::{abinet, lemma, procedural, text_focus};
use crate::nn::Source;
use crate::ops::Spline;
use crate::tensor::{Axes, Cx, Dtype as DeviceType, Host, Tap, Tensor};
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
                    .expected("a checkpoint of LEMMA, ABINet or the text-focus recognizer")
            }),
            Subject::Procedural(p) => Ok(match p.model {
                procedural::Model::Lemma => ModelKind::Lemma,
                procedural::Model::Abinet => ModelKind::Abinet,
                procedural::Model::TextFocus => ModelKind::TextFocus,
            }),
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
/// `[N, 3, 32, 128]`, or `prior_input` (floats); the text-focus recognizer `input.hr_u8` and `input.sr_u8`, or floats `input.hr`
/// and `input.sr` `[N, 3 or 4, 32, 128]`, with `lab.input` and `lab.lengths`; a file that gives a seed instead of its images gets
/// the images of that seed.
///
/// # Errors
/// Weights or inputs that do not fit.
pub fn run(
    gpu: &Gpu,
    subject: &Subject,
    inputs: &StateDict,
    detail: Detail,
) -> Result<Vec<Activation>> {
    match subject.kind()? {
        ModelKind::Lemma => run_lemma(gpu, subject, inputs, detail),
        ModelKind::Abinet => run_abinet(gpu, subject, inputs, detail),
        ModelKind::TextFocus => run_text_focus(gpu, subject, inputs, detail),
    }
}

fn run_lemma(
    gpu: &Gpu,
    subject: &Subject,
    inputs: &StateDict,
    detail: Detail,
) -> Result<Vec<Activation>> {
    let network = match subject {
        Subject::State(state) => lemma::Network::load(gpu, state)?,
        Subject::Procedural(p) => {
            lemma::Network::with_config(gpu, p, lemma::LemmaConfig::default())?
        }
    };
    let input = if let Some(t) = inputs.tensors.get("input.lr_u8") {
        let images = rgb_images(t, "input.lr_u8", 16, 64)?;
        let values: Vec<f32> = images.iter().flat_map(picture::lr_input).collect();
        Tensor::upload(gpu, [images.len(), 16, 64, 4], &values)
    } else {
        float_images(gpu, inputs, &["input.lr", "input"], 4, 16, 64)?
    };
    let cx = detail.pass(gpu);
    let _wanted = network.forward(&cx, &input)?;
    let k = network.config().guidance.select_num;
    let mut out = collect(gpu, cx.submit()?)?;
    out.extend(selection(&out, k));
    out.extend(spline());
    first_images(&mut out, &["lem.x_region", "block1", "block2", "block7"]);
    Ok(out)
}

/// From the sorted pixels: the K selected indices in ascending order, and their mask.
fn selection(out: &[Activation], k: usize) -> Vec<Activation> {
    let Some(order) = out.iter().find(|a| a.name == "lem.order") else { return Vec::new() };
    let (n, pixels) = (order.value.dims()[0], order.value.dims()[1]);
    let mut mask = Host::zeros([n, 1, 16, pixels / 16]);
    let mut best = Vec::with_capacity(n * k);
    for (i, row) in order.value.data.chunks_exact(pixels).enumerate() {
        let mut top = row[..k].to_vec();
        top.sort_by(f64::total_cmp);
        for pixel in &top {
            mask.data[i * pixels + *pixel as usize] = 1.0;
        }
        best.extend(top);
    }
    let value = |name: &str, value| Activation { name: name.into(), call: 0, value };
    vec![value("lem.selected", mask), value("lem.topk", Host::new([n, k], best).into_u32())]
}

/// The constants of the spatial transformer, which evaluation does not run.
fn spline() -> [Activation; 3] {
    let spline = Spline::new(lemma::LOW.0, lemma::LOW.1, 20);
    let value = |name: &str, columns: usize, data: Vec<f64>| Activation {
        name: format!("tps.{name}"),
        call: 0,
        value: Host::new([data.len() / columns, columns], data),
    };
    [
        value("inverse_kernel", 23, spline.inverse),
        value("target_control_points", 2, spline.targets),
        value("target_coordinate_repr", 23, spline.representation),
    ]
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

fn run_abinet(
    gpu: &Gpu,
    subject: &Subject,
    inputs: &StateDict,
    detail: Detail,
) -> Result<Vec<Activation>> {
    let network = match subject {
        Subject::State(state) => {
            let config = abinet::Network::config_of(state)?;
            abinet::Network::with_config(gpu, *state, counting_as(config, inputs)?)?
        }
        Subject::Procedural(p) => {
            let config = abinet::AbinetConfig::default();
            abinet::Network::with_config(gpu, p, counting_as(config, inputs)?)?
        }
    };
    let bytes = ["input.u8", "input.rec_u8"].iter().find(|n| inputs.tensors.contains_key(**n));
    let input = if let Some(name) = bytes {
        let images = rgb_images(&inputs.tensors[*name], name, 32, 128)?;
        let values: Vec<f32> = images.iter().flat_map(picture::rgb_input).collect();
        Tensor::upload(gpu, [images.len(), 32, 128, 3], &values)
    } else {
        float_images(gpu, inputs, &["prior_input", "input"], 3, 32, 128)?
    };
    let cx = detail.pass(gpu);
    let reading = network.forward(&cx, &input)?;
    for (i, round) in reading.iterations.iter().enumerate() {
        let path = format!("iter{}", i + 1);
        for (name, tensor) in [
            ("lengths_in", &round.lengths_in),
            ("language.logits", &round.language.logits),
            ("language.lengths_raw", &round.language_lengths),
            ("alignment.logits", &round.alignment),
            ("alignment.lengths_raw", &round.alignment_lengths),
        ] {
            cx.value(&path, name, tensor, Axes::Same);
        }
    }
    for (name, tensor) in [
        ("attn_scores", &reading.vision.attention),
        ("feature", &reading.vision.feature),
        ("logits", &reading.vision.logits),
        ("lengths_raw", &reading.vision_lengths),
    ] {
        cx.value("vision", name, tensor, Axes::Same);
    }
    collect(gpu, cx.submit()?)
}

/// The configuration with the rule for readings without an end that the reference was made by: raw lengths of 0 come from
/// ABINet's later revision only.
fn counting_as(config: abinet::AbinetConfig, inputs: &StateDict) -> Result<abinet::AbinetConfig> {
    let mut raw = inputs.tensors.iter().filter(|(name, _)| name.ends_with("lengths_raw"));
    let later =
        raw.try_fold(false, |found, (_, t)| Ok::<_, Error>(found || t.to_f32()?.contains(&0.0)))?;
    Ok(if later { abinet::AbinetConfig { length_without_end: 0, ..config } } else { config })
}

fn run_text_focus(
    gpu: &Gpu,
    subject: &Subject,
    inputs: &StateDict,
    detail: Detail,
) -> Result<Vec<Activation>> {
    let network = text_focus::Network::load(gpu, subject.source())?;
    let tokens = integers(inputs, "lab.input", 2)?;
    let lengths = integers(inputs, "lab.lengths", 1)?.to_u32();
    let (n, l) = (tokens.dims()[0], tokens.dims()[1]);
    if lengths.len() != n || lengths.iter().any(|v| *v as usize > l) {
        return Err(Error::new(ErrorKind::Shape, "lab.lengths", "lengths of the words")
            .expected(format!("{n} of at most {l}"))
            .got(format!("{lengths:?}")));
    }
    let tokens = Tensor::upload_u32(gpu, [n, l], &tokens.to_u32());
    let mut out = Vec::new();
    for (path, rgb) in ["hr", "sr"].into_iter().zip(text_focus_images(inputs, n)?) {
        let gray: Vec<f32> =
            rgb.chunks_exact(3).map(|p| 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2]).collect();
        let image = Tensor::upload(gpu, [n, 32, 128, 1], &gray);
        // The modules are named in the first pass only: the second one calls the same modules again.
        let cx = if out.is_empty() { detail.pass(gpu) } else { Cx::new(gpu) };
        let focus = network.forward(&cx, &image, &tokens)?;
        out.extend(collect(gpu, cx.submit()?)?);
        let hosts = Tensor::read_all(gpu, &[&focus.logits, &focus.attention])?;
        let value =
            |name: &str, value| Activation { name: format!("{path}.{name}"), call: 0, value };
        out.push(value("logits", packed(&hosts[0], &lengths)));
        out.push(value("attn", hosts[1].clone()));
    }
    Ok(out)
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

/// Activations as a state dict to write: floats as f32, indices as i32.
///
/// # Errors
/// [`ErrorKind::Shape`] when a value does not fit its shape, which would be a mistake here.
pub fn to_state_dict(activations: &[Activation]) -> Result<StateDict> {
    let mut state = StateDict::default();
    for a in activations {
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
    Ok(state)
}

fn to_f64(tensor: &HostTensor) -> Result<Vec<f64>> {
    let wide = tensor.convert(Dtype::F64)?;
    let one = |c: &[u8]| f64::from_le_bytes(c.try_into().expect("eight bytes"));
    Ok(wide.bytes().chunks_exact(8).map(one).collect())
}
