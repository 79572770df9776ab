//! Options that other programs for enlarging images have, and what takes their place here.

use clap::error::{ContextKind, ContextValue, Error};

/// Adds to an error of the command line what to use instead, where the option is one of a family of programs that many
/// know.
pub fn explained(mut error: Error) -> Error {
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else {
        return error;
    };
    let tip = match option.split(['=', ' ']).next().unwrap_or_default() {
        "-s" | "--scale" => {
            "results are always twice the 64×16 pixels that the network sees; --fit says how images get there"
        }
        "-n" => "weights are named by their file, -m FILE; there is no level of noise",
        "-t" | "--tile" => {
            "there are no tiles: --fit split cuts long lines into windows, -b says how many are computed at once"
        }
        "-x" => "there is no test-time augmentation: every image is computed once",
        "-1" => "-g takes an index or a part of a name; -g list shows them, the CPU among them",
        "--jobs <N>" | "--jobs" => {
            "-j takes one number: threads that decode, and as many that encode"
        }
        _ => return error,
    };
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    error
}

#[cfg(test)]
mod tests {
    use super::super::Cli;
    use super::*;
    use clap::Parser;

    #[test]
    fn options_of_other_programs_are_answered() {
        let cases = [
            ("infer -i a.png -o b.png -s 4", "always twice"),
            ("infer -i a.png -o b.png -n x", "-m FILE"),
            ("infer -i a.png -o b.png -t 0", "--fit split"),
            ("infer -i a.png -o b.png -x", "test-time"),
            ("infer -i a.png -o b.png -g -1", "-g list"),
            ("infer -i a.png -o b.png -j 4:4:4", "one number"),
        ];
        for (line, says) in cases {
            let line = std::iter::once("lemma-gpu").chain(line.split(' '));
            let error = explained(Cli::try_parse_from(line).unwrap_err());
            let text = error.to_string();
            assert!(text.contains(says), "{text}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
