//! One pool of memory for all decoders: however many threads decode, the pixels they work on at once
//! stay bounded.

use std::sync::{Condvar, Mutex, PoisonError};

/// Pixels that may be in the works at once.
pub(super) struct Room {
    most: u64,
    taken: Mutex<u64>,
    changed: Condvar,
}

/// A share of the room, given back when it is dropped.
pub(super) struct Share<'a> {
    room: &'a Room,
    pixels: u64,
}

impl Room {
    pub(super) const fn new(most: u64) -> Self {
        Room { most, taken: Mutex::new(0), changed: Condvar::new() }
    }

    /// Waits until there is room for `pixels`. What is larger than the room gets all of it.
    pub(super) fn take(&self, pixels: u64) -> Share<'_> {
        let pixels = pixels.min(self.most);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        while *taken + pixels > self.most {
            taken = self.changed.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        *taken += pixels;
        Share { room: self, pixels }
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        *self.room.taken.lock().unwrap_or_else(PoisonError::into_inner) -= self.pixels;
        self.room.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    #[test]
    fn threads_share_the_room_and_none_waits_for_ever() {
        let room = Room::new(100);
        let (now, most) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for pixels in [60, 30, 30, 250, 100, 1, 40, 70] {
                let (room, now, most) = (&room, &now, &most);
                scope.spawn(move || {
                    let share = room.take(pixels);
                    let held = now.fetch_add(pixels.min(100), Ordering::SeqCst) + pixels.min(100);
                    most.fetch_max(held, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(5));
                    now.fetch_sub(pixels.min(100), Ordering::SeqCst);
                    drop(share);
                });
            }
        });
        let most = most.into_inner();
        assert!((60..=100).contains(&most), "{most}");
    }
}
