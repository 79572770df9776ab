//! Processes that a launcher starts side by side.

use crate::{Error, ErrorKind, Result};

/// Where launchers say how many processes they started. SLURM's number of a job's tasks is not among them: it is there in a
/// batch script, too, which is one process.
const SIZES: [&str; 5] = [
    "OMPI_COMM_WORLD_SIZE",
    "PMI_SIZE",
    "MV2_COMM_WORLD_SIZE",
    "SLURM_STEP_NUM_TASKS",
    "WORLD_SIZE",
];

/// Refuses to be one of several processes: each would do all of the work, and write it into one folder.
///
/// # Errors
/// [`ErrorKind::Argument`].
pub fn expect_alone(what: &str) -> Result<()> {
    alone(what, |name| std::env::var(name).ok())
}

fn alone(what: &str, get: impl Fn(&str) -> Option<String>) -> Result<()> {
    let size = |name: &&str| get(name)?.trim().parse::<usize>().ok();
    match SIZES.iter().find_map(|name| size(name).map(|n| (name, n))) {
        Some((name, n)) if n > 1 => {
            Err(Error::new(ErrorKind::Argument, what, "processes that a launcher started")
                .expected("1, since all of them would write into one folder")
                .got(format!("{n} ({name})"))
                .hint("start it once, without mpirun or with srun --ntasks=1"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_goes_on_and_several_do_not() {
        let with = |set: &[(&str, &str)]| {
            alone("train", |name| set.iter().find(|(n, _)| *n == name).map(|(_, v)| v.to_string()))
        };
        assert_eq!(with(&[]), Ok(()));
        assert_eq!(with(&[("OMPI_COMM_WORLD_SIZE", "1"), ("SLURM_NTASKS", "4")]), Ok(()));
        for name in SIZES {
            let error = with(&[(name, "4")]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Argument);
            assert!(error.to_string().contains(&format!("got 4 ({name})")), "{error}");
        }
    }
}
