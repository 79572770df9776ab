//! What a TIFF file says of its first image, beside what the decoder tells.

use image::{DynamicImage, RgbaImage};

/// The tag of what samples mean beyond colors.
const EXTRA_SAMPLES: u64 = 338;
/// Its value for an alpha that colors were multiplied by.
const ASSOCIATED: u64 = 1;

/// The first directory of a file.
struct Directory<'a> {
    bytes: &'a [u8],
    at: usize,
    entries: usize,
    /// Bytes of the number of entries, of an entry, and of an offset.
    sizes: [usize; 3],
}

impl<'a> Directory<'a> {
    fn first(bytes: &'a [u8]) -> Option<Self> {
        let (sizes, first) = match number(bytes, 2, 2)? {
            42 => ([2, 12, 4], 4),
            43 => ([8, 20, 8], 8),
            _ => return None,
        };
        let [count, _, offset] = sizes;
        let place = usize::try_from(number(bytes, first, offset)?).ok()?;
        let entries = usize::try_from(number(bytes, place, count)?).ok()?;
        Some(Directory { bytes, at: place.checked_add(count)?, entries, sizes })
    }

    /// Where the next directory is; 0 where there is none.
    fn next(&self) -> Option<u64> {
        let [_, entry, offset] = self.sizes;
        let end = self.at.checked_add(self.entries.checked_mul(entry)?)?;
        number(self.bytes, end, offset)
    }

    /// The first of a tag's values, which are shorts.
    fn short(&self, tag: u64) -> Option<u64> {
        let [_, entry, offset] = self.sizes;
        let entries = self.bytes.get(self.at..)?.len() / entry;
        let place = (0..self.entries.min(entries)).map(|i| self.at + i * entry);
        let place = place.into_iter().find(|at| number(self.bytes, *at, 2) == Some(tag))?;
        let values = number(self.bytes, place + 4, offset)?;
        let at = place + 4 + offset;
        // Values that an offset has no room for lie where it points to.
        match values.checked_mul(2)? <= offset as u64 {
            true => number(self.bytes, at, 2),
            false => number(self.bytes, usize::try_from(number(self.bytes, at, offset)?).ok()?, 2),
        }
    }
}

fn number(bytes: &[u8], at: usize, size: usize) -> Option<u64> {
    let mut part = [0; 8];
    part[..size].copy_from_slice(bytes.get(at..at.checked_add(size)?)?);
    if bytes[0] == b'M' {
        part[..size].reverse();
    }
    Some(u64::from_le_bytes(part))
}

/// Whether a second directory follows the first one.
pub(super) fn has_more_pages(bytes: &[u8]) -> bool {
    Directory::first(bytes).and_then(|d| d.next()).is_some_and(|next| next != 0)
}

/// An image of a file, with colors that were not multiplied by its alpha, as every other kind of file has them.
pub(super) fn straight(image: DynamicImage, bytes: &[u8]) -> DynamicImage {
    let says = Directory::first(bytes).and_then(|d| d.short(EXTRA_SAMPLES)) == Some(ASSOCIATED);
    if !says || !image.color().has_alpha() {
        return image;
    }
    let mut image: RgbaImage = image.into_rgba8();
    // No color exceeds what it was multiplied by: where one does, the file says what it does not do.
    if image.pixels().any(|p| p.0[..3].iter().any(|v| *v > p.0[3])) {
        return image.into();
    }
    for p in image.pixels_mut() {
        let alpha = u32::from(p.0[3]);
        for v in &mut p.0[..3] {
            *v = (u32::from(*v) * 255 + alpha / 2).checked_div(alpha).unwrap_or(0) as u8;
        }
    }
    image.into()
}
