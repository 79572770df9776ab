#!/usr/bin/env bash
# WGSL's `v != v` is false for NaN where naga compiles for Vulkan.
#
# Seen with wgpu-native 29.0.1.1 (Python package wgpu 0.32.0) on llvmpipe of Mesa 22.3.6: for v = NaN the comparisons `v != v`,
# `v == v` and `!(v == v)` give false, false and true. IEEE 754 says true for the first. naga writes `!=` of floats as
# OpFOrdNotEqual, which is false when an operand is NaN; the unordered comparison would be right. The usual test for NaN therefore
# never finds one on Vulkan, though the same text finds it on Metal. `!(v == v)` works everywhere.
#
# Needs Python 3.10 or newer with pip, and a Vulkan driver. Exits 0 if that is still so, 1 if not.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/python"
"$work/python/bin/pip" install --quiet wgpu==0.32.0 numpy==2.4.6

cat >"$work/compare.py" <<'PYTHON'
import numpy as np
import wgpu
import wgpu.backends.wgpu_native
import wgpu.utils.compute

SHADER = """
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(1)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let v = x[id.x];
    y[3u * id.x] = select(0u, 1u, v != v);
    y[3u * id.x + 1u] = select(0u, 1u, v == v);
    y[3u * id.x + 2u] = select(0u, 1u, !(v == v));
}
"""
adapter = wgpu.gpu.request_adapter_sync(power_preference="low-power")
info = adapter.info
print("adapter:", info["device"], info["description"], info["backend_type"])
print("wgpu-native:", ".".join(map(str, wgpu.backends.wgpu_native.lib_version_info)))
x = np.array([1.0, np.nan], np.float32)
seen = list(wgpu.utils.compute.compute_with_buffers({0: x}, {1: (6, "I")}, SHADER, n=(2, 1, 1))[1])
print("v = 1:   v != v, v == v, !(v == v):", *seen[:3])
print("v = NaN: v != v, v == v, !(v == v):", *seen[3:])
assert seen == [0, 1, 0, 0, 0, 1], "this has changed"
PYTHON
"$work/python/bin/python" "$work/compare.py" 2>/dev/null
