//! Every kernel in every variant in use, without an adapter: valid, translatable for Vulkan, Metal and DX12, within WebGPU's
//! default limits, laid out as its Rust side believes, and explained in its header.

use lemma_gpu::Error;
use lemma_gpu::gpu::{Specialized, Target, Variant, shared_sources};
use lemma_gpu::ops::catalogue::{Entry, HEADER, entries, header};
use std::collections::BTreeSet;
use std::path::Path;

/// Runs `look` on every kernel and fails with all its complaints.
fn for_every_kernel(look: impl Fn(&Entry) -> Vec<String>) {
    let all = entries();
    assert!(!all.is_empty(), "the table has kernels");
    let complaints: Vec<String> = all
        .iter()
        .flat_map(|e| look(e).into_iter().map(|c| format!("shaders/{}.wgsl: {c}", e.kernel.path)))
        .collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

fn for_every_variant(look: impl Fn(&Specialized) -> Vec<String>) {
    for_every_kernel(|entry| {
        let mut complaints = Vec::new();
        for variant in &entry.variants {
            match Specialized::new(entry.kernel, variant) {
                Ok(one) => {
                    complaints.extend(look(&one).into_iter().map(|c| format!("[{variant}]: {c}")));
                }
                Err(e) => complaints.push(format!("[{variant}]: {e}")),
            }
        }
        if entry.variants.is_empty() {
            complaints.push("no variant is listed".into());
        }
        complaints
    });
}

#[test]
fn every_variant_translates_for_every_target() {
    for_every_variant(|one| {
        Target::ALL
            .into_iter()
            .filter_map(|target| one.translate(target).err())
            .map(|e| e.to_string())
            .collect()
    });
}

/// The same with every buffer of floats stored as f16.
#[test]
fn every_variant_translates_in_f16() {
    for_every_kernel(|entry| {
        let translated = |variant: &Variant| -> Result<(), Error> {
            let floats = Specialized::new(entry.kernel, variant)?.reflection().floats;
            let one = Specialized::new(entry.kernel, &variant.clone().halves(floats))?;
            Target::ALL.into_iter().try_for_each(|target| one.translate(target).map(drop))
        };
        let failed = |v| translated(v).err().map(|e| format!("[{v}]: {e}"));
        entry.variants.iter().filter_map(failed).collect()
    });
}

#[test]
fn every_variant_stays_within_the_default_limits() {
    for_every_variant(|one| {
        let f = one.footprint();
        let [x, y, z] = f.workgroup;
        let mut complaints = Vec::new();
        let mut limit = |what: &str, got: usize, most: usize| {
            if got > most {
                complaints.push(format!("{what}: at most {most}, got {got}"));
            }
        };
        limit("storage buffers", f.storage_buffers, 8);
        limit("invocations of a workgroup", (x * y * z) as usize, 256);
        limit("workgroup size in z", z as usize, 64);
        limit("bytes of workgroup memory", f.workgroup_bytes as usize, 16 << 10);
        limit("float atomics", f.float_atomics.into(), 0);
        complaints
    });
}

#[test]
fn parameters_and_buffers_are_laid_out_alike_on_both_sides() {
    for_every_kernel(|entry| {
        let rust: Vec<(String, String, u32)> = entry
            .kernel
            .params
            .iter()
            .map(|f| (f.name.to_string(), format!("{:?}", f.ty), f.offset))
            .collect();
        let mut complaints = Vec::new();
        for variant in &entry.variants {
            let Ok(one) = Specialized::new(entry.kernel, variant) else { continue };
            let wgsl = &one.reflection().params;
            if *wgsl != rust {
                complaints.push(format!("[{variant}]: Params: WGSL {wgsl:?}, Rust {rust:?}"));
            }
            let buffers = one.reflection().buffers.iter().map(|(name, _)| name.as_str());
            if !buffers.clone().eq(entry.kernel.buffers.iter().copied()) {
                let (wgsl, rust) = (buffers.collect::<Vec<_>>(), entry.kernel.buffers);
                complaints.push(format!("[{variant}]: buffers: WGSL {wgsl:?}, Rust {rust:?}"));
            }
        }
        complaints
    });
}

#[test]
fn every_kernel_explains_itself() {
    for_every_kernel(|entry| {
        HEADER
            .into_iter()
            .filter(|part| header(entry.kernel, part).is_none())
            .map(|part| format!("header line `//! {part}: …` is missing"))
            .collect()
    });
}

/// `acc{i}_{c}` says nothing to a reader who does not know what i and c count.
#[test]
fn kernels_made_by_repetition_begin_with_a_legend_of_their_indices() {
    for_every_kernel(|entry| {
        let source = entry.kernel.source;
        let repeats = source.split("#repeat ").skip(1).filter_map(|r| r.split(' ').next());
        let letters: BTreeSet<&str> = repeats.filter(|l| *l != "once").collect();
        let legend: String = source
            .lines()
            .skip_while(|l| !l.starts_with("// indices: "))
            .map_while(|l| l.strip_prefix("// "))
            .fold(String::new(), |all, line| all + " " + line);
        let words: BTreeSet<&str> = legend.split([' ', ',', ':', '.']).collect();
        let missing = letters.iter().filter(|l| letters.len() > 1 && !words.contains(**l));
        missing.map(|l| format!("`// indices: …` does not say what {l} counts")).collect()
    });
}

#[test]
fn every_file_is_a_kernel_of_the_table() {
    let known: BTreeSet<String> =
        entries().iter().map(|e| format!("{}.wgsl", e.kernel.path)).collect();
    let shared: BTreeSet<String> =
        shared_sources().iter().map(|(n, _)| format!("shared/{n}.wgsl")).collect();
    let mut found = BTreeSet::new();
    files(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders")), "", &mut found);
    found.remove("README.md");
    let expected: BTreeSet<String> = known.union(&shared).cloned().collect();
    let strays: Vec<_> = found.difference(&expected).collect();
    assert!(strays.is_empty(), "no row names {strays:?}");
    let imported: String = entries().iter().map(|e| e.kernel.source).collect();
    let imported: String = shared_sources().iter().map(|(_, s)| *s).fold(imported, |a, s| a + s);
    for (name, _) in shared_sources() {
        let import = format!("#import {name}\n");
        assert!(imported.contains(&import), "no kernel imports shared/{name}.wgsl");
    }
}

fn files(folder: &Path, prefix: &str, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the package") {
        let entry = entry.expect("an entry");
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            files(&entry.path(), &format!("{name}/"), found);
        } else {
            found.insert(name);
        }
    }
}
