//! A host program with its own wgpu device: the images are made on it, super-resolved on it, and the result is used on it,
//! without a trip to the host in between.

use lemma_gpu::data::picture::{bicubic, decode, lr_input};
use lemma_gpu::gpu::{GpuOptions, wgpu};
use lemma_gpu::{Engine, Lemma, Source};
use wgpu::util::DeviceExt;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The host's device, as any wgpu program has one.
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = pollster::block_on(instance.request_adapter(&Default::default()))?;
    let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
        required_features: adapter.features() & wgpu::Features::SUBGROUP,
        ..Default::default()
    }))?;

    let options = GpuOptions::default();
    let engine = Engine::from_wgpu(&adapter, device.clone(), queue.clone(), options)?;
    let lemma = Lemma::load(&engine, Source::Shipped)?;

    // An image of the host's on its device: f32 [1, 16, 64, 4].
    let picture = decode(include_bytes!("../weights/demo/station.png"), "station.png")?.image;
    let values = lr_input(&bicubic(&picture, 64, 16));
    let input = device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
        label: Some("word"),
        contents: bytemuck::cast_slice(&values),
        usage: wgpu::BufferUsages::STORAGE,
    });
    let result = lemma.upscale_on_device(input, 1)?;

    // What the host does with it: here a copy of its own, whose mean it then looks at.
    let bytes = 32 * 128 * 4 * 4;
    let own = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("the host's copy"),
        size: bytes,
        usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
        mapped_at_creation: false,
    });
    let mut encoder = device.create_command_encoder(&Default::default());
    encoder.copy_buffer_to_buffer(result.buffer(), 0, &own, 0, bytes);
    queue.submit([encoder.finish()]);
    own.slice(..).map_async(wgpu::MapMode::Read, |mapped| mapped.expect("a mapped copy"));
    device.poll(wgpu::PollType::wait_indefinitely())?;
    let view = own.slice(..).get_mapped_range()?;
    let pixels: &[f32] = bytemuck::cast_slice(&view);
    let mean = pixels.iter().sum::<f32>() / pixels.len() as f32;
    println!("{} image of 32×128 on {}, mean {mean:.4}", result.count(), engine.adapter().name);
    assert!(mean.is_finite() && mean != 0.0);
    Ok(())
}
