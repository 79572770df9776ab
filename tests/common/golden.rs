//! Golden files: tensors computed by PyTorch, by name.

use lemma_gpu::tensor::Host;
use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeMap;

/// The tensors of one file below `tests/golden/`.
pub struct Golden(BTreeMap<String, Host>);

impl Golden {
    /// Reads `tests/golden/{name}.safetensors`.
    pub fn open(name: &str) -> Self {
        let path = format!("{}/tests/golden/{name}.safetensors", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let file = SafeTensors::deserialize(&bytes).unwrap_or_else(|e| panic!("{path}: {e}"));
        let tensors = file.tensors().into_iter().map(|(name, t)| {
            let data = t.data();
            let host = match t.dtype() {
                Dtype::F32 => Host::new(t.shape(), words(data, |b| f32::from_le_bytes(b).into())),
                Dtype::I32 => {
                    Host::new(t.shape(), words(data, |b| i32::from_le_bytes(b).into())).into_u32()
                }
                Dtype::U8 => {
                    Host::new(t.shape(), data.iter().map(|b| f64::from(*b)).collect()).into_u32()
                }
                Dtype::F64 => Host::new(
                    t.shape(),
                    data.chunks_exact(8)
                        .map(|b| f64::from_le_bytes(b.try_into().expect("eight bytes")))
                        .collect(),
                ),
                other => panic!("{path}: {name} is {other:?}"),
            };
            (name, host)
        });
        Golden(tensors.collect())
    }

    /// The tensor `name`, where the file has it.
    pub fn get(&self, name: &str) -> Option<&Host> {
        self.0.get(name)
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

fn words(data: &[u8], value: impl Fn([u8; 4]) -> f64) -> Vec<f64> {
    data.chunks_exact(4).map(|b| value(b.try_into().expect("four bytes"))).collect()
}

/// |got − want| / |want| over all elements in L2; the plain norm of the difference where `want` is 0.
pub fn relative_l2(got: &[f64], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len(), "elements to compare");
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let size = norm(&mut want.iter().copied());
    let error = norm(&mut got.iter().zip(want).map(|(g, w)| g - w));
    if size > 0.0 { error / size } else { error }
}
