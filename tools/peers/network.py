"""LEMMA at its official sizes for PyTorch and ONNX: the network of `../reference` in evaluation, with random weights."""

import functools
import io
import sys
from pathlib import Path

import torch

sys.path.append(str(Path(__file__).resolve().parent.parent / "reference"))

import abinet  # noqa: E402
import lemma  # noqa: E402
from layers import Network  # noqa: E402

SEED = 1
SIZES = lemma.Sizes(
    hidden=32, blocks=5, heads=4, inner=64, encoder_layers=2, decoder_layers=3, selected=500, expansion=(32, 64),
    prior=abinet.Sizes(
        planes=(32, 64, 128, 256, 512), blocks=(3, 4, 6, 6, 3), heads=8, inner=2048, vision_layers=3, language_layers=4,
        unet=64,
    ),
)


class Lemma(torch.nn.Module):
    """From images [N, 4, 16, 64] to images [N, 4, 32, 128]."""

    def __init__(self, dtype=torch.float32):
        super().__init__()
        self.net = Network(SEED, dtype, training=False)
        # The first pass makes the weights.
        self.forward(torch.zeros(1, 4, 16, 64, dtype=dtype))
        for weight in self.net.parameters.values():
            weight.requires_grad_(False)
        self.eval()

    def forward(self, x):
        return lemma.enlarge(self.net, x, SIZES)["sr"]


@functools.cache
def result(shape):
    """What comes out in f64."""
    with torch.no_grad():
        return Lemma(torch.float64)(torch.from_numpy(shape.data()[0]).double()).numpy()


def onnx_model(x):
    """The network as an ONNX file for images of the shape of `x`, its bytes."""
    from onnxscript import opset18

    def sort(x, stable=False, dim=-1, descending=False):
        """PyTorch's exporter knows no stable sort; ONNX's TopK puts the first of equals first, as that does."""
        return opset18.TopK(x, opset18.Constant(value_ints=[lemma.PIXELS]), axis=dim, largest=int(descending))

    table = {torch.ops.aten.sort.stable: sort}
    program = torch.onnx.export(
        Lemma(), (torch.from_numpy(x),), input_names=["x"], output_names=["y"], custom_translation_table=table
    )
    file = io.BytesIO()
    program.save(file)
    return file.getvalue()
