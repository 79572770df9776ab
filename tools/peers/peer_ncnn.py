"""ncnn on Vulkan: a network of one layer in f32, with Winograd where ncnn likes it."""

import os
import tempfile

import ncnn
import numpy as np

WINOGRAD = True


def open(adapter, threads):
    global device, cpu_threads
    cpu_threads = threads
    if not hasattr(ncnn, "create_gpu_instance"):
        raise RuntimeError("this build of ncnn has no Vulkan")
    ncnn.create_gpu_instance()
    names = [ncnn.get_gpu_info(i).device_name() for i in range(ncnn.get_gpu_count())]
    if adapter not in names:
        raise RuntimeError(f"expected the adapter {adapter}, got {names or 'none'}")
    device = names.index(adapter)
    return ncnn.__version__, names[device]


def layer(shape, weights):
    """The layer's line in ncnn's text format."""
    size = weights[0].size
    if len(weights) == 2:
        k = shape.kernel
        return f"Convolution it 1 1 x y 0={shape.outputs} 1={k} 4={k // 2} 5=1 6={size}"
    # B and C are constants, and C is nothing.
    return f"Gemm it 1 1 x y 4=0 5=1 6=1 8={shape.columns} 9={shape.inner} 10=-1"


def load(net, text, weights):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "weights.bin")
        # In front of the first array: its values are plain f32.
        np.concatenate([np.zeros(1, np.float32), *(w.ravel() for w in weights)]).tofile(path)
        if net.load_param_mem(text) != 0 or net.load_model(path) != 0:
            raise RuntimeError(f"ncnn does not load: {text}")


def prepare(shape):
    x, *weights = shape.data()
    net = ncnn.Net()
    net.opt.use_vulkan_compute = True
    net.opt.use_winograd_convolution = WINOGRAD
    net.opt.num_threads = cpu_threads
    for kind in ["fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_packed", "bf16_storage"]:
        setattr(net.opt, f"use_{kind}", False)
    net.set_vulkan_device(device)
    load(net, f"7767517\n2 2\nInput x 0 1 x\n{layer(shape, weights)}\n", weights)
    if not all(it.support_vulkan for it in net.layers() if it.name == "it"):
        raise RuntimeError(f"ncnn has no Vulkan kernel for {shape}")

    # Copies, as a Mat made from an array borrows its memory.
    images = (ncnn.Mat(x, batch_index=0) if x.ndim == 4 else ncnn.Mat(x)).clone()

    def run():
        extractor = net.create_extractor()
        extractor.input("x", images)
        code, y = extractor.extract("y")
        if code != 0:
            raise RuntimeError(f"ncnn failed with {code} on {shape}")
        return np.stack([np.array(y.batch(i)) for i in range(y.n)])

    return run
