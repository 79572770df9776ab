//! burn on wgpu as a peer: says what it is, then answers each shape on standard input with a time, as `worker.py` does.

use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, DeviceType, Tensor, TensorData};
use std::collections::HashMap;
use std::error::Error;
use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

type Answer<T> = Result<T, Box<dyn Error>>;

const SECONDS: Duration = Duration::from_millis(300);
const LEAST: usize = 3;
const WARM_UP: usize = 2;
const SAMPLES: usize = 16;

/// Runs the operation, waits, and returns its output.
type Run = Box<dyn Fn() -> Answer<Tensor<4>>>;

fn main() {
    let adapter = std::env::args().nth(1).unwrap_or_default();
    let device = match open(&adapter) {
        Ok(device) => device,
        Err(e) => return say(&format!("error\t{e}")),
    };
    say(&format!("ready\t{}, wgpu {}\t{adapter}", version("burn"), version("wgpu")));
    let mut prepared: HashMap<String, Run> = HashMap::new();
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        say(&answer(&device, &mut prepared, line).unwrap_or_else(|e| format!("error\t{e}")));
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", line.replace('\n', " ")).and_then(|()| out.flush()).expect("a reader");
}

/// The version of a package that this was built with.
fn version(package: &str) -> &'static str {
    let lines = include_str!("../Cargo.lock").lines();
    let mut after = lines.skip_while(|line| *line != format!("name = \"{package}\""));
    after.nth(1).and_then(|line| line.split('"').nth(1)).unwrap_or("of an unknown version")
}

fn open(adapter: &str) -> Answer<Device> {
    let mut names = Vec::new();
    for device in Device::enumerate(DeviceType::Wgpu) {
        let name = device.identity().map(|i| i.name).unwrap_or_default();
        if name == adapter {
            return Ok(device);
        }
        names.push(name);
    }
    Err(format!("expected the adapter {adapter}, got {names:?}").into())
}

fn answer(device: &Device, prepared: &mut HashMap<String, Run>, line: String) -> Answer<String> {
    if !prepared.contains_key(&line) {
        prepared.insert(line.clone(), prepare(device, &line)?);
    }
    measure(&prepared[&line])
}

fn prepare(device: &Device, line: &str) -> Answer<Run> {
    let (kind, numbers) = line.split_once(' ').ok_or("expected a kind and numbers")?;
    let numbers = numbers.split(' ').map(str::parse).collect::<Result<Vec<usize>, _>>()?;
    let waits = device.clone();
    match (kind, &numbers[..]) {
        ("conv", &[n, h, w, inputs, outputs, k]) => {
            let x: Tensor<4> = Tensor::from_data(values(&[n, inputs, h, w], 1), device);
            let weight: Tensor<4> = Tensor::from_data(values(&[outputs, inputs, k, k], 2), device);
            let bias: Tensor<1> = Tensor::from_data(values(&[outputs], 3), device);
            let options = ConvOptions::new([1, 1], [k / 2; 2], [1, 1], 1);
            Ok(Box::new(move || {
                let b = Some(bias.clone());
                let y = conv2d(x.clone(), weight.clone(), b, options.clone());
                waits.sync()?;
                Ok(y)
            }))
        }
        ("matmul", &[m, k, n]) => {
            let a: Tensor<2> = Tensor::from_data(values(&[m, k], 1), device);
            let b: Tensor<2> = Tensor::from_data(values(&[k, n], 2), device);
            Ok(Box::new(move || {
                let y = a.clone().matmul(b.clone());
                waits.sync()?;
                Ok(y.unsqueeze())
            }))
        }
        _ => Err(format!("expected conv and 6 numbers or matmul and 3, got {line}").into()),
    }
}

/// The line with the median time, the number of runs and the sampled values of the output.
fn measure(run: &Run) -> Answer<String> {
    let mut output = run()?;
    for _ in 1..WARM_UP {
        output = run()?;
    }
    let begun = Instant::now();
    let mut times = Vec::new();
    while times.len() < LEAST || begun.elapsed() < SECONDS {
        let begun = Instant::now();
        run()?;
        times.push(begun.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    let middle = times.len() / 2;
    let median = (times[middle] + times[(times.len() - 1) / 2]) / 2.0;
    let y = output.into_data().try_to_vec::<f32>()?;
    let sample = |i: usize| y[i * (y.len() - 1) / (SAMPLES - 1)].to_string();
    let samples = (0..SAMPLES).map(sample).collect::<Vec<_>>().join(",");
    Ok(format!("time\t{median}\t{}\t{samples}", times.len()))
}

/// The values of `shapes.py`.
fn values(shape: &[usize], seed: u32) -> TensorData {
    let value = |i: u32| {
        let mut x = i.wrapping_mul(2_654_435_761).wrapping_add(seed);
        for (shift, factor) in [(16, 0x7feb_352d), (15, 0x846c_a68b)] {
            x = (x ^ (x >> shift)).wrapping_mul(factor);
        }
        ((x ^ (x >> 16)) >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    let len = shape.iter().product::<usize>() as u32;
    TensorData::new((0..len).map(value).collect::<Vec<f32>>(), shape.to_vec())
}
