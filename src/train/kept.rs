//! Steps that were recorded, kept to be taken again: a step of the same shapes costs no recording.

use super::inputs::{Feed, Inputs};
use super::trainee::Losses;
use crate::Result;
use crate::gpu::{Gpu, KeptPass, Workspace};
use crate::tensor::{Cx, Tensor};

/// What the shapes of a step depend on: images, characters of the longest word, whether places of characters are known.
type Key = [usize; 3];

/// Steps kept at once; they share the memory that one of them takes.
const MOST: usize = 16;

/// Steps that were recorded, the last one taken at the end.
#[derive(Default)]
pub(super) struct KeptSteps {
    steps: Vec<(Key, Kept)>,
    workspace: Option<Workspace>,
}

struct Kept {
    pass: KeptPass,
    inputs: Vec<Tensor>,
    losses: Losses,
}

impl KeptSteps {
    /// Takes a step of `key`: `inputs` feeds it, `record` is asked for it unless it was kept. Returns its losses.
    ///
    /// # Errors
    /// Those of recording and of the device; what is kept must then be dropped.
    pub(super) fn run(
        &mut self,
        gpu: &Gpu,
        key: Key,
        inputs: impl Fn(&mut Feed) -> Result<Inputs>,
        record: impl FnOnce(Cx, &Inputs) -> Result<(Cx, Losses)>,
    ) -> Result<Losses> {
        let kept = match self.steps.iter().position(|(k, _)| *k == key) {
            Some(place) => {
                let (_, kept) = self.steps.remove(place);
                inputs(&mut Feed::again(gpu, kept.inputs.clone()))?;
                kept
            }
            None => {
                if self.steps.len() == MOST {
                    self.steps.remove(0);
                }
                let workspace = self.workspace.get_or_insert_with(|| gpu.workspace());
                let mut feed = Feed::new(gpu);
                let fed = inputs(&mut feed)?;
                let (cx, losses) = record(Cx::new_in(gpu, workspace), &fed)?;
                Kept { pass: cx.into_kept()?, inputs: feed.into_tensors(), losses }
            }
        };
        kept.pass.submit()?;
        let losses = copies(gpu, &kept.losses)?;
        self.steps.push((key, kept));
        Ok(losses)
    }
}

/// The losses of a step that the next one writes over.
fn copies(gpu: &Gpu, losses: &Losses) -> Result<Losses> {
    let cx = Cx::new(gpu);
    let copy = |(name, loss): &(&'static str, Tensor)| {
        let own = cx.out_f32([1]);
        cx.copy_into(&loss.reshape([1])?, &own, 0)?;
        Ok((*name, own))
    };
    let own = losses.iter().map(copy).collect::<Result<Losses>>()?;
    cx.submit()?;
    Ok(own)
}
