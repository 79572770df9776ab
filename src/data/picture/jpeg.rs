//! JPEG files without an end: is anything missing but the end marker?

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::options::DecoderOptions;

const START_OF_SCAN: u8 = 0xDA;
const END: [u8; 2] = [0xFF, 0xD9];

/// Whether an end-of-image marker follows the first scan: the header segments, which may hold a
/// whole thumbnail with its own end, are skipped by their lengths.
pub(super) fn has_its_end(bytes: &[u8]) -> bool {
    let first = segments(bytes).find(|s| s.marker == START_OF_SCAN);
    let scan = first.and_then(|s| bytes.get(s.end..));
    scan.is_some_and(|scan| scan.windows(2).any(|pair| pair == END))
}

/// The file with an end, if nothing else is missing.
///
/// What a decoder makes of a file whose pixels are all there does not depend on what follows the last of
/// them; so the file is completed in several ways.
pub(super) fn completed(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut kept = bytes;
    // The first half of the marker may be there.
    while let Some(rest) = kept.strip_suffix(&[0xFF]) {
        kept = rest;
    }
    if !scans_are_there(kept) {
        return None;
    }
    let filled = |filling: u8| {
        let mut file = kept.to_vec();
        // Intervals between restart markers that were cut off get them, too. More than the longest block
        // group can take stands before each: behind a marker all ways would be one.
        for restart in 0..16 {
            file.extend([filling; 4096]);
            file.extend([0xFF, 0xD0 + restart % 8]);
        }
        file.extend(END);
        file
    };
    let file = filled(0);
    let found = pixels(&file)?;
    let others = [0x55, 0xAA, 0xDB].map(filled);
    others.iter().all(|other| pixels(other).as_ref() == Some(&found)).then_some(file)
}

/// The pixels of a file without any fault: elsewhere what cannot be decoded is filled with gray.
fn pixels(file: &[u8]) -> Option<Vec<u8>> {
    let options = DecoderOptions::default().set_strict_mode(true);
    JpegDecoder::new_with_options(ZCursor::new(file), options).decode().ok()
}

/// Whether the scans that have begun bring every coefficient of every component to full precision.
fn scans_are_there(bytes: &[u8]) -> bool {
    let mut components: Vec<(u8, [Option<u8>; 64])> = Vec::new();
    for segment in segments(bytes) {
        let Some(content) = bytes.get(segment.start..segment.end) else { return false };
        match segment.marker {
            0xC0..=0xC2 => {
                let ids = content.get(6..).unwrap_or_default().chunks_exact(3);
                components = ids.map(|c| (c[0], [None; 64])).collect();
            }
            START_OF_SCAN => {
                let Some((&count, rest)) = content.split_first() else { return false };
                let (ids, rest) = rest.split_at((2 * usize::from(count)).min(rest.len()));
                let &[from, to, precision] = rest else { return false };
                for id in ids.chunks_exact(2).map(|c| c[0]) {
                    for (_, known) in components.iter_mut().filter(|c| c.0 == id) {
                        let part = known.get_mut(from.into()..=to.into()).unwrap_or_default();
                        part.fill(Some(precision & 15));
                    }
                }
            }
            _ => {}
        }
    }
    !components.is_empty()
        && components.iter().all(|(_, known)| known.iter().all(|k| *k == Some(0)))
}

/// A marker with the place of its content.
struct Segment {
    marker: u8,
    start: usize,
    end: usize,
}

/// The segments of a file; pixels between them are passed over.
fn segments(bytes: &[u8]) -> impl Iterator<Item = Segment> {
    let mut at = 2;
    std::iter::from_fn(move || {
        loop {
            match bytes.get(at..at + 2)? {
                // Fillings, restart markers, and 0xFF among the pixels have no content.
                [0xFF, 0xFF] => at += 1,
                [0xFF, 0x00 | 0x01 | 0xD0..=0xD9] => at += 2,
                [0xFF, marker] => {
                    let length = bytes.get(at + 2..at + 4)?;
                    let length = usize::from(u16::from_be_bytes(length.try_into().ok()?));
                    let start = at + 4;
                    at = (at + 2 + length).max(start);
                    return Some(Segment { marker: *marker, start, end: at });
                }
                _ => at += 1,
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_have_segments_and_an_end_or_none() {
        let mut random = crate::data::random::Random::new(&[11]);
        for _ in 0..2000 {
            let n = random.below(60);
            let byte = |r: &mut crate::data::random::Random| match r.below(3) {
                0 => 0xFF,
                1 => [0xDA, 0xC0, 0xC2, 0xD9, 0xD0][r.below(5)],
                _ => r.bits() as u8 % 24,
            };
            let bytes: Vec<u8> = (0..n).map(|_| byte(&mut random)).collect();
            has_its_end(&bytes);
            assert_eq!(completed(&bytes), None);
        }
    }
}
