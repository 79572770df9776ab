//! Times of dispatches by the GPU's own clock.

/// One timed dispatch.
#[derive(Debug, Clone)]
pub struct Timing {
    /// Scope in force when it was recorded, `block2.conv1`.
    pub scope: String,
    /// The kernel's name.
    pub kernel: &'static str,
    /// Duration in seconds.
    pub seconds: f64,
}
