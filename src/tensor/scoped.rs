//! Labels for what is appended to a pass.

use super::Cx;
use super::label::{Label, Place};
use std::sync::Arc;

/// What is recorded while this lives carries its label; afterwards the one before holds again.
#[must_use = "the label holds as long as this lives"]
pub struct Scoped<'a> {
    cx: &'a Cx,
    before: Option<Label>,
}

impl Drop for Scoped<'_> {
    fn drop(&mut self) {
        if let Some(before) = self.before.take() {
            self.cx.set_label(before);
        }
    }
}

impl Cx {
    /// Labels what is recorded with the path of a module, in place of the path of the module around it.
    pub fn scope(&self, path: &str) -> Scoped<'_> {
        self.label(|l| l.place.path = path.into())
    }

    /// Puts `part` before the paths of what is recorded, for a second network whose paths are its own.
    pub fn part(&self, part: &'static str) -> Scoped<'_> {
        self.label(|l| l.place = Place { part, path: Arc::default() })
    }

    /// Puts `phase` before everything, such as `forward`; the gradient of an operation keeps its place in another phase.
    pub fn phase(&self, phase: &'static str) -> Scoped<'_> {
        self.label(|l| *l = Label { phase, ..Label::default() })
    }

    /// Where what is recorded now belongs; nowhere without profiling.
    pub(super) fn place(&self) -> Option<Place> {
        self.gpu().options().profile.then(|| self.label.borrow().place.clone())
    }

    /// Labels what is recorded with the place of an operation, in the phase that is on.
    pub(super) fn back_at(&self, place: Option<Place>) -> Scoped<'_> {
        self.label(|l| l.place = place.unwrap_or_default())
    }

    fn label(&self, change: impl FnOnce(&mut Label)) -> Scoped<'_> {
        if !self.gpu().options().profile {
            return Scoped { cx: self, before: None };
        }
        let before = self.label.borrow().clone();
        let mut label = before.clone();
        change(&mut label);
        self.set_label(label);
        Scoped { cx: self, before: Some(before) }
    }
}
