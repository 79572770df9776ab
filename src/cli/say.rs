//! The one way to standard error. What a file or a name brings along is written out, not obeyed.

use crate::error::visible_lines;
use std::io::Write;

/// Writes a message of one or several lines. Where nobody listens any more, work goes on without.
pub fn line(text: &str) {
    let _gone = writeln!(std::io::stderr(), "{}", visible_lines(text));
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
