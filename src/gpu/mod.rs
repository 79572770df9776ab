//! The device floor: adapters, buffers, kernels, recorded passes, read-back and timings.
//!
//! This is the only module that names wgpu. It knows bytes and kernels, not tensors.
//!
//! Kernels are compiled without checks of bounds, so only operations of this crate dispatch them, with parameters that they have
//! looked at, and only this crate hands a driver the pipelines of an earlier run:
//!
//! ```compile_fail
//! use lemma_gpu::gpu::{Bind, Grid, Kernel, Params, Variant};
//! use lemma_gpu::tensor::Cx;
//! fn run<P: Params>(cx: &Cx, kernel: &'static Kernel, v: &Variant, grid: Grid, p: &P, binds: &[Bind<'_>]) {
//!     let _ = cx.run(kernel, v, grid, p, binds);
//! }
//! ```
//!
//! ```compile_fail
//! let recall = lemma_gpu::gpu::Gpu::recall_pipelines;
//! ```

mod adapter;
mod autotune;
mod bind;
mod buffer;
mod cache;
mod context;
mod device;
mod driver;
mod flatten;
mod half;
mod interrupt;
mod kernel;
mod pass;
mod pipeline;
mod profile;
mod readback;
mod record;
mod submit;
mod throttle;
mod traits;
mod translate;

/// The wgpu that this crate is built with, for host programs that share their device.
pub use wgpu;
pub use wgpu::{
    Adapter as HostAdapter, Buffer as HostBuffer, Device as HostDevice, Queue as HostQueue,
};

pub use adapter::AdapterSummary;
pub use bind::{Bind, Grid, Part};
pub use buffer::{Buffer, IMAGE_WIDTH, MemoryUse, Workspace};
pub use context::{GUARD_BYTES, GpuOptions, POISON, Precision};
pub use device::Gpu;
pub use driver::panic_is_caught;
pub use flatten::{Flat, flatten, shared_sources};
pub use interrupt::Interrupt;
pub use kernel::{Access, Field, FieldType, Kernel, Params, Reflection, Variant, reflect};
pub use pass::{KeptPass, Pass};
pub use profile::Timing;
pub use readback::Readback;
pub use record::Recorder;
pub use traits::Traits;
pub use translate::{Footprint, Specialized, Target, Translation, translate};

/// Declares kernels: a constant's name, the path below `shaders/` without `.wgsl`, and the type of its parameters.
#[macro_export]
macro_rules! kernel {
    ($(#[$meta:meta])* $name:ident = $path:literal, $params:ty) => {
        $(#[$meta])*
        pub static $name: $crate::gpu::Kernel = $crate::gpu::Kernel {
            path: $path,
            source: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $path, ".wgsl")),
            params: <$params as $crate::gpu::Params>::FIELDS,
        };
    };
}

/// Declares the uniform parameters of a kernel: a plain struct of `u32`, `i32` and `f32` whose layout a test compares
/// with the WGSL side.
#[macro_export]
macro_rules! params {
    ($(#[$meta:meta])* struct $name:ident { $($(#[$fm:meta])* $field:ident : $ty:ident),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
        #[repr(C)]
        pub struct $name { $($(#[$fm])* pub $field: $ty),+ }

        impl $crate::gpu::Params for $name {
            const FIELDS: &'static [$crate::gpu::Field] = &[
                $($crate::gpu::Field {
                    name: stringify!($field),
                    ty: $crate::gpu::FieldType::$ty,
                    offset: std::mem::offset_of!($name, $field) as u32,
                }),+
            ];
        }
    };
}
