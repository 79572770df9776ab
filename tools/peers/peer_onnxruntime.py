"""ONNX Runtime on the CPU: models whose weights are initializers, so that it may pack them once."""

import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

options = onnxruntime.SessionOptions()


def open(_adapter, threads):
    options.intra_op_num_threads = threads
    return onnxruntime.__version__, f"CPU, {threads} threads"


def prepare(shape):
    x, *weights = shape.data()
    model = one_node(shape, x, weights) if weights else network(x)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": x})[0]


def network(x):
    import network

    return network.onnx_model(x)


def one_node(shape, x, weights):
    if len(weights) == 2:
        node = helper.make_node("Conv", ["x", "w0", "w1"], ["y"], pads=[shape.kernel // 2] * 4)
    else:
        node = helper.make_node("MatMul", ["x", "w0"], ["y"])
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * x.ndim)],
        [numpy_helper.from_array(w, f"w{i}") for i, w in enumerate(weights)],
    )
    # Versions of the format that the runtime is sure to know, whatever the package writes by itself.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString()
