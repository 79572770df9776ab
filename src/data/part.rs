//! Files in the making: a temporary one beside the place of the whole, which is synced and then renamed, so that nobody sees
//! half of one, whenever the process or the machine ends.
//!
//! A temporary file is locked as long as its process lives, on any system whose files have locks. That tells those that a killed
//! process left behind from those that are being written: a process removes them from every folder that it writes to.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use tempfile::{Builder, NamedTempFile, TempDir};

const PREFIX: &str = ".lemma-";
const SUFFIX: &str = ".part";

/// A file in the making; dropped before it is whole, it goes.
pub struct UnfinishedFile(NamedTempFile);

impl UnfinishedFile {
    /// An empty one for the place `path`, whose folder must exist.
    ///
    /// # Errors
    /// A folder that cannot be written to.
    pub fn beside(path: &Path) -> io::Result<Self> {
        let mut builder = Builder::new();
        builder.prefix(PREFIX).suffix(SUFFIX);
        // Readable as any new file is: the default is for secrets. The umask still applies.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        first_here(folder_of(path));
        loop {
            let file = builder.tempfile_in(folder_of(path))?;
            // Another process may have swept it before it was locked.
            if !taken(file.as_file()) && file.path().exists() {
                return Ok(UnfinishedFile(file));
            }
        }
    }

    /// What is written to.
    pub fn file(&self) -> &File {
        self.0.as_file()
    }

    /// Syncs it, gives it the name `path`, and syncs the folder, so that the name outlives a failure of power.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] where something has the name, unless `overwrite`; what was there is then untouched.
    /// A file that cannot be synced or renamed.
    pub fn finish(self, path: &Path, overwrite: bool) -> io::Result<()> {
        self.file().sync_all()?;
        let done = match overwrite {
            true => self.0.persist(path),
            false => self.0.persist_noclobber(path),
        };
        done.map_err(|e| e.error)?;
        sync_folder(folder_of(path))
    }
}

/// A folder in the making, by the same rules.
pub struct PartFolder {
    folder: TempDir,
    /// Holds the lock; where folders cannot be opened, none is swept either.
    _lock: Option<File>,
}

impl PartFolder {
    /// An empty one for the place `path`, the folder of which must exist.
    ///
    /// # Errors
    /// As [`UnfinishedFile::beside`].
    pub fn beside(path: &Path) -> io::Result<Self> {
        let mut builder = Builder::new();
        builder.prefix(PREFIX).suffix(SUFFIX);
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        first_here(folder_of(path));
        loop {
            let folder = builder.tempdir_in(folder_of(path))?;
            let lock = File::open(folder.path()).ok();
            if !lock.as_ref().is_some_and(taken) && folder.path().exists() {
                return Ok(PartFolder { folder, _lock: lock });
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Gives it the name `path`.
    ///
    /// # Errors
    /// A folder that cannot be renamed; it is then removed.
    pub fn finish(self, path: &Path) -> io::Result<()> {
        sync_folder(self.path())?;
        std::fs::rename(self.path(), path)?;
        // From here on there is nothing to remove under its first name.
        let _ = self.folder.keep();
        sync_folder(folder_of(path))
    }
}

/// Sweeps a folder that this process writes to for the first time.
fn first_here(folder: &Path) {
    static SWEPT: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let Ok(folder) = folder.canonicalize() else { return };
    if SWEPT.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.clone()) {
        sweep(&folder);
    }
}

/// Whether a lock on what was just made is another's: one who sweeps it away.
fn taken(file: &File) -> bool {
    matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock))
}

/// Makes the names in a folder outlive a failure of power.
///
/// # Errors
/// What the system says, but that it does no such thing.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    // A folder may be written to and not read, and a file system may have nothing to sync.
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(e) if matches!(e.kind(), InvalidInput | PermissionDenied | Unsupported) => Ok(()),
        done => done,
    }
}

/// Removes from `folder` what processes that are no more left unfinished; returns how many files and folders that were. What
/// cannot be removed stays.
pub fn sweep(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let ours = entries.filter(|e| {
        let name = e.file_name();
        let name = name.to_string_lossy();
        name.starts_with(PREFIX) && name.ends_with(SUFFIX)
    });
    ours.filter(|entry| removed(&entry.path())).count()
}

fn removed(path: &Path) -> bool {
    let Ok(kind) = path.symlink_metadata().map(|m| m.file_type()) else { return false };
    if !kind.is_file() && !kind.is_dir() {
        return false;
    }
    let Ok(file) = File::open(path) else { return false };
    // Held until it is gone.
    if file.try_lock().is_err() {
        return false;
    }
    match kind.is_file() {
        true => std::fs::remove_file(path).is_ok(),
        false => std::fs::remove_dir_all(path).is_ok(),
    }
}

/// The folder that a path lies in.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn what_is_left_behind_is_swept_and_what_is_being_written_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        std::fs::write(place(".lemma-aB3.part"), "half").unwrap();
        std::fs::write(place(".lemma-gpu-x.part"), "half").unwrap();
        std::fs::create_dir_all(place(".lemma-gpu-set.part/hr")).unwrap();
        for other in [".lemma-notes", "lemma.part", ".other.part"] {
            std::fs::write(place(other), "a user's").unwrap();
        }
        assert_eq!(sweep(folder.path()), if cfg!(unix) { 3 } else { 2 });
        std::fs::write(place(".lemma-aB3.part"), "half").unwrap();
        let live = UnfinishedFile::beside(&place("whole")).unwrap();
        assert!(!place(".lemma-aB3.part").exists(), "swept by who writes there first");
        let set = PartFolder::beside(&place("set")).unwrap();
        assert_eq!(sweep(folder.path()), 0);
        assert!(set.path().is_dir());
        live.file().write_all(b"all of it").unwrap();
        live.finish(&place("whole"), false).unwrap();
        set.finish(&place("set")).unwrap();
        assert_eq!(std::fs::read(place("whole")).unwrap(), b"all of it");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 5);
        let second = UnfinishedFile::beside(&place("whole")).unwrap();
        assert_eq!(
            second.finish(&place("whole"), false).unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        assert_eq!(std::fs::read(place("whole")).unwrap(), b"all of it");
        assert_eq!(sweep(&place("nowhere")), 0);
    }
}
