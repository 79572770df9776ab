//! Changes that break readers: bits, bytes, numbers, pieces moved, cut and doubled, and words that the format knows. A
//! function of a seed alone, so that what was found is found again.

/// A stream of random numbers (SplitMix64).
pub struct Random(pub u64);

impl Random {
    /// A number below `n`, or 0 where there is none.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        z.checked_rem(n as u64).unwrap_or(0) as usize
    }
}

/// Numbers at which arithmetic goes wrong.
const NUMBERS: [u64; 14] = [
    0,
    1,
    2,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

/// The same as a text has them, and what a text is broken with.
const TEXTS: [&str; 12] = [
    "0",
    "-1",
    "1",
    "4294967295",
    "9223372036854775807",
    "18446744073709551616",
    "1e309",
    "nan",
    "\u{FEFF}",
    "\t",
    "\n",
    "\"",
];

/// Changes `data` in one to eight places; `others` are inputs of the same kind, `words` what the format knows.
pub fn mutate(random: &mut Random, data: &mut Vec<u8>, others: &[Vec<u8>], words: &[&[u8]]) {
    for _ in 0..1 << random.below(4) {
        change(random, data, others, words);
    }
    data.truncate(LONGEST);
}

/// Most bytes of an input.
const LONGEST: usize = 1 << 16;

fn change(random: &mut Random, data: &mut Vec<u8>, others: &[Vec<u8>], words: &[&[u8]]) {
    let at = random.below(data.len());
    let few = (1 + random.below(16)).min(data.len() - at);
    match random.below(12) {
        0 if !data.is_empty() => data[at] ^= 1 << random.below(8),
        1 if !data.is_empty() => data[at] = random.below(256) as u8,
        2 => drop(data.drain(at..at + few)),
        3 => {
            let piece = data[at..at + few].to_vec();
            insert(data, random.below(data.len() + 1), &piece);
        }
        4 => {
            let number = NUMBERS[random.below(NUMBERS.len())].wrapping_sub(random.below(3) as u64);
            let width = 1 << random.below(4);
            let mut bytes = number.to_le_bytes()[..width].to_vec();
            if random.below(2) == 0 {
                bytes.reverse();
            }
            let width = width.min(data.len() - at);
            data[at..at + width].copy_from_slice(&bytes[..width]);
        }
        5 => data.truncate(at),
        6 => insert(data, at, TEXTS[random.below(TEXTS.len())].as_bytes()),
        7 if !words.is_empty() => insert(data, at, words[random.below(words.len())]),
        8 if !words.is_empty() => {
            let word = words[random.below(words.len())];
            let end = (at + word.len()).min(data.len());
            data.splice(at..end, word.iter().copied());
        }
        // A number in a text becomes another.
        9 => {
            if let Some(start) = data[at..].iter().position(u8::is_ascii_digit).map(|n| at + n) {
                let digits = data[start..].iter().take_while(|b| b.is_ascii_digit()).count();
                let text = TEXTS[random.below(6)].bytes();
                data.splice(start..start + digits, text);
            }
        }
        // The end of another input behind the beginning of this one.
        _ => {
            let other = &others[random.below(others.len())];
            data.truncate(at);
            data.extend_from_slice(&other[random.below(other.len())..]);
        }
    }
}

fn insert(data: &mut Vec<u8>, at: usize, piece: &[u8]) {
    data.splice(at..at, piece.iter().copied());
}
