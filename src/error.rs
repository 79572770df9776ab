//! The one error type. A message says where, what, what was expected and what was there instead:
//!
//! ```text
//! lemma.block1.0: conv2d: weight wants 4 input channels: expected 4, got 3
//!     x [64, 16, 64, 3] · weight [9, 9, 4, 64] · stride 1, pad 4
//!     hint: this checkpoint was trained with the mask channel
//! ```
//!
//! Mistakes of a user return an [`Error`]; broken promises inside the engine panic.

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

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { place, what, expected, got, detail, hint, .. } = &*self.0;
        if !place.is_empty() {
            write!(f, "{place}: ")?;
        }
        write!(f, "{what}")?;
        match (expected, got) {
            (Some(e), Some(g)) => write!(f, ": expected {e}, got {g}")?,
            (Some(e), None) => write!(f, ": expected {e}")?,
            (None, Some(g)) => write!(f, ": got {g}")?,
            (None, None) => {}
        }
        if let Some(detail) = detail {
            for line in detail.lines() {
                write!(f, "\n    {line}")?;
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
