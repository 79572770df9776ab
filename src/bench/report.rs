//! Everything that was measured in a run: as JSON, as tables and as a page.

use super::models::ModelResult;
use super::peak::{Clock, Peak};
use super::profile::Profile;
use super::tree::{TimeTree, kernel_table};
use super::work::KernelResult;
use crate::data::report::{Bars, Page, Roofline, RooflinePoint, Table, Tile};
use crate::gpu::{AdapterSummary, Gpu, Precision};
use serde::Serialize;

/// The adapter that all of a report was measured on.
#[derive(Debug, Clone, Serialize)]
pub struct AdapterRecord {
    /// Name.
    pub name: String,
    /// `DiscreteGpu`, `IntegratedGpu`, `VirtualGpu`, `Cpu` or `Other`.
    pub kind: String,
    /// `vulkan`, `metal` or `dx12`.
    pub backend: String,
    /// Driver name and version.
    pub driver: String,
}

impl From<&AdapterSummary> for AdapterRecord {
    fn from(s: &AdapterSummary) -> Self {
        let [name, kind, backend, driver] =
            [&s.name, &s.kind, &s.backend, &s.driver].map(String::clone);
        AdapterRecord { name, kind, backend, driver }
    }
}

/// A run of measurements.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// `lemma-gpu`.
    pub program: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Where it ran.
    pub adapter: AdapterRecord,
    /// How tensors are stored: `f32` or `f16`.
    pub precision: &'static str,
    /// The clock of peaks and kernels. Networks are always timed by the host's, profiles by the GPU's.
    pub kernel_clock: Clock,
    /// Classes of products whose tile was chosen by measurement; all others go by rule.
    pub tuned_products: usize,
    /// What the adapter can do; none where no kernel was measured.
    pub peak: Option<Peak>,
    /// Kernels in the order of the table.
    pub kernels: Vec<KernelResult>,
    /// Networks.
    pub models: Vec<ModelResult>,
    /// Passes and steps, dispatch by dispatch.
    pub profiles: Vec<Profile>,
}

impl Peak {
    /// Both in a line.
    pub fn line(&self) -> String {
        format!(
            "peak {:.1} GFLOP/s of multiply-adds, {:.1} GB/s of copying 16 MiB (read + write)",
            self.flops / 1e9,
            self.bandwidth / 1e9
        )
    }
}

impl Report {
    /// A report with nothing in it yet.
    pub fn new(gpu: &Gpu) -> Self {
        Report {
            program: "lemma-gpu",
            version: env!("CARGO_PKG_VERSION"),
            adapter: gpu.summary().into(),
            precision: match gpu.options().precision {
                Precision::F32 => "f32",
                Precision::F16 => "f16",
            },
            kernel_clock: Clock::of(gpu),
            tuned_products: gpu.choices().len(),
            peak: None,
            kernels: Vec::new(),
            models: Vec::new(),
            profiles: Vec::new(),
        }
    }

    /// Sets the peak, and each kernel's share of it.
    pub fn compare(&mut self, peak: Peak) {
        self.kernels.iter_mut().for_each(|k| k.compare(&peak));
        self.peak = Some(peak);
    }

    /// Whether nothing was measured.
    pub fn is_empty(&self) -> bool {
        self.kernels.is_empty() && self.models.is_empty() && self.profiles.is_empty()
    }

    /// Adapter, driver, clocks, where tiles are from and how tensors are stored, in three lines.
    pub fn title(&self) -> String {
        let AdapterRecord { name, backend, driver, .. } = &self.adapter;
        let tiles = match self.tuned_products {
            0 => "by rule".into(),
            n => format!("as measured for {n} classes of products, else by rule"),
        };
        format!(
            "{name} ({backend}, {driver})\nkernels by {}; networks by the host's clock (submission to completion)\nmatrix tiles {tiles}; tensors in {}",
            self.kernel_clock, self.precision
        )
    }

    /// The networks as a table.
    pub fn model_table(&self) -> Table {
        let numbers =
            ["cold ms", "p50 ms", "p99 ms", "host ms", "dispatches", "passes", "images/s", "MiB"];
        let mut table = Table::new("", &["network"], &numbers);
        for m in &self.models {
            let ms = |seconds: f64| format!("{:.2}", seconds * 1e3);
            table.row([
                m.name.clone(),
                ms(m.cold_seconds),
                ms(m.p50_seconds),
                ms(m.p99_seconds),
                ms(m.host_seconds),
                m.dispatches.to_string(),
                m.passes.to_string(),
                format!("{:.1}", m.images_per_second),
                format!("{:.1}", m.pass_bytes as f64 / f64::from(1 << 20)),
            ]);
        }
        table
    }

    /// The kernels for a terminal: a line for each, its long name last.
    pub fn kernel_text(&self) -> String {
        let mut text = String::from("        time     GB/s    GFLOP/s  share  operation\n");
        for k in &self.kernels {
            let (ms, share) = (k.seconds * 1e3, k.share * 100.0);
            text += &format!(
                "{ms:9.3} ms  {:7.2}  {:9.2}  {share:3.0} %  {}\n",
                k.gbytes, k.gflops, k.name
            );
        }
        text
    }

    fn kernel_table(&self) -> Table {
        let numbers = ["dispatches", "ms", "GB/s", "GFLOP/s", "share"];
        let mut table = Table::new("", &["operation"], &numbers);
        for k in &self.kernels {
            table.row([
                k.name.clone(),
                k.dispatches.to_string(),
                format!("{:.3}", k.seconds * 1e3),
                format!("{:.2}", k.gbytes),
                format!("{:.2}", k.gflops),
                format!("{:.0} %", k.share * 100.0),
            ]);
        }
        table
    }

    /// The report as a page.
    pub fn page(&self) -> Page {
        let title = format!("How fast {} is", self.adapter.name);
        let mut page = Page::new(&title, &self.title().replace('\n', "; "));
        let tile = |value: String, name: &str, note: &str| Tile {
            value,
            name: name.into(),
            note: note.into(),
        };
        let mut tiles = Vec::new();
        if let Some(peak) = &self.peak {
            let (flops, bytes) = (peak.flops / 1e9, peak.bandwidth / 1e9);
            tiles.push(tile(
                format!("{flops:.0} GFLOP/s"),
                "multiply-adds in registers",
                "the best before and after the kernels",
            ));
            tiles.push(tile(
                format!("{bytes:.1} GB/s"),
                "copying 16 MiB",
                "read and written, the best before and after the kernels",
            ));
        }
        for m in self.models.iter().filter(|m| m.batch == 1) {
            tiles.push(tile(
                format!("{:.1} ms", m.p50_seconds * 1e3),
                &m.name,
                "median of warm passes",
            ));
        }
        page.tiles(&tiles);
        if let Some(peak) = self.peak.filter(|_| !self.kernels.is_empty()) {
            page.section("Kernels");
            let point = |k: &KernelResult| RooflinePoint {
                name: k.name.clone(),
                intensity: k.flops / k.bytes,
                flops: k.gflops * 1e9,
            };
            let points = self.kernels.iter().filter(|k| k.flops > 0.0).map(point).collect();
            let roofline = Roofline { flops: peak.flops, bandwidth: peak.bandwidth, points };
            let caption = "Each dot is an operation at a shape; the lines are what this adapter can do at most. Operations that \
                           only move data have no dot. Where there is no room for a label, the dot shows it when pointed at.";
            page.drawing(&roofline.svg(), caption);
            page.table(&self.kernel_table());
            page.note(
                "Bytes are those of inputs and outputs, each once. The share is that of the least time that the adapter \
                 allows, the larger of operations over peak and bytes over bandwidth, in the time taken; it passes 100 % \
                 where caches are faster than a copy.",
            );
        }
        if !self.models.is_empty() {
            page.section("Networks");
            page.table(&self.model_table());
            page.note(
                "Cold is the first pass on a device that was just opened, with the making of pipelines; the driver may have \
                 some in a cache on disk. The 99th percentile of up to 100 passes is the longest.",
            );
        }
        for p in &self.profiles {
            page.section(&p.name);
            page.text(&p.sums());
            page.drawing(
                &bars(&p.tree).svg(),
                "Each bar lies below the scope that it is a part of.",
            );
            page.table(&kernel_table(&p.kernels));
        }
        page
    }
}

fn bars(tree: &TimeTree) -> Bars {
    Bars {
        name: tree.name.clone(),
        note: format!("{:.0} µs, {} dispatches", tree.seconds * 1e6, tree.dispatches),
        value: tree.seconds,
        below: tree.below.iter().map(bars).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Timing;

    fn report() -> Report {
        let kernel = |name: &str, flops: f64| KernelResult {
            name: name.into(),
            rounds: 3,
            dispatches: 1,
            seconds: 1e-3,
            flops,
            bytes: 1e6,
            gflops: flops / 1e6,
            gbytes: 1.0,
            share: 0.25,
        };
        let adapter = AdapterRecord {
            name: "<GPU>".into(),
            kind: "Other".into(),
            backend: "vulkan".into(),
            driver: "d 1".into(),
        };
        let timings = [("a.b", 2e-3), ("a", 1e-3)].map(|(s, seconds)| Timing {
            scope: s.into(),
            kernel: "k",
            seconds,
        });
        Report {
            program: "lemma-gpu",
            version: "0",
            adapter,
            precision: "f32",
            kernel_clock: Clock::Gpu,
            tuned_products: 0,
            peak: Some(Peak { flops: 1e11, bandwidth: 1e10 }),
            kernels: vec![kernel("matmul x", 2e7), kernel("layout y", 0.0)],
            models: Vec::new(),
            profiles: vec![Profile {
                name: "a pass".into(),
                rounds: 3,
                wall_seconds: 4e-3,
                tree: TimeTree::new("a pass", &timings),
                kernels: super::super::tree::by_kernel(&timings),
            }],
        }
    }

    #[test]
    fn the_page_holds_all_and_loads_nothing() {
        let html = report().page().html();
        for part in
            ["&lt;GPU&gt;", "matmul x", "layout y", "25 %", "a pass", "3000 µs, 2 dispatches"]
        {
            assert!(html.contains(part), "{part}");
        }
        assert_eq!(html.matches("<circle").count(), 1, "no dot without operations");
        assert!(!html.contains("src=") && !html.contains("href=") && !html.contains("NaN"));
    }

    #[test]
    fn json_names_its_clock() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!(json["kernel_clock"], "gpu");
        assert_eq!(json["kernels"][0]["share"], 0.25);
        assert_eq!(json["profiles"][0]["tree"]["below"][0]["name"], "a");
    }
}
