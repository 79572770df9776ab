//! The one way to standard error. What a file or a name brings along is written out, not obeyed.

use crate::error::visible_lines;

/// Writes a message of one or several lines.
pub fn line(text: &str) {
    std::eprintln!("{}", visible_lines(text));
}

/// Tells the user something on standard error: the arguments of `format!`.
macro_rules! say {
    ($($argument:tt)*) => { $crate::cli::say::line(&format!($($argument)*)) };
}
pub(super) use say;

/// A number of things.
pub fn count(n: usize, thing: &str) -> String {
    if n == 1 { format!("1 {thing}") } else { format!("{n} {thing}s") }
}
