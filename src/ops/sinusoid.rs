//! The sinusoid table of positions, on the host.

/// Position encodings `[rows, d]`: in row p, columns 2i and 2i + 1 hold sin and cos of p·exp(−2i·ln(10000)/d)
/// ("Attention is all you need", §3.5). Every step is f32, as the released tables were made: f64 would differ by up to 4e-5
/// in row 1023.
pub fn sinusoid_table(rows: usize, d: usize) -> Vec<f32> {
    let step = -(10_000f64.ln() / d as f64) as f32;
    let mut table = Vec::with_capacity(rows * d);
    for p in 0..rows {
        for c in 0..d {
            let angle = p as f32 * ((c - c % 2) as f32 * step).exp();
            table.push(if c % 2 == 0 { angle.sin() } else { angle.cos() });
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rows_are_plain() {
        let t = sinusoid_table(2, 4);
        assert_eq!(t[..4], [0.0, 1.0, 0.0, 1.0]);
        let want = [1f32.sin(), 1f32.cos(), 0.01f32.sin(), 0.01f32.cos()];
        assert!(t[4..].iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-7), "{t:?}");
        assert_eq!(sinusoid_table(3, 5).len(), 15);
    }
}
