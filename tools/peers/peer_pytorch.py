"""PyTorch on the CPU: `torch.nn.functional` on contiguous NCHW tensors, in eager mode."""

import torch
import torch.nn.functional as F


def open(_adapter, threads):
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    return torch.__version__, f"CPU, {torch.get_num_threads()} threads"


def prepare(shape):
    x, *weights = map(torch.from_numpy, shape.data())
    if not weights:
        import network

        model = network.Lemma()
        return lambda: model(x).numpy()
    w, *b = weights
    if b:
        return lambda: F.conv2d(x, w, *b, padding=shape.kernel // 2).numpy()
    w = w.T.contiguous()
    return lambda: F.linear(x, w).numpy()
