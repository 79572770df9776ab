//! Options that other programs for enlarging images have, or that earlier versions had, and what takes their place here.

use crate::train::RENAMED;
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

/// Names that go on working for one version: command, name, and what it is called now.
const OLD: [(&str, &str, &str); 6] = [
    ("infer", "--reader", "--recognizer"),
    ("eval", "--report", "--html"),
    ("train", "--out", "--output"),
    ("train", "--valid", "--val-data"),
    ("train", "recognizer", "text-focus"),
    ("trace", "frozen", "eval"),
];

/// A note for each old name among the arguments of a run.
pub fn old_names(arguments: &[String]) -> Vec<String> {
    let options = arguments.split(|a| a == "--").next().unwrap_or_default();
    let is = |(command, old, _): &&(&str, &str, &str)| {
        let said = |a: &String| {
            let (name, value) = a.split_once('=').unwrap_or((a, a));
            if old.starts_with("--") { name == *old } else { value == *old }
        };
        options.iter().any(|a| a == command) && options.iter().skip(1).any(said)
    };
    let note = |(_, old, new): &(&str, &str, &str)| {
        format!("{old} is called {new} now; the old name goes with the next version")
    };
    let said = |old: &str| options.iter().any(|a| set_of(a).is_some_and(|key| key == old));
    let settings = RENAMED.iter().filter(|(old, _)| said(old));
    let settings = settings.map(|(old, new)| {
        format!("--set {old} is called {new} now; the old name goes with the next version")
    });
    OLD.iter().filter(is).map(note).chain(settings).collect()
}

/// The key of `key=value` or `--set=key=value`.
fn set_of(argument: &str) -> Option<&str> {
    Some(argument.strip_prefix("--set=").unwrap_or(argument).split_once('=')?.0)
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

    #[test]
    fn old_names_work_and_are_noted() {
        let cases = [
            ("infer -i a.png -o b.png --reader r", "--recognizer"),
            ("eval -d set --report=a.html", "--html"),
            ("train -s vision -d set --out run", "--output"),
            ("train -s vision -d set -o run --valid set", "--val-data"),
            ("train -s recognizer -d set -o run", "text-focus"),
            ("train --stage=recognizer -d set -o run", "text-focus"),
            ("trace -m a -i b --grad frozen", "eval"),
            ("train -s vision -d set -o run --set degraded=0.5", "lr_input_prob"),
            ("train -s vision -d set -o run --set=most_skipped=3", "max_skipped_steps"),
        ];
        for (line, new) in cases {
            let line: Vec<String> =
                std::iter::once("lemma-gpu").chain(line.split(' ')).map(String::from).collect();
            Cli::try_parse_from(&line).unwrap_or_else(|e| panic!("{line:?}: {e}"));
            let notes = old_names(&line);
            assert_eq!(notes.len(), 1, "{line:?}: {notes:?}");
            assert!(notes[0].contains(&format!("called {new} now")), "{notes:?}");
        }
        for line in ["infer -i a.png --recognizer r", "train --recognizer r", "eval -d -- --judge"]
        {
            let line: Vec<String> = line.split(' ').map(String::from).collect();
            assert!(old_names(&line).is_empty(), "{line:?}");
        }
        for line in ["info -g list", "info --gpu list", "info --adapter list"] {
            let line = std::iter::once("lemma-gpu").chain(line.split(' '));
            let cli = Cli::try_parse_from(line).unwrap();
            assert_eq!(cli.global.adapter.as_deref(), Some("list"));
        }
    }
}
