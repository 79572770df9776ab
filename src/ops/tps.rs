//! The thin-plate spline, on the host: source coordinates of a grid are a constant matrix times the control points.

/// A spline's constants for a raster grid ("Robust scene text recognition with automatic rectification", §3.1), in f64.
///
/// P target points stand in two rows of P/2 at y = 0.05 and 0.95 with x from 0.05 to 0.95; φ(r²) = ½·r²·ln r²; pixel (i, j) is
/// at (j / (width − 1), i / (height − 1)).
#[derive(Debug, Clone, PartialEq)]
pub struct Spline {
    /// Target points `[P, 2]`, each (x, y).
    pub targets: Vec<f64>,
    /// Inverse `[P + 3, P + 3]` of the matrix of φ between targets, bordered by 1, x and y.
    pub inverse: Vec<f64>,
    /// For every pixel `[height · width, P + 3]`: φ to each target, then 1, x and y.
    pub representation: Vec<f64>,
}

impl Spline {
    /// The constants for a grid of `height`×`width` pixels and `points` control points.
    ///
    /// # Panics
    /// When `points` is odd or under 4: the points of one row alone do not span the plane.
    pub fn new(height: usize, width: usize, points: usize) -> Self {
        assert!(points.is_multiple_of(2) && points >= 4, "{points} control points in two rows");
        let half = points / 2;
        let targets: Vec<(f64, f64)> = (0..points)
            .map(|i| {
                let x = 0.05 + 0.9 * (i % half) as f64 / (half - 1) as f64;
                (x, if i < half { 0.05 } else { 0.95 })
            })
            .collect();
        let n = points + 3;
        let mut kernel = vec![vec![0.0; n]; n];
        for (i, &(x, y)) in targets.iter().enumerate() {
            for (j, &t) in targets.iter().enumerate() {
                kernel[i][j] = phi((x, y), t);
            }
            for (k, v) in [1.0, x, y].into_iter().enumerate() {
                kernel[i][points + k] = v;
                kernel[points + k][i] = v;
            }
        }
        let at = |i: usize, size: usize| if size > 1 { i as f64 / (size - 1) as f64 } else { 0.0 };
        let pixels = (0..height * width).map(|i| (at(i % width, width), at(i / width, height)));
        let representation = pixels
            .flat_map(|(x, y)| {
                let near = targets.iter().map(move |&t| phi((x, y), t));
                near.chain([1.0, x, y]).collect::<Vec<_>>()
            })
            .collect();
        Spline {
            inverse: inverse(kernel).concat(),
            targets: targets.into_iter().flat_map(|(x, y)| [x, y]).collect(),
            representation,
        }
    }

    /// The matrix `[height · width, P]` that takes control points to source coordinates: representation · inverse[:, ..P].
    /// Folding the inverse into the matrix keeps its large entries out of f32 arithmetic. Both tables enter it rounded to f32,
    /// as released checkpoints carry them: entries up to 87 make that a millionth of the image's width.
    pub fn matrix(&self) -> Vec<f64> {
        let points = self.targets.len() / 2;
        let n = points + 3;
        let source = |row: &[f64]| -> Vec<f64> {
            (0..points)
                .map(|c| {
                    let column = self.inverse.iter().skip(c).step_by(n);
                    row.iter().zip(column).map(|(a, b)| rounded(*a) * rounded(*b)).sum()
                })
                .collect()
        };
        self.representation.chunks_exact(n).flat_map(source).collect()
    }
}

fn rounded(v: f64) -> f64 {
    f64::from(v as f32)
}

/// φ of the squared distance; 0 at 0.
fn phi(a: (f64, f64), b: (f64, f64)) -> f64 {
    let r2 = (a.0 - b.0).powi(2) + (a.1 - b.1).powi(2);
    if r2 == 0.0 { 0.0 } else { 0.5 * r2 * r2.ln() }
}

/// The inverse of a regular matrix, by Gauss-Jordan elimination with the largest pivot of each column.
pub(crate) fn inverse(mut a: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let n = a.len();
    for (i, row) in a.iter_mut().enumerate() {
        row.extend((0..n).map(|j| f64::from(i == j)));
    }
    for c in 0..n {
        let pivot = (c..n).max_by(|i, j| a[*i][c].abs().total_cmp(&a[*j][c].abs())).unwrap_or(c);
        a.swap(c, pivot);
        let scale = 1.0 / a[c][c];
        a[c].iter_mut().for_each(|v| *v *= scale);
        let pivot_row = a[c].clone();
        for (r, row) in a.iter_mut().enumerate() {
            let factor = row[c];
            if r != c && factor != 0.0 {
                row.iter_mut().zip(&pivot_row).for_each(|(v, p)| *v -= factor * p);
            }
        }
    }
    a.into_iter().map(|row| row[n..].to_vec()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inverse_undoes_its_matrix() {
        let a = vec![vec![0.0, 2.0, 1.0], vec![1.0, 0.0, 3.0], vec![4.0, 1.0, 0.0]];
        let b = inverse(a.clone());
        for (i, row) in a.iter().enumerate() {
            let product = |j: usize| row.iter().zip(&b).map(|(v, other)| v * other[j]).sum::<f64>();
            assert!((0..3).all(|j| (product(j) - f64::from(i == j)).abs() < 1e-14), "row {i}");
        }
    }

    #[test]
    fn control_points_on_their_targets_give_the_identity() {
        let (h, w, points) = (16, 64, 20);
        let m = Spline::new(h, w, points).matrix();
        assert_eq!(m.len(), h * w * points);
        let x = |k: usize| 0.05 + 0.9 * (k % 10) as f64 / 9.0;
        let y = |k: usize| if k < 10 { 0.05 } else { 0.95 };
        for i in 0..h {
            for j in 0..w {
                let row = &m[(i * w + j) * points..][..points];
                let sx: f64 = row.iter().enumerate().map(|(k, v)| v * x(k)).sum();
                let sy: f64 = row.iter().enumerate().map(|(k, v)| v * y(k)).sum();
                assert!((sx - j as f64 / 63.0).abs() < 1e-5, "{i} {j}: {sx}");
                assert!((sy - i as f64 / 15.0).abs() < 1e-5, "{i} {j}: {sy}");
            }
        }
    }
}
