//! What an adapter's arithmetic does where WGSL leaves it free: NaN, rounding, subnormals, conversions, and how near to the
//! true value its functions come.

use crate::Result;
use crate::gpu::Gpu;
use crate::ops::Function;
use std::fmt::Write;

/// An answer of the adapter.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// What was computed.
    pub what: String,
    /// What IEEE 754 says; for a function, the error that Vulkan allows.
    pub standard: &'static str,
    /// What came out.
    pub here: String,
}

const NAN: f32 = f32::NAN;
const INF: f32 = f32::INFINITY;
const TINY: f32 = 1e-40;
/// Just above one, so that the exact square has more digits than a float.
const NEAR_ONE: f32 = 1.0 + 1.0 / 4096.0;

/// How the bits of a result are to be read.
#[derive(Debug, Clone, Copy)]
enum As {
    Float,
    Truth,
    Unsigned,
    Signed,
    Half,
}

impl As {
    fn text(self, bits: u32) -> String {
        match self {
            As::Float => format!("{:?}", f32::from_bits(bits)),
            As::Truth => (bits != 0).to_string(),
            As::Unsigned => bits.to_string(),
            As::Signed => (bits as i32).to_string(),
            As::Half => format!("{:?}", half::f16::from_bits(bits as u16).to_f32()),
        }
    }
}

/// Single values: what is computed, with which function of which operands, what IEEE 754 says.
type Single = (&'static str, Function, [f32; 3], As, &'static str);

const SINGLES: &[Single] = &[
    ("NaN != NaN", Function::Unequal, [NAN, NAN, 0.0], As::Truth, "true"),
    ("NaN == NaN", Function::Equal, [NAN, NAN, 0.0], As::Truth, "false"),
    ("!(NaN == NaN)", Function::NotEqual, [NAN, NAN, 0.0], As::Truth, "true"),
    ("NaN < 1", Function::Less, [NAN, 1.0, 0.0], As::Truth, "false"),
    ("!(NaN < 1)", Function::NotLess, [NAN, 1.0, 0.0], As::Truth, "true"),
    ("max(NaN, 1)", Function::Max, [NAN, 1.0, 0.0], As::Float, "1.0"),
    ("max(1, NaN)", Function::Max, [1.0, NAN, 0.0], As::Float, "1.0"),
    ("min(NaN, 1)", Function::Min, [NAN, 1.0, 0.0], As::Float, "1.0"),
    ("min(1, NaN)", Function::Min, [1.0, NAN, 0.0], As::Float, "1.0"),
    ("clamp(NaN, 2, 3)", Function::Clamp, [NAN, 2.0, 3.0], As::Float, "2.0"),
    ("sign(NaN)", Function::Sign, [NAN, 0.0, 0.0], As::Float, "-"),
    ("u32(NaN)", Function::ToU32, [NAN, 0.0, 0.0], As::Unsigned, "-"),
    ("u32(-1)", Function::ToU32, [-1.0, 0.0, 0.0], As::Unsigned, "-"),
    ("u32(1e10)", Function::ToU32, [1e10, 0.0, 0.0], As::Unsigned, "-"),
    ("i32(NaN)", Function::ToI32, [NAN, 0.0, 0.0], As::Signed, "-"),
    ("i32(-1e10)", Function::ToI32, [-1e10, 0.0, 0.0], As::Signed, "-"),
    ("1 / 0", Function::Divide, [1.0, 0.0, 0.0], As::Float, "inf"),
    ("0 / 0", Function::Divide, [0.0, 0.0, 0.0], As::Float, "NaN"),
    ("inf * 0", Function::Multiply, [INF, 0.0, 0.0], As::Float, "NaN"),
    ("sqrt(-1)", Function::Sqrt, [-1.0, 0.0, 0.0], As::Float, "NaN"),
    ("log(0)", Function::Log, [0.0, 0.0, 0.0], As::Float, "-inf"),
    ("log(-1)", Function::Log, [-1.0, 0.0, 0.0], As::Float, "NaN"),
    ("pow(-2, 2)", Function::Pow, [-2.0, 2.0, 0.0], As::Float, "4.0"),
    ("pow(-2, 3)", Function::Pow, [-2.0, 3.0, 0.0], As::Float, "-8.0"),
    ("pow(0, 0)", Function::Pow, [0.0, 0.0, 0.0], As::Float, "1.0"),
    ("exp(-100)", Function::Exp, [-100.0, 0.0, 0.0], As::Float, "3.8e-44"),
    ("exp(NaN)", Function::Exp, [NAN, 0.0, 0.0], As::Float, "NaN"),
    ("tanh(100)", Function::Tanh, [100.0, 0.0, 0.0], As::Float, "1.0"),
    ("round(2.5)", Function::Round, [2.5, 0.0, 0.0], As::Float, "2.0"),
    ("round(-0.4)", Function::Round, [-0.4, 0.0, 0.0], As::Float, "-0.0"),
    ("1e-40 + 0", Function::Add, [TINY, 0.0, 0.0], As::Float, "1e-40"),
    ("1e-40 * 1", Function::Multiply, [TINY, 1.0, 0.0], As::Float, "1e-40"),
    ("1e-30 * 1e-10", Function::Multiply, [1e-30, 1e-10, 0.0], As::Float, "1e-40"),
    ("1e-40 < 2e-40", Function::Less, [TINY, 2.0 * TINY, 0.0], As::Truth, "true"),
    ("half of 65519", Function::PackHalf, [65519.0, 0.0, 0.0], As::Half, "65504.0"),
    ("half of 65520", Function::PackHalf, [65520.0, 0.0, 0.0], As::Half, "inf"),
    ("half of 1e6", Function::PackHalf, [1e6, 0.0, 0.0], As::Half, "inf"),
    ("half of NaN", Function::PackHalf, [NAN, 0.0, 0.0], As::Half, "NaN"),
    ("half of 3e-8", Function::PackHalf, [3e-8, 0.0, 0.0], As::Half, "5.9604645e-8"),
    (
        "half of 1 + 3/2048",
        Function::PackHalf,
        [1.0 + 3.0 / 2048.0, 0.0, 0.0],
        As::Half,
        "1.0019531",
    ),
    ("half 0x0001", Function::UnpackHalf, [f32::from_bits(1), 0.0, 0.0], As::Float, "5.9604645e-8"),
];

/// A function whose error is measured.
struct Curve {
    name: &'static str,
    function: Function,
    truth: fn(f64, f64) -> f64,
    /// Of a and of b: by equal ratios where both ends are positive, else evenly.
    ranges: [[f64; 2]; 2],
    /// The error that Vulkan allows: in words, and as a number for these ranges.
    allowed: &'static str,
    bound: f64,
    /// Whether errors are differences; else they are in ulp, the distance between floats there.
    absolute: bool,
}

const ONE: [f64; 2] = [1.0, 1.0];

/// Errors in ulp, of a alone, over a wide range.
const PLAIN: Curve = Curve {
    name: "exp",
    function: Function::Exp,
    truth: |a, _| a.exp(),
    ranges: [[-80.0, 80.0], ONE],
    allowed: "3 + 2·|x|",
    bound: 163.0,
    absolute: false,
};

const CURVES: &[Curve] = &[
    PLAIN,
    Curve {
        name: "log from 2 on",
        function: Function::Log,
        truth: |a, _| a.ln(),
        ranges: [[2.0, 1e30], ONE],
        allowed: "3",
        bound: 3.0,
        ..PLAIN
    },
    Curve {
        name: "log in 0.5 to 2",
        function: Function::Log,
        truth: |a, _| a.ln(),
        ranges: [[0.5, 2.0], ONE],
        allowed: "4.8e-7",
        bound: 1.0 / (1 << 21) as f64,
        absolute: true,
    },
    Curve {
        name: "tanh from 0.5 on",
        function: Function::Tanh,
        truth: |a, _| a.tanh(),
        ranges: [[0.5, 9.0], ONE],
        allowed: "as by exp",
        ..PLAIN
    },
    Curve {
        name: "tanh in -0.5 to 0.5",
        function: Function::Tanh,
        truth: |a, _| a.tanh(),
        ranges: [[-0.5, 0.5], ONE],
        allowed: "as by exp",
        bound: 1e-6,
        absolute: true,
    },
    Curve {
        name: "inverseSqrt",
        function: Function::InverseSqrt,
        truth: |a, _| 1.0 / a.sqrt(),
        ranges: [[1e-30, 1e30], ONE],
        allowed: "2",
        bound: 2.0,
        ..PLAIN
    },
    Curve {
        name: "sqrt",
        function: Function::Sqrt,
        truth: |a, _| a.sqrt(),
        ranges: [[1e-30, 1e30], ONE],
        allowed: "as by 1/inverseSqrt",
        bound: 4.5,
        ..PLAIN
    },
    Curve {
        name: "a / b",
        function: Function::Divide,
        truth: |a, b| a / b,
        ranges: [[1e-10, 1e10], [0.1, 10.0]],
        allowed: "2.5",
        bound: 2.5,
        ..PLAIN
    },
    Curve {
        name: "pow",
        function: Function::Pow,
        truth: f64::powf,
        ranges: [[0.01, 100.0], [-5.0, 5.0]],
        allowed: "as by exp2 and log2",
        bound: 200.0,
        ..PLAIN
    },
];

/// Arguments of each function whose error is measured.
const POINTS: usize = 1 << 16;

/// Evaluates everything on `gpu`; some forty small submissions.
///
/// # Errors
/// Errors of the device.
pub fn numerics(gpu: &Gpu) -> Result<Vec<Seen>> {
    let mut rows = Vec::new();
    for (what, function, operands, kind, standard) in SINGLES {
        let here = kind.text(function.of(gpu, &[*operands])?[0]);
        rows.push(Seen { what: what.to_string(), standard, here });
    }
    rows.push(Seen {
        what: "fma rounds".to_string(),
        standard: "once",
        here: roundings_of_fma(gpu)?.to_string(),
    });
    for curve in CURVES {
        let (error, at) = largest_error(gpu, curve)?;
        let second = if curve.ranges[1] == ONE { String::new() } else { format!(", {:?}", at[1]) };
        let beyond = if error > curve.bound { ", more than Vulkan allows" } else { "" };
        let (unit, error) = match curve.absolute {
            true => ("error", format!("{error:.1e}")),
            false => ("error in ulp", format!("{error:.1}")),
        };
        rows.push(Seen {
            what: format!("{}: {unit}", curve.name),
            standard: curve.allowed,
            here: format!("{error} at {:?}{second}{beyond}", at[0]),
        });
    }
    Ok(rows)
}

/// Once if the product keeps all its digits, twice if it is rounded before the sum.
fn roundings_of_fma(gpu: &Gpu) -> Result<&'static str> {
    let c = -(NEAR_ONE * NEAR_ONE);
    let bits = Function::Fma.of(gpu, &[[NEAR_ONE, NEAR_ONE, c]])?[0];
    Ok(if f32::from_bits(bits) == 0.0 { "twice" } else { "once" })
}

fn largest_error(gpu: &Gpu, curve: &Curve) -> Result<(f64, [f32; 2])> {
    let operands: Vec<[f32; 3]> = (0..POINTS)
        .map(|i| {
            let a = place(curve.ranges[0], i as f64 / (POINTS - 1) as f64);
            // Another order for b, by the golden ratio.
            let b = place(curve.ranges[1], (i as f64 * 0.618_033_988_749_895).fract());
            [a as f32, b as f32, 0.0]
        })
        .collect();
    let values = curve.function.of(gpu, &operands)?;
    let error = |(bits, [a, b, _]): (&u32, &[f32; 3])| {
        let truth = (curve.truth)(f64::from(*a), f64::from(*b));
        let unit = if curve.absolute { 1.0 } else { ulp(truth) };
        let error = (f64::from(f32::from_bits(*bits)) - truth).abs() / unit;
        (if error.is_nan() { f64::INFINITY } else { error }, [*a, *b])
    };
    let all = values.iter().zip(&operands).map(error);
    Ok(all.max_by(|x, y| x.0.total_cmp(&y.0)).expect("there are points"))
}

/// The point at `share` of a range.
fn place([low, high]: [f64; 2], share: f64) -> f64 {
    if low > 0.0 { low * (high / low).powf(share) } else { low + (high - low) * share }
}

/// The distance between floats at `x`.
fn ulp(x: f64) -> f64 {
    let exponent = x.abs().max(f64::from(f32::MIN_POSITIVE)).log2().floor();
    (exponent - 23.0).exp2()
}

/// The rows as columns of text.
pub fn text(rows: &[Seen]) -> String {
    let mut text = String::new();
    let row = |text: &mut String, what: &str, standard: &str, here: &str| {
        writeln!(text, "{what:<36}{standard:<22}{here}").expect("a string takes any text");
    };
    row(&mut text, "WHAT", "IEEE 754 OR VULKAN", "HERE");
    for seen in rows {
        row(&mut text, &seen.what, seen.standard, &seen.here);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_between_floats() {
        for x in [1.0f32, 1.5, 2.0, 1e-20, 3e20] {
            let next = f64::from(f32::from_bits(x.to_bits() + 1)) - f64::from(x);
            assert_eq!(ulp(f64::from(x)), next, "{x}");
        }
    }
}

#[cfg(test)]
mod on_adapter {
    use super::*;
    use crate::gpu::GpuOptions;

    fn gpu() -> Gpu {
        let adapter = std::env::var("LEMMA_GPU_ADAPTER").ok();
        Gpu::new(GpuOptions { adapter, ..Default::default() }).unwrap()
    }

    /// What the engine's own tests for values that are not finite rest on, on any adapter.
    #[test]
    fn the_portable_test_for_nan_is_portable() {
        let rows = numerics(&gpu()).unwrap();
        let here = |what: &str| &rows.iter().find(|r| r.what == what).expect("a row").here;
        assert_eq!(here("!(NaN == NaN)"), "true");
        assert_eq!(here("NaN < 1"), "false");
        let longest = text(&rows).lines().map(str::len).max();
        assert!(longest < Some(120), "{}", text(&rows));
    }

    /// Every function comes within what Vulkan allows of an f32 function, with room for what is computed from exp and log.
    #[test]
    fn functions_are_near_to_their_true_values() {
        let gpu = gpu();
        for curve in CURVES {
            let (error, at) = largest_error(&gpu, curve).unwrap();
            assert!(error <= curve.bound, "{}: {error} at {at:?}", curve.name);
        }
    }
}
