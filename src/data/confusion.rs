//! How easily one character is taken for another: the weights of the text-focus loss.
//!
//! The paper weighs the classes of its cross-entropy by a table of distances between characters. That
//! table is not ours to ship; [`read`] takes it from its file. The default is made here of shapes:
//! each character is drawn in several typefaces, at one size whatever its case, and its distance to
//! another grows with the mean square of the difference of their pictures (with its square, which
//! spreads them as the paper's are: half of them below 1).

use super::synth::bitmap::glyph_bitmap;
use super::synth::typeface::{BUILTIN, CHARACTERS, Typeface, character};
use crate::{Error, ErrorKind, Result};

/// Characters of the distances: 0–9, A–Z, a–z.
pub const CASED: usize = 62;

/// Classes of the text-focus recognizer: the end, 0–9, a–z.
pub const CLASSES: usize = 37;

/// Range of the distances between different characters, that of the paper's table.
const RANGE: (f64, f64) = (0.02, 3.46);

/// Distances `[62, 62]` between the characters of some typefaces, of which there is at least one:
/// symmetric, 0 on the diagonal, else 0.02 to 3.46.
pub fn distances(faces: &[Typeface]) -> Vec<f64> {
    let mut sums = vec![0.0; CASED * CASED];
    for face in faces {
        let shapes: Vec<_> = face.glyphs.iter().map(glyph_bitmap).collect();
        for a in 0..CASED {
            for b in 0..a {
                let square = |(x, y): (&f32, &f32)| f64::from(x - y).powi(2);
                let sum: f64 = shapes[a].iter().zip(&shapes[b]).map(square).sum();
                sums[a * CASED + b] += sum;
                sums[b * CASED + a] += sum;
            }
        }
    }
    let most = sums.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let scaled = |(i, sum): (usize, &f64)| match i / CASED == i % CASED {
        true => 0.0,
        false => ((sum / most).powi(2) * RANGE.1).max(RANGE.0),
    };
    sums.iter().enumerate().map(scaled).collect()
}

/// The distances in the embedded typefaces, each also slanted and condensed. The same on every
/// machine.
pub fn default_distances() -> Vec<f64> {
    let variants = [(0.0, 1.0), (0.22, 1.0), (0.0, 0.78), (0.22, 0.78)];
    let faces: Vec<Typeface> = BUILTIN
        .iter()
        .flat_map(|face| variants.map(|(slant, width)| face.altered(slant, width)))
        .collect();
    distances(&faces)
}

/// The weights `[37, 37]` of distances `[62, 62]`; row = what is written, column = what is weighed.
///
/// A weight is one over a distance, and 1 where that is 0. A letter's row is that of its lower case;
/// in another letter's column stands the larger weight of its two cases, in the letter's own that of
/// its two cases to each other. The end weighs 1 everywhere.
///
/// # Panics
/// When there are not 62×62 distances.
pub fn weights(distances: &[f64]) -> Vec<f32> {
    assert_eq!(distances.len(), CASED * CASED, "62 by 62 distances");
    let weight = |a: usize, b: usize| match distances[a * CASED + b] {
        0.0 => 1.0,
        distance => 1.0 / distance,
    };
    let place = |class: usize| match class {
        1..=10 => (class - 1, None),
        _ => (class - 11 + 36, Some(class - 11 + 10)),
    };
    let entry = |i: usize| -> f64 {
        let (row, column) = (i / CLASSES, i % CLASSES);
        if row == 0 || column == 0 {
            return 1.0;
        }
        let (from, _) = place(row);
        let (lower, upper) = place(column);
        match upper {
            None => weight(from, lower),
            Some(upper) if row == column => weight(lower, upper),
            Some(upper) => weight(from, lower).max(weight(from, upper)),
        }
    };
    (0..CLASSES * CLASSES).map(|i| entry(i) as f32).collect()
}

/// Where the numbers begin in the paper's file, a NumPy array pickled by protocol 3.
const PICKLE_OFFSET: usize = 153;

/// Distances `[62, 62]` from a file: the paper's, or a text of 62 rows of 62 numbers as [`to_text`]
/// makes it.
///
/// # Errors
/// [`ErrorKind::Format`] when it is neither, or holds a number that is no distance.
pub fn read(bytes: &[u8], place: &str) -> Result<Vec<f64>> {
    let bad = |what: &str| Error::new(ErrorKind::Format, place, what);
    let distances: Vec<f64> = if bytes.starts_with(&[0x80, 3]) {
        let numbers = bytes.get(PICKLE_OFFSET..PICKLE_OFFSET + CASED * CASED * 8);
        let numbers = numbers.ok_or_else(|| {
            bad("a pickled table of distances").expected("30905 bytes or more").got(bytes.len())
        })?;
        numbers.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect()
    } else {
        let text = std::str::from_utf8(bytes).map_err(|_| bad("not a table of distances"))?;
        let lines = text.lines().filter(|l| !l.starts_with('#'));
        let numbers = lines.flat_map(str::split_whitespace).map(str::parse);
        numbers.collect::<Result<_, _>>().map_err(|_| bad("not a table of distances"))?
    };
    if distances.len() != CASED * CASED {
        return Err(bad("distances").expected("62 rows of 62").got(distances.len()));
    }
    match distances.iter().position(|d| !(0.0..=1e6).contains(d)) {
        None => Ok(distances),
        Some(i) => Err(bad("a distance").expected("a number from 0 on").got(format!(
            "{} in row {}, column {}",
            distances[i],
            i / CASED,
            i % CASED
        ))),
    }
}

/// Distances as a text that [`read`] reads.
pub fn to_text(distances: &[f64]) -> String {
    let names: Vec<String> = CHARACTERS.iter().map(|&c| (c as char).to_string()).collect();
    let row = |row: &[f64]| row.iter().map(|d| format!("{d:.4}")).collect::<Vec<_>>().join("\t");
    let rows: Vec<String> = distances.chunks(CASED).map(row).collect();
    format!("# {}\n{}\n", names.join(" "), rows.join("\n"))
}

/// The distance between two letters or digits, if they are.
pub fn between(distances: &[f64], a: char, b: char) -> Option<f64> {
    let place = |c: char| u8::try_from(c).ok().and_then(character);
    distances.get(place(a)? * CASED + place(b)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distance of (i, j) such that every entry can be told: 1 + lower + upper / 100.
    fn synthetic() -> Vec<f64> {
        let distance = |a: usize, b: usize| match a == b {
            true => 0.0,
            false => 1.0 + a.min(b) as f64 + a.max(b) as f64 / 100.0,
        };
        (0..CASED * CASED).map(|i| distance(i / CASED, i % CASED)).collect()
    }

    #[test]
    fn entries_by_hand() {
        let table = weights(&synthetic());
        let at = |row: usize, column: usize| f64::from(table[row * CLASSES + column]);
        let near = |got: f64, distance: f64| {
            assert!((got - 1.0 / distance).abs() < 1e-6, "{got}, not 1/{distance}");
        };
        for i in 0..CLASSES {
            assert_eq!((at(0, i), at(i, 0)), (1.0, 1.0));
        }
        // Digits: 3 is place 3, class 4; 7 is place 7, class 8.
        assert_eq!(at(4, 4), 1.0);
        near(at(4, 8), 1.0 + 3.0 + 0.07);
        // Written b (place 37), weighed 3.
        near(at(12, 4), 1.0 + 3.0 + 0.37);
        // Written 3, weighed b: B is place 11, b is place 37; B is nearer.
        near(at(4, 12), 1.0 + 3.0 + 0.11);
        // Written b, weighed d: D is place 13, d is place 39; D is nearer.
        near(at(12, 14), 1.0 + 13.0 + 0.37);
        // Written d, weighed b: the table is not symmetric.
        near(at(14, 12), 1.0 + 11.0 + 0.39);
        // Written b, weighed b: B and b.
        near(at(12, 12), 1.0 + 11.0 + 0.37);
    }

    #[test]
    fn both_files_are_read_and_others_refused() {
        let table = synthetic();
        let mut pickle = vec![0x80, 3];
        pickle.resize(PICKLE_OFFSET, b'x');
        table.iter().for_each(|d| pickle.extend(d.to_le_bytes()));
        pickle.extend(b"tail");
        assert!(read(&pickle, "x").unwrap() == table);
        let again = read(to_text(&table).as_bytes(), "x").unwrap();
        assert!(again.iter().zip(&table).all(|(a, b)| (a - b).abs() < 1e-9));
        assert!(read(&pickle[..5000], "x").is_err());
        assert!(read(b"1 2 3", "x").is_err() && read(b"one", "x").is_err());
        assert!(read(&[0xFF; 9], "x").is_err());
        pickle[PICKLE_OFFSET..PICKLE_OFFSET + 8].copy_from_slice(&f64::NAN.to_le_bytes());
        assert!(read(&pickle, "x").unwrap_err().to_string().contains("row 0, column 0"));
    }

    #[test]
    fn the_default_knows_what_looks_alike() {
        let table = default_distances();
        for i in 0..CASED {
            assert_eq!(table[i * CASED + i], 0.0);
            for j in 0..i {
                let d = table[i * CASED + j];
                assert!((RANGE.0..=RANGE.1).contains(&d) && d == table[j * CASED + i]);
            }
        }
        let d = |a, b| between(&table, a, b).unwrap();
        for (a, near, far) in [
            ('0', 'O', 'X'),
            ('l', 'I', 'm'),
            ('1', 'l', 'W'),
            ('c', 'e', 'w'),
            ('S', '5', 'L'),
            ('B', '8', 'T'),
            ('z', '2', 'f'),
            ('V', 'v', 'B'),
        ] {
            assert!(
                d(a, near) < 0.5 * d(a, far),
                "{a}{near} {} {a}{far} {}",
                d(a, near),
                d(a, far)
            );
        }
        assert_eq!(between(&table, 'a', '-'), None);
    }
}
