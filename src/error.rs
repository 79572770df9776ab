//! The one error type. A message says where, what, what was expected and what was there instead:
//!
//! ```text
//! lemma.block1.0: conv2d: weight wants 4 input channels: expected 4, got 3
//!     x [64, 16, 64, 3] · weight [9, 9, 4, 64] · stride 1, pad 4
//!     hint: this checkpoint was trained with the mask channel
//! ```
//!
//! Mistakes of a user return an [`Error`]; broken promises inside the engine panic.
//!
//! What an error tells of a file or a path may hold anything. It is made [`visible`] here, once, so that nobody else needs to.

use std::borrow::Cow;
use std::fmt;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure an [`Error`] is, for programs that react to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No adapter fits the request.
    NoAdapter,
    /// The device was lost, or refused a kernel.
    Device,
    /// The device has no memory left, or no more than it was allowed to take.
    Memory,
    /// A file or stream could not be read or written.
    Io,
    /// A file was read but its content is not what it claims to be.
    Format,
    /// Tensors, shapes or names do not fit the model.
    Shape,
    /// An argument or option is out of its range.
    Argument,
    /// A result failed its own check (a NaN, an all-equal image).
    Result,
    /// The caller asked to stop.
    Cancelled,
}

/// A failure with its place, its reason and, where it helps, a hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(Box<Parts>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Parts {
    kind: ErrorKind,
    place: String,
    what: String,
    expected: Option<String>,
    got: Option<String>,
    detail: Option<String>,
    hint: Option<String>,
}

impl Error {
    /// A failure `what` at `place` (a file, a parameter path, an option).
    pub fn new(kind: ErrorKind, place: impl fmt::Display, what: impl fmt::Display) -> Self {
        Error(Box::new(Parts {
            kind,
            place: place.to_string(),
            what: what.to_string(),
            expected: None,
            got: None,
            detail: None,
            hint: None,
        }))
    }

    /// Adds what would have been right.
    pub fn expected(mut self, expected: impl fmt::Display) -> Self {
        self.0.expected = Some(expected.to_string());
        self
    }

    /// Adds what was there instead.
    pub fn got(mut self, got: impl fmt::Display) -> Self {
        self.0.got = Some(got.to_string());
        self
    }

    /// Adds circumstances (the shapes involved), shown on lines of their own.
    pub fn detail(mut self, detail: impl fmt::Display) -> Self {
        self.0.detail = Some(match self.0.detail.take() {
            Some(before) => format!("{before}\n{detail}"),
            None => detail.to_string(),
        });
        self
    }

    /// Adds a way out, where it is surely useful.
    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.0.hint = Some(hint.to_string());
        self
    }

    /// Puts `outer` in front of the place: errors gain their path on the way up.
    pub fn within(mut self, outer: impl fmt::Display) -> Self {
        self.0.place = if self.0.place.is_empty() {
            outer.to_string()
        } else {
            format!("{outer}: {}", self.0.place)
        };
        self
    }

    /// The kind of failure.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What failed, without the place: what many failures of one sort have in common.
    pub fn reason(&self) -> &str {
        &self.0.what
    }

    /// A failed input or output at `path`.
    pub fn io(path: impl fmt::Display, doing: &str, error: std::io::Error) -> Self {
        Error::new(ErrorKind::Io, path, format!("{doing}: {error}"))
    }
}

/// Text of a file, or a name, as a terminal and a table can take it: what would control a terminal, break a line or a column,
/// turn the direction of writing or not be seen at all is written out, as `\u{1b}` or `\n`.
///
/// ```
/// use lemma_gpu::error::visible;
/// assert_eq!(visible("a\tb\u{1b}[2J"), "a\\tb\\u{1b}[2J");
/// assert_eq!(visible("gnp.\u{202e}png"), "gnp.\\u{202e}png");
/// assert_eq!(visible("Łódź, 北京"), "Łódź, 北京");
/// ```
pub fn visible(text: &str) -> Cow<'_, str> {
    visible_but(text, &[])
}

/// [`visible`] text whose line breaks and tabs are our own.
pub fn visible_lines(text: &str) -> Cow<'_, str> {
    visible_but(text, &['\n', '\t'])
}

fn visible_but<'t>(text: &'t str, own: &[char]) -> Cow<'t, str> {
    let hidden = |c: char| (c.is_control() || is_unseen(c)) && !own.contains(&c);
    if !text.contains(hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            c if !hidden(c) => out.push(c),
            '\n' | '\t' | '\r' | '\0' => out.extend(c.escape_debug()),
            c => out.extend(c.escape_unicode()),
        }
    }
    Cow::Owned(out)
}

/// Characters without a glyph that move, join or hide others: breaks of lines and paragraphs, marks of direction, and what
/// Unicode calls ignorable.
fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { place, what, expected, got, detail, hint, .. } = &*self.0;
        // Messages of libraries may have several lines; those behind the first are set in.
        let lines = |text: &str| text.lines().map(visible).collect::<Vec<_>>().join("\n    ");
        let [expected, got, hint] = [expected, got, hint].map(|part| part.as_deref().map(lines));
        if !place.is_empty() {
            write!(f, "{}: ", visible(place))?;
        }
        f.write_str(&lines(what))?;
        match (expected, got) {
            (Some(e), Some(g)) => write!(f, ": expected {e}, got {g}")?,
            (Some(e), None) => write!(f, ": expected {e}")?,
            (None, Some(g)) => write!(f, ": got {g}")?,
            (None, None) => {}
        }
        if let Some(detail) = detail {
            for line in detail.lines() {
                write!(f, "\n    {}", visible(line))?;
            }
        }
        if let Some(hint) = hint {
            write!(f, "\n    hint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_file_reaches_the_terminal_as_it_is() {
        let evil = "a\u{1b}]0;b\u{7}\r\u{9b}2J\u{202e}c\u{2028}";
        let e = Error::new(ErrorKind::Format, format!("{evil}\nx"), evil)
            .expected(evil)
            .got(format!("{evil}\nerror: forged"))
            .detail(evil)
            .hint(evil);
        let text = e.to_string();
        assert!(text.chars().all(|c| c == '\n' || !c.is_control() && !is_unseen(c)), "{text}");
        assert!(text.lines().skip(1).all(|line| line.starts_with("    ")), "{text}");
        assert_eq!(text.lines().count(), 4, "{text}");
    }

    #[test]
    fn a_message_has_its_parts_in_order() {
        let e = Error::new(ErrorKind::Shape, "block1.0", "conv2d: input channels")
            .expected(4)
            .got(3)
            .detail("x [1, 16, 64, 3]")
            .hint("add the mask")
            .within("lemma");
        assert_eq!(
            e.to_string(),
            "lemma: block1.0: conv2d: input channels: expected 4, got 3\n    x [1, 16, 64, 3]\n    hint: add the mask"
        );
    }
}
