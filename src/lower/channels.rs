//! Some channels of an image are resized where they stand.

use super::maker;
use crate::Result;
use crate::ops::nodes::{CopyColumns, Resize};
use crate::tensor::{Graph, Rule};

pub(super) static RULE: Rule = Rule { name: "channels", wanted: |_| true, apply };

fn apply(graph: &mut Graph, to: usize) -> Result<()> {
    let Some(resize) = graph.at::<Resize>(to) else { return Ok(()) };
    let Some(from) = maker(graph, &resize.x, to) else { return Ok(()) };
    let Some(copy) = graph.at::<CopyColumns>(from) else { return Ok(()) };
    // The same rows, an image's.
    let same = copy.x.shape().rank() == 4 && copy.y.dims()[..3] == copy.x.dims()[..3];
    if let Some(first) = copy.slice().filter(|_| same) {
        let of_channels = resize.of_channels(copy.x.clone(), first);
        graph.merge(from, to, of_channels);
    }
    Ok(())
}
