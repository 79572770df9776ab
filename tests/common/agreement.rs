//! Activations of whole models beside those of a reference file.

use lemma_gpu::data::checkpoint::StateDict;
use lemma_gpu::engine::trace::{self, Activation};

/// Fails with every comparison that misses its bound; the first one in graph order leads.
pub fn expect_agreement(activations: &[Activation], reference: &StateDict, least: usize) {
    let comparisons = trace::compare(activations, reference).expect("comparable");
    assert!(comparisons.len() >= least, "only {} comparisons", comparisons.len());
    let failed: Vec<String> =
        comparisons.iter().filter(|c| !c.passes()).map(ToString::to_string).collect();
    assert!(
        failed.is_empty(),
        "{} of {} differ, first in graph order:\n{}",
        failed.len(),
        comparisons.len(),
        failed.iter().take(20).cloned().collect::<Vec<_>>().join("\n")
    );
}

/// Every name in the reference was compared, apart from inputs, gradients and what only training uses.
pub fn expect_complete(activations: &[Activation], reference: &StateDict, apart: &[&str]) {
    let compared: Vec<String> = activations.iter().map(Activation::key).collect();
    let absent: Vec<&String> = reference
        .tensors
        .keys()
        .filter(|k| !compared.contains(k) && !apart.iter().any(|a| k.starts_with(a)))
        .collect();
    assert!(absent.is_empty(), "never compared: {absent:?}");
    let info = trace::info(reference).expect("info");
    let modules = info["trace"].as_array().expect("a list of modules").len();
    let traced = activations.iter().filter(|a| a.call > 0).count();
    assert!(traced >= modules, "{traced} modules traced of {modules}");
}
