//! An adapter in words and numbers.

/// Kinds of adapters, the fastest first.
pub(super) const KINDS: [&str; 5] = ["DiscreteGpu", "IntegratedGpu", "VirtualGpu", "Other", "Cpu"];

/// An adapter as it presents itself.
#[derive(Debug, Clone, Default)]
pub struct AdapterSummary {
    /// Index for [`GpuOptions::adapter`](super::GpuOptions::adapter).
    pub index: usize,
    /// Name.
    pub name: String,
    /// `DiscreteGpu`, `IntegratedGpu`, `VirtualGpu`, `Cpu` or `Other`.
    pub kind: String,
    /// `vulkan`, `metal` or `dx12`.
    pub backend: String,
    /// Address on the PCI bus, as `0000:3b:00.0`; empty where the driver tells none.
    pub pci: String,
    /// Driver name and version.
    pub driver: String,
    /// PCI number of its vendor; Apple's for Metal, which tells none.
    pub vendor: u32,
    /// Whether it computes on the CPU.
    pub software: bool,
    /// Features of interest that it has.
    pub features: Vec<&'static str>,
    /// Limits of interest, in bytes or counts.
    pub limits: Vec<(&'static str, u64)>,
    /// Smallest and largest subgroup.
    pub subgroup: (u32, u32),
    /// What whoever opened it should know of the choice.
    pub remark: Option<String>,
}
