//! What an adapter is like, in the words of those who choose between kernels: worked out once, when it is opened.

use super::summary::AdapterSummary;

/// What an adapter is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traits {
    /// Lanes of a subgroup, where subgroup operations are available and all subgroups have one size.
    pub subgroup: Option<u32>,
    /// The driver takes a good part of a second to compile a large kernel, so fewer kernels are worth slower ones.
    pub compiles_slowly: bool,
    /// A workgroup runs on one thread: barriers and workgroup memory cost, and lanes beyond a subgroup add no parallelism.
    pub barriers_are_costly: bool,
    /// A handful of workgroups occupies all of it, so a few large ones are as good as many.
    pub few_workgroups_fill_it: bool,
    /// A load costs by its components rather than its bytes, and there are 64-bit integers to move two at a time.
    pub loads_cost_by_component: bool,
    /// Loads are dear next to exchanging values between the lanes of a subgroup.
    pub shuffles_are_cheap: bool,
    /// Loads from a storage texture are faster than from a buffer: three times as fast on llvmpipe.
    pub prefers_texture_loads: bool,
}

impl Traits {
    pub(super) fn of(
        adapter: &AdapterSummary,
        features: wgpu::Features,
        no_subgroups: bool,
    ) -> Self {
        let (least, most) = adapter.subgroup;
        let subgroup =
            (features.contains(wgpu::Features::SUBGROUP) && !no_subgroups && least == most)
                .then_some(least);
        // What is known of drivers that compute on the CPU: llvmpipe, whose subgroups have eight lanes, and SwiftShader, four.
        let cpu = adapter.software;
        Traits {
            subgroup,
            compiles_slowly: cpu,
            barriers_are_costly: cpu,
            few_workgroups_fill_it: cpu,
            loads_cost_by_component: cpu && features.contains(wgpu::Features::SHADER_INT64),
            shuffles_are_cheap: cpu && subgroup.is_some_and(|lanes| lanes >= 8),
            prefers_texture_loads: cpu && subgroup == Some(8),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_has_none_of_the_traits_of_a_cpu() {
        let adapter = |software, lanes| AdapterSummary {
            software,
            subgroup: (lanes, lanes),
            ..AdapterSummary::default()
        };
        let all = wgpu::Features::SUBGROUP | wgpu::Features::SHADER_INT64;
        let gpu = Traits::of(&adapter(false, 32), all, false);
        assert_eq!(gpu, Traits { subgroup: Some(32), ..Traits::default() });
        let eight = Traits::of(&adapter(true, 8), all, false);
        assert!(eight.prefers_texture_loads && eight.shuffles_are_cheap && eight.compiles_slowly);
        let plain = Traits::of(&adapter(true, 8), all, true);
        assert!(plain.subgroup.is_none() && !plain.prefers_texture_loads);
        assert!(plain.barriers_are_costly && plain.loads_cost_by_component);
        let four = Traits::of(&adapter(true, 4), wgpu::Features::SUBGROUP, false);
        assert!(!four.shuffles_are_cheap && !four.loads_cost_by_component);
    }
}
