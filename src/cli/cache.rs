//! Where compiled pipelines are kept between runs.

use std::ffi::OsString;
use std::path::PathBuf;

/// The folder for this user: of `asked` where that is given (`off` for none), else where the system keeps such files.
pub fn folder(asked: Option<&str>) -> Option<PathBuf> {
    match asked {
        Some("off") => None,
        Some(folder) => Some(folder.into()),
        None => of_system(|name| std::env::var_os(name).filter(|v| !v.is_empty())),
    }
}

fn of_system(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let home = |below: &str| variable("HOME").map(|home| PathBuf::from(home).join(below));
    let base = if cfg!(windows) {
        variable("LOCALAPPDATA").map(PathBuf::from)
    } else if cfg!(target_os = "macos") {
        home("Library/Caches")
    } else {
        variable("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| home(".cache"))
    };
    base.map(|b| b.join("lemma-gpu"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn off_is_none_and_a_folder_is_itself() {
        assert_eq!(folder(Some("off")), None);
        assert_eq!(folder(Some("here")), Some("here".into()));
        assert_eq!(of_system(|_| None), None);
    }
}
