//! What a driver remembers of the pipelines it has compiled, as bytes that another run can begin with.

use sha2::{Digest, Sha256};

/// The driver's own cache of pipelines.
pub(super) struct DriverCache(wgpu::PipelineCache);

/// Bytes of the sum that sealed data begin with.
const SUM: usize = 32;

impl DriverCache {
    /// Pipeline-cache key of this adapter; `None` without the feature `PIPELINE_CACHE`.
    pub(super) fn name(device: &wgpu::Device) -> Option<String> {
        let able = device.features().contains(wgpu::Features::PIPELINE_CACHE);
        able.then(|| wgpu::util::pipeline_cache_key(&device.adapter_info())).flatten()
    }

    /// A cache that begins with what [`DriverCache::bytes`] gave, if that is whole; on a device that has a name for it.
    ///
    /// # Safety
    /// The sum tells damage, not intent: nobody else may have written the bytes.
    pub(super) unsafe fn new(device: &wgpu::Device, bytes: &[u8]) -> Self {
        // SAFETY: the data are a driver's, since their sum is right and nobody else wrote them. wgpu and the driver compare
        // devices and versions, and drop what is not theirs.
        DriverCache(unsafe {
            device.create_pipeline_cache(&wgpu::PipelineCacheDescriptor {
                label: Some("pipelines"),
                data: whole(bytes),
                fallback: true,
            })
        })
    }

    pub(super) fn raw(&self) -> &wgpu::PipelineCache {
        &self.0
    }

    /// What the driver remembers, behind its sum.
    pub(super) fn bytes(&self) -> Option<Vec<u8>> {
        self.0.get_data().map(|data| sealed(&data))
    }
}

fn sealed(data: &[u8]) -> Vec<u8> {
    [&Sha256::digest(data)[..], data].concat()
}

/// The data of bytes whose sum is right.
fn whole(bytes: &[u8]) -> Option<&[u8]> {
    let (sum, data) = bytes.split_at_checked(SUM)?;
    (sum == &Sha256::digest(data)[..]).then_some(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_sealed_is_whole() {
        let bytes = sealed(b"what a driver gave");
        assert_eq!(whole(&bytes), Some(&b"what a driver gave"[..]));
        for cut in 0..bytes.len() {
            assert_eq!(whole(&bytes[..cut]), None, "cut at {cut}");
        }
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert_eq!(whole(&other), None, "changed at {at}");
        }
    }
}
