//! Words as the recognizers of losses spell them: by characters, and by the strokes that characters are written with.

/// Classes of a text's characters: 1–10 for 0–9, 11–36 for a–z, whatever their case; others are left out.
pub fn characters(text: &str) -> impl Iterator<Item = u8> + '_ {
    text.bytes().filter_map(|c| match c {
        b'0'..=b'9' => Some(c - b'0' + 1),
        b'a'..=b'z' => Some(c - b'a' + 11),
        b'A'..=b'Z' => Some(c - b'A' + 11),
        _ => None,
    })
}

/// The strokes of a text's characters, 1 to 9, in their order; case counts, and characters without strokes are left out.
///
/// ```
/// use lemma_gpu::data::spelling::strokes;
/// assert_eq!(strokes("Ex-1").collect::<Vec<u8>>(), [2, 1, 1, 1, 4, 3, 2]);
/// ```
pub fn strokes(text: &str) -> impl Iterator<Item = u8> + '_ {
    let of = |c: char| STROKES.iter().find(|(own, _)| *own == c).map_or("", |(_, strokes)| strokes);
    text.chars().flat_map(move |c| of(c).bytes()).map(|digit| digit - b'0')
}

/// Characters by their strokes.
const STROKES: [(char, &str); 62] = [
    ('A', "341"),
    ('B', "299"),
    ('C', "8"),
    ('D', "29"),
    ('E', "2111"),
    ('F', "211"),
    ('G', "81"),
    ('H', "212"),
    ('I', "121"),
    ('J', "17"),
    ('K', "234"),
    ('L', "21"),
    ('M', "2432"),
    ('N', "242"),
    ('O', "89"),
    ('P', "29"),
    ('Q', "894"),
    ('R', "294"),
    ('S', "89"),
    ('T', "12"),
    ('U', "7"),
    ('V', "43"),
    ('W', "2342"),
    ('X', "43"),
    ('Y', "432"),
    ('Z', "131"),
    ('a', "68"),
    ('b', "28"),
    ('c', "8"),
    ('d', "82"),
    ('e', "81"),
    ('f', "61"),
    ('g', "87"),
    ('h', "26"),
    ('i', "52"),
    ('j', "57"),
    ('k', "234"),
    ('l', "2"),
    ('m', "66"),
    ('n', "6"),
    ('o', "89"),
    ('p', "29"),
    ('q', "82"),
    ('r', "26"),
    ('s', "89"),
    ('t', "17"),
    ('u', "7"),
    ('v', "43"),
    ('w', "2342"),
    ('x', "43"),
    ('y', "43"),
    ('z', "131"),
    ('0', "89"),
    ('1', "2"),
    ('2', "631"),
    ('3', "99"),
    ('4', "312"),
    ('5', "129"),
    ('6', "689"),
    ('7', "13"),
    ('8', "8989"),
    ('9', "897"),
];
