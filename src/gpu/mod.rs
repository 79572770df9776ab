//! The device floor: adapters, buffers, kernels, recorded passes, read-back and timings.
//!
//! This is the only module that names wgpu. It knows bytes and kernels, not tensors.
//!
//! Kernels are compiled without checks of bounds, so only operations of this crate dispatch them, with parameters that they have
//! looked at, and only this crate hands a driver the pipelines of an earlier run:
//!
//! ```compile_fail
//! use lemma_gpu::gpu::{Bindings, Grid, Kernel, Params, Variant};
//! use lemma_gpu::tensor::{Bind, Cx};
//! fn run<'t, P: Params, B: Bindings<Bind<'t>>>(cx: &Cx, kernel: &'static Kernel, grid: Grid, p: &P, binds: B) {
//!     let _ = cx.run(kernel, &Variant::new(), grid, p, binds);
//! }
//! ```
//!
//! ```compile_fail
//! let recall = lemma_gpu::gpu::Gpu::recall_pipelines;
//! ```

mod adapter;
mod autotune;
mod awaiting;
mod bind;
mod buffer;
mod cache;
mod choose;
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
mod summary;
mod throttle;
mod traits;
mod translate;

/// The wgpu that this crate is built with, for host programs that share their device.
pub use wgpu;
pub use wgpu::{
    Adapter as HostAdapter, Buffer as HostBuffer, Device as HostDevice, Queue as HostQueue,
};

pub(crate) use awaiting::Waiting;
pub use bind::{Bind, BufferSlice, Grid};
pub use buffer::{Buffer, IMAGE_WIDTH, MemoryUse, SharedPool};
pub use context::{GUARD_BYTES, GpuOptions, POISON, Precision};
pub use device::Gpu;
pub use driver::panic_is_caught;
pub use flatten::{Flat, flatten, shared_sources};
pub use interrupt::Interrupt;
pub use kernel::{
    Access, Bindings, Field, FieldType, Kernel, Params, Reflection, Variant, reflect,
};
pub use pass::{Pass, ReplayablePass};
pub use profile::Timing;
pub use readback::Readback;
pub use record::Recorder;
pub use summary::AdapterSummary;
pub use traits::Traits;
pub use translate::{Footprint, Specialized, Target, Translation, translate};

/// Declares a kernel: a constant's name, the path below `shaders/` without `.wgsl`, the type of its parameters, and a struct
/// with a field for each of its buffers, named as in the shader and in its order. Kernels that are bound alike share the struct:
/// those after the first give its name alone.
#[macro_export]
macro_rules! kernel {
    ($name:ident = $path:literal, $params:ty, $binds:ident { $($buffer:ident),+ $(,)? }) => {
        /// What the kernel is bound to, by the names of its buffers.
        #[derive(Clone, Copy)]
        pub struct $binds<B> { $(pub $buffer: B),+ }

        impl<B> $crate::gpu::Bindings<B> for $binds<B> {
            const NAMES: &'static [&'static str] = &[$(stringify!($buffer)),+];

            fn in_order(self) -> Vec<B> {
                vec![$(self.$buffer),+]
            }
        }

        $crate::kernel!($name = $path, $params, $binds);
    };
    ($name:ident = $path:literal, $params:ty, $binds:ident) => {
        pub static $name: $crate::gpu::Kernel = $crate::gpu::Kernel {
            path: $path,
            source: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $path, ".wgsl")),
            params: <$params as $crate::gpu::Params>::FIELDS,
            buffers: <$binds<()> as $crate::gpu::Bindings<()>>::NAMES,
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
