//! The plan on adapters that need not be there, and every kernel against an oracle on the one that is.

use super::kernels::{Adapter, Tile, candidates, heuristic};
use super::*;
use crate::gpu::Traits;

const PATHS: [LoadPaths; 2] =
    [LoadPaths { u64s: false, textures: false }, LoadPaths { u64s: true, textures: true }];

/// Products of every kind, with the elements of A and B.
fn products() -> Vec<(Gemm, [usize; 2])> {
    let window = Window { kernel: (3, 3), stride: (1, 1), pad: (1, 1) };
    let [n, h, w, c] = [2, 7, 19, 12];
    let conv =
        |cout| (Gemm::windows([n, h, w, c], (h, w), window, cout), [n * h * w * c, 9 * c * cout]);
    vec![
        (Gemm::matrix(70, 36, 84), [70 * 36, 36 * 84]),
        (Gemm::matrix(33, 1028, 64), [33 * 1028, 1028 * 64]),
        (Gemm::matrix(5, 8, 24).columns(4, 32), [5 * 8, 8 * 32]),
        (Gemm::matrix(40, 12, 20).batch(3), [3 * 40 * 12, 3 * 12 * 20]),
        conv(64),
        conv(4),
        (Gemm::matrix(33, 37, 21), [33 * 37, 37 * 21]),
        (Gemm::matrix(9, 37, 5).transposed(), [9 * 37, 9 * 5]),
        (Gemm::matrix(70, 36, 84).transposed(), [70 * 36, 70 * 84]),
        (Gemm::matrix(40, 12, 20).batch(3).transposed(), [3 * 40 * 12, 3 * 40 * 20]),
        (conv(64).0.transposed(), [n * h * w * c, n * h * w * 64]),
    ]
}

/// Adapters of every kind that heuristics tell apart.
fn adapters() -> Vec<Adapter> {
    let mut all = Vec::new();
    for subgroup in [None, Some(4), Some(8), Some(16), Some(32), Some(64)] {
        for (cpu, vendor) in [(true, 0), (false, 0x10de), (false, 0x8086), (false, 0x13b5)] {
            let traits = Traits {
                subgroup,
                compiles_slowly: cpu,
                barriers_are_costly: cpu,
                few_workgroups_fill_it: cpu,
                ..Traits::default()
            };
            all.push(Adapter { traits, vendor });
        }
    }
    all
}

#[test]
fn every_product_has_a_tile_on_every_adapter_and_tiles_have_names_of_their_own() {
    let listed: Vec<(&str, Variant)> = KERNELS
        .iter()
        .flat_map(|k| (k.variants)().into_iter().map(|v| (k.kernel.path, v)))
        .collect();
    for (adapter, paths) in adapters().into_iter().flat_map(|a| PATHS.map(|p| (a, p))) {
        for (g, _) in products() {
            let tiles = candidates(&adapter, &g, paths);
            assert!(tiles.contains(&heuristic(&adapter, &g, paths)), "{g:?} on {adapter:?}");
            let mut names: Vec<String> = tiles.iter().map(Tile::to_string).collect();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), tiles.len(), "{names:?}");
            for tile in tiles {
                let variant = Epilogue::default().on(tile.variant());
                let one = (tile.kernel().path, variant);
                assert!(listed.contains(&one), "{tile:?} is not listed");
            }
        }
    }
}

/// Tests that need an adapter.
mod on_adapter {
    use super::*;
    use crate::gpu::GpuOptions;
    use crate::tensor::Seeded;

    fn open(no_subgroups: bool) -> Gpu {
        let adapter = std::env::var("LEMMA_GPU_ADAPTER").ok();
        let options =
            GpuOptions { no_subgroups, adapter, checked: true, poison: true, ..Default::default() };
        Gpu::new(options).unwrap()
    }

    fn paths(gpu: &Gpu) -> LoadPaths {
        LoadPaths { u64s: gpu.traits().loads_cost_by_component, textures: true }
    }

    fn outputs(g: &Gemm) -> usize {
        g.batch * (g.height() * g.p.cols) as usize
    }

    /// A, B, scale, shift, residual and slope of a product.
    fn operands_of(g: &Gemm, sizes: [usize; 2]) -> [Vec<f64>; 6] {
        let mut random = Seeded::new("products");
        let channels = g.p.b_stride as usize;
        let [a, b] = sizes.map(|n| random.uniform([n], -1.0, 1.0).data);
        let [scale, shift, residual, slope] =
            [channels, channels, outputs(g), 1].map(|n| random.signed([n]).data);
        [a, b, scale, shift, residual, slope]
    }

    /// The product by plain loops: a row of A is a window, of which what lies outside the image is 0.
    fn oracle(g: &Gemm, [a, b, scale, shift, residual, slope]: &[Vec<f64>; 6]) -> Vec<f64> {
        let p = &g.p;
        let [rows, k, cols, run] = [p.rows, p.segments * p.segment, p.cols, p.run].map(i64::from);
        let of_a = |batch: i64, m: i64, k: i64| {
            let (line, left) = (m / i64::from(p.out_width), m % i64::from(p.out_width));
            let (image, top) = (line / i64::from(p.out_height), line % i64::from(p.out_height));
            let (segment, j) = (k / i64::from(p.segment), k % i64::from(p.segment));
            let y = top * i64::from(p.stride_y) - i64::from(p.pad_y as i32) + segment;
            let x = left * i64::from(p.step) - i64::from(p.pad_x as i32) + j;
            let inside = (0..i64::from(p.height)).contains(&y) && (0..run).contains(&x);
            let at = batch * i64::from(p.a_batch) + (image * i64::from(p.height) + y) * run + x;
            if inside { a[at as usize] } else { 0.0 }
        };
        let of_b = |batch: i64, row: i64, n: i64| {
            let at = batch * i64::from(p.b_batch) + i64::from(p.b_first);
            b[(at + row * i64::from(p.b_stride) + n) as usize]
        };
        let mut y = Vec::with_capacity(outputs(g));
        for batch in 0..g.batch as i64 {
            for m in 0..i64::from(g.height()) {
                for n in 0..cols {
                    if g.transposed {
                        // A weight's gradient has nothing behind it.
                        y.push((0..rows).map(|r| of_a(batch, r, m) * of_b(batch, r, n)).sum());
                        continue;
                    }
                    let sum: f64 = (0..k).map(|k| of_a(batch, m, k) * of_b(batch, k, n)).sum();
                    let channel = (i64::from(p.b_first) + n) as usize;
                    // One residual serves all products of a batch.
                    let residual = residual[(m * cols + n) as usize];
                    let v = scale[channel] * sum + shift[channel] + residual;
                    y.push(if v > 0.0 { v } else { slope[0] * v });
                }
            }
        }
        y
    }

    /// The product with everything behind it that a kernel does.
    fn computed(gpu: &Gpu, g: &Gemm, plan: Plan, operands: &[Vec<f64>; 6]) -> Vec<f64> {
        let [a, b, scale, shift, residual, slope] = operands.each_ref().map(|values| {
            let values: Vec<f32> = values.iter().map(|v| *v as f32).collect();
            Tensor::upload(gpu, [values.len()], &values)
        });
        let ep = match g.transposed {
            true => Epilogue::default(),
            false => Epilogue::affine(&scale, &shift).residual(&residual).act(Act::Prelu(&slope)),
        };
        let cx = Cx::new(gpu);
        let y = g.run_by(&cx, Some(plan), &a, &b, &ep, [outputs(g)].into()).unwrap();
        cx.submit().unwrap();
        y.to_host(gpu).unwrap().data
    }

    /// On an adapter without subgroups of four or eight lanes no kernel reads textures, and the test has nothing to compare: it
    /// says so by the tiles it expects.
    #[test]
    fn textures_change_no_bit() {
        let gpu = open(false);
        let adapter = Adapter::from(&gpu);
        for (g, sizes) in products().into_iter().filter(|(g, _)| g.p.segment % 4 == 0) {
            let operands = operands_of(&g, sizes);
            let [plain, textures] = [false, true].map(|textures| {
                let plan = Plan::choose(&gpu, &g, LoadPaths { textures, ..paths(&gpu) });
                assert_eq!(plan.tile.images(), textures && adapter.lanes().is_some(), "{g:?}");
                computed(&gpu, &g, plan, &operands)
            });
            assert_eq!(plain, textures, "{g:?}");
        }
        if adapter.lanes().is_none() {
            eprintln!("this adapter's kernels read no textures: nothing was compared");
        }
    }

    #[test]
    fn every_candidate_agrees_with_the_oracle() {
        for gpu in [open(false), open(true)] {
            let adapter = Adapter::from(&gpu);
            for (g, sizes) in products() {
                let operands = operands_of(&g, sizes);
                let want = oracle(&g, &operands);
                let largest = want.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
                for tile in candidates(&adapter, &g, paths(&gpu)) {
                    let plan = Plan::with(&adapter, &g, tile);
                    let got = computed(&gpu, &g, plan, &operands);
                    for (at, (got, want)) in got.iter().zip(&want).enumerate() {
                        let off = (got - want).abs();
                        assert!(off <= 2e-6 * largest, "{g:?}, {plan:?}, {at}: {got}, not {want}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_was_measured_is_taken_and_what_is_unknown_is_not() {
        let gpu = open(true);
        let (adapter, paths) = (Adapter::from(&gpu), paths(&gpu));
        let g = Gemm::matrix(70, 36, 84);
        let default = heuristic(&adapter, &g, paths);
        let tiles = candidates(&adapter, &g, paths);
        let other = tiles.into_iter().find(|t| *t != default).unwrap();
        gpu.choose(g.problem_key(), other.to_string());
        assert_eq!(Plan::choose(&gpu, &g, paths).tile, other);
        gpu.choose(g.problem_key(), "a tile of another version".into());
        assert_eq!(Plan::choose(&gpu, &g, paths).tile, default);
    }

    #[test]
    fn measuring_notes_a_candidate_for_each_kind() {
        let gpu = open(true);
        let (g, sizes) = products().remove(0);
        let [a, b] = sizes.map(|n| Seeded::new("measured").signed([n]).upload(&gpu));
        gpu.measuring_choices(|| {
            let cx = Cx::new(&gpu);
            let shape = [outputs(&g)].into();
            let _y = g.run(&cx, &a, &b, &Epilogue::default(), shape)?;
            cx.plan()
        })
        .unwrap();
        let choices = gpu.choices();
        let tiles = candidates(&Adapter::from(&gpu), &g, paths(&gpu));
        let names: Vec<String> = tiles.iter().map(Tile::to_string).collect();
        assert_eq!(choices.keys().collect::<Vec<_>>(), ["matrix 128 36 84 1"]);
        assert!(names.contains(&choices["matrix 128 36 84 1"]), "{choices:?}");
    }
}
