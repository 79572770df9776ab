//! TensorBoard's event files: scalars over steps, in the TFRecord framing.

use crate::{Error, Result};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// An event file that grows.
pub struct Events {
    file: File,
    path: PathBuf,
}

impl Events {
    /// Starts a file in `folder`. TensorBoard reads all files of a folder as one run, so a resumed run starts another.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn create(folder: &Path) -> Result<Self> {
        let now = seconds();
        let name = format!("events.out.tfevents.{}.{}.lemma-gpu", now as u64, std::process::id());
        let path = folder.join(name);
        let file =
            File::create(&path).map_err(|e| Error::io(path.display(), "cannot be written", e))?;
        let mut events = Events { file, path };
        let mut event = field_double(1, now);
        event.extend(field_bytes(3, b"brain.Event:2"));
        events.write(&event)?;
        Ok(events)
    }

    /// Adds values at a step.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn scalars(&mut self, step: usize, values: &[(String, f64)]) -> Result<()> {
        let mut summary = Vec::new();
        for (tag, value) in values {
            let mut one = field_bytes(1, tag.as_bytes());
            one.push(2 << 3 | 5);
            one.extend((*value as f32).to_le_bytes());
            summary.extend(field_bytes(1, &one));
        }
        let mut event = field_double(1, seconds());
        event.push(2 << 3);
        event.extend(varint(step as u64));
        event.extend(field_bytes(5, &summary));
        self.write(&event)
    }

    fn write(&mut self, event: &[u8]) -> Result<()> {
        let length = (event.len() as u64).to_le_bytes();
        let mut record = length.to_vec();
        record.extend(masked(&length).to_le_bytes());
        record.extend(event);
        record.extend(masked(event).to_le_bytes());
        self.file
            .write_all(&record)
            .map_err(|e| Error::io(self.path.display(), "cannot be written", e))
    }
}

fn seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

fn varint(mut n: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while n > 127 {
        out.push(n as u8 | 128);
        n >>= 7;
    }
    out.push(n as u8);
    out
}

fn field_bytes(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    out.extend(varint(bytes.len() as u64));
    out.extend(bytes);
    out
}

fn field_double(number: u8, value: f64) -> Vec<u8> {
    let mut out = vec![number << 3 | 1];
    out.extend(value.to_le_bytes());
    out
}

/// CRC-32C, turned and offset as TFRecord wants it.
fn masked(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, b| {
        (0..8).fold(
            crc ^ u32::from(*b),
            |c, _| if c & 1 == 1 { c >> 1 ^ 0x82f6_3b78 } else { c >> 1 },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(varint(300), [0xac, 2]);
        let folder = tempfile::tempdir().unwrap();
        let mut events = Events::create(folder.path()).unwrap();
        events.scalars(300, &[("loss".into(), 0.5)]).unwrap();
        let bytes = std::fs::read(&events.path).unwrap();
        let first = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let second = &bytes[8 + 4 + first + 4..];
        let length = u64::from_le_bytes(second[..8].try_into().unwrap()) as usize;
        assert_eq!(second.len(), 8 + 4 + length + 4);
        let event = &second[12..12 + length];
        assert_eq!(
            event[9..],
            [
                0x10, 0xac, 2, 0x2a, 13, 0x0a, 11, 0x0a, 4, b'l', b'o', b's', b's', 0x15, 0, 0, 0,
                0x3f
            ]
        );
        assert_eq!(u32::from_le_bytes(second[12 + length..].try_into().unwrap()), masked(event));
    }
}
