//! Super-resolves one image and prints what is written there: `cargo run --release --example upscale IN.png OUT.png`.

use lemma_gpu::data::picture::{Format, decode, encode, write_file};
use lemma_gpu::gpu::GpuOptions;
use lemma_gpu::{Engine, Lemma, Source};
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [input, output] = arguments.as_slice() else {
        return Err("usage: upscale IN OUT".into());
    };
    let image = decode(&std::fs::read(input)?, input)?.image;

    let engine = Engine::new(GpuOptions::default())?;
    let lemma = Lemma::load(&engine, Source::Shipped)?;
    let result = lemma.upscale(&[image])?.remove(0);

    println!("{} ({:.0} %)", result.text, 100.0 * result.confidence);
    let output = Path::new(output);
    write_file(output, &encode(&result.image, Format::from_path(output)?)?, true)?;
    Ok(())
}
