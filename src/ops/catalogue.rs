//! The kernel catalogue, `shaders/README.md`: what each kernel says of itself, and who uses it.

use super::{KernelUse, kernels};
use crate::gpu::{Kernel, Variant};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// The parts of a header, in their order.
pub const HEADER: [&str; 4] = ["formula", "bindings", "grid", "cost"];

/// The part `name` of a kernel's header, one of [`HEADER`]; a line that names no part continues the one before it.
pub fn header(kernel: &Kernel, name: &str) -> Option<String> {
    let lines: Vec<&str> =
        kernel.source.lines().map_while(|l| l.strip_prefix("//!")).map(str::trim).collect();
    let start = |line: &str, name: &str| {
        line.strip_prefix(name).and_then(|l| l.strip_prefix(':')).map(|l| l.trim().to_string())
    };
    let (at, mut text) = lines.iter().enumerate().find_map(|(i, l)| Some((i, start(l, name)?)))?;
    for line in &lines[at + 1..] {
        if HEADER.iter().any(|part| start(line, part).is_some()) {
            break;
        }
        text = format!("{text} {line}");
    }
    (!text.trim().is_empty()).then_some(text)
}

/// A kernel with everybody who uses it.
pub struct Entry {
    /// The kernel.
    pub kernel: &'static Kernel,
    /// The operations that have it in their rows, by name; none for a measuring tool.
    pub ops: BTreeSet<&'static str>,
    /// All variants in use, each once.
    pub variants: Vec<Variant>,
}

/// Every kernel once, by path.
pub fn entries() -> Vec<Entry> {
    let mut all: BTreeMap<&str, Entry> = BTreeMap::new();
    for (op, KernelUse { kernel, variants }) in kernels() {
        let entry = all.entry(kernel.path).or_insert_with(|| Entry {
            kernel,
            ops: BTreeSet::new(),
            variants: Vec::new(),
        });
        entry.ops.extend(op);
        for variant in variants() {
            if !entry.variants.contains(&variant) {
                entry.variants.push(variant);
            }
        }
    }
    all.into_values().collect()
}

/// The text of `shaders/README.md`.
pub fn catalogue() -> String {
    let mut text = String::from(
        "# Kernels\n\n\
         Generated from the headers of the kernels and the table of operations; not edited by hand\n\
         (`LEMMA_GPU_BLESS=1 cargo test --test tidy` writes it anew). `N C H W L` are sizes, `->` separates inputs from\n\
         outputs. `shared/` holds what kernels import.\n",
    );
    let mut family = "";
    for Entry { kernel, ops, variants } in entries() {
        let here = kernel.path.split('/').next().unwrap_or_default();
        if here != family {
            family = here;
            write!(text, "\n## {family}\n").expect("writes to a string");
        }
        let path = kernel.path;
        write!(text, "\n### [`{}`]({path}.wgsl)\n\n", kernel.name()).expect("writes to a string");
        for part in HEADER {
            let line = header(kernel, part).unwrap_or_else(|| "?".into());
            writeln!(text, "- {part}: {line}").expect("writes to a string");
        }
        let count = variants.len();
        let plural = if count == 1 { "" } else { "s" };
        let users = if ops.is_empty() {
            "the measurements".to_string()
        } else {
            ops.iter().map(|op| format!("`{op}`")).collect::<Vec<_>>().join(", ")
        };
        writeln!(text, "- used by {users} in {count} variant{plural}").expect("writes to a string");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(source: &'static str) -> Kernel {
        Kernel { path: "a/b", source, params: &[], buffers: &[] }
    }

    #[test]
    fn a_header_part_may_go_on_over_lines() {
        let k = kernel("//! formula: y = x\n//!   + 1\n//! grid: one\n//! cost:\n\nfn main() {}\n");
        assert_eq!(header(&k, "formula").as_deref(), Some("y = x + 1"));
        assert_eq!(header(&k, "grid").as_deref(), Some("one"));
        assert_eq!(header(&k, "cost"), None);
        assert_eq!(header(&k, "bindings"), None);
    }

    #[test]
    fn the_catalogue_has_every_kernel_once() {
        let text = catalogue();
        for e in entries() {
            let title = format!("### [`{}`]({}.wgsl)\n", e.kernel.name(), e.kernel.path);
            assert_eq!(text.matches(&title).count(), 1, "{title}");
        }
    }
}
