//! What an adapter lacks is left out only where that was asked for by name.

/// What an adapter may lack, as `LEMMA_GPU_SKIP` names it.
const FEATURES: [&str; 3] = ["f16", "subgroup", "pipeline-cache"];

/// Whether to go on with what needs `feature`, one of [`FEATURES`]. An adapter without it fails the test, unless
/// `LEMMA_GPU_SKIP`, a list with commas, names it: then that is said and the test has nothing to do.
pub fn has_or_skips(feature: &str, has: bool) -> bool {
    let list = std::env::var("LEMMA_GPU_SKIP").unwrap_or_default();
    let skipped: Vec<&str> = list.split(',').map(str::trim).filter(|s| !s.is_empty()).collect();
    let known = |s: &&str| FEATURES.contains(s);
    assert!(skipped.iter().all(known), "LEMMA_GPU_SKIP={list}: only {FEATURES:?} can be skipped");
    if has {
        return true;
    }
    assert!(
        skipped.contains(&feature),
        "the adapter has no {feature}; LEMMA_GPU_SKIP={feature} leaves out what needs it"
    );
    eprintln!("SKIPPED by LEMMA_GPU_SKIP: what needs {feature}");
    false
}
