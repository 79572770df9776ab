//! Files that hold more than one image.

use super::Format;
use super::kind::Kind;
use super::tiff::has_more_pages;

/// What a file holds beside its first image, if it says so in its structure: `pages` or `frames`.
pub(super) fn others(bytes: &[u8], kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Tiff => has_more_pages(bytes).then_some("pages"),
        Kind::Gif => gif(bytes).filter(|more| *more).map(|_| "frames"),
        Kind::Written(Format::Png) => png(bytes).then_some("frames"),
        Kind::Written(Format::WebP) => webp(bytes).then_some("frames"),
        _ => None,
    }
}

/// Whether a second image follows the first one.
fn gif(bytes: &[u8]) -> Option<bool> {
    let palette = |flags: u8| if flags & 0x80 == 0 { 0 } else { 6 << (flags & 7) };
    let blocks = |mut at: usize| {
        loop {
            match *bytes.get(at)? {
                0 => return Some(at + 1),
                n => at += 1 + usize::from(n),
            }
        }
    };
    let mut at = 13 + palette(*bytes.get(10)?);
    let mut images = 0;
    loop {
        at = match *bytes.get(at)? {
            0x21 => blocks(at + 2)?,
            0x2C if images == 1 => return Some(true),
            0x2C => {
                images += 1;
                blocks(at + 11 + palette(*bytes.get(at + 9)?))?
            }
            _ => return Some(false),
        };
    }
}

/// Whether the header announces an animation.
fn png(bytes: &[u8]) -> bool {
    let mut at = 8;
    while let Some(header) = bytes.get(at..at + 8) {
        match &header[4..] {
            b"acTL" => {
                let frames = bytes.get(at + 8..at + 12);
                return frames.is_some_and(|n| n != [0, 0, 0, 0] && n != [0, 0, 0, 1]);
            }
            b"IDAT" => return false,
            _ => {
                let length = u32::from_be_bytes([header[0], header[1], header[2], header[3]]);
                at = at.saturating_add(12).saturating_add(length as usize);
            }
        }
        if at > bytes.len() {
            return false;
        }
    }
    false
}

fn webp(bytes: &[u8]) -> bool {
    bytes.get(12..16) == Some(b"VP8X") && bytes.get(20).is_some_and(|flags| flags & 2 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [Kind; 4] =
        [Kind::Tiff, Kind::Gif, Kind::Written(Format::Png), Kind::Written(Format::WebP)];

    #[test]
    fn files_of_several_images_say_so() {
        let tiff = |next: u8| [&b"II*\0\x08\0\0\0\x01\0"[..], &[0; 12], &[next, 0, 0, 0]].concat();
        assert_eq!(others(&tiff(0), Kind::Tiff), None);
        assert_eq!(others(&tiff(9), Kind::Tiff), Some("pages"));
        let image = b"\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0";
        let gif = |n: usize| {
            [&b"GIF89a\x01\0\x01\0\0\0\0\x21\xf9\x04\0\0\0\0\0"[..], &image.repeat(n), b";"]
                .concat()
        };
        assert_eq!(others(&gif(1), Kind::Gif), None);
        assert_eq!(others(&gif(2), Kind::Gif), Some("frames"));
        let png = |frames: u8| {
            [&b"\x89PNG\r\n\x1a\n\0\0\0\x08acTL\0\0\0"[..], &[frames], &[0; 8]].concat()
        };
        assert_eq!(others(&png(1), KINDS[2]), None);
        assert_eq!(others(&png(2), KINDS[2]), Some("frames"));
        let webp = b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0";
        assert_eq!(others(webp, KINDS[3]), Some("frames"));
    }

    #[test]
    fn any_bytes_have_an_answer() {
        let mut random = crate::data::random::Random::new(&[12]);
        for start in [&b"II*\0"[..], b"MM\0+", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"RIFF"] {
            for _ in 0..500 {
                let mut bytes = start.to_vec();
                let n = random.below(60);
                bytes.extend((0..n).map(|_| random.bits() as u8));
                assert!(KINDS.iter().filter_map(|kind| others(&bytes, *kind)).count() <= 4);
            }
        }
    }
}
