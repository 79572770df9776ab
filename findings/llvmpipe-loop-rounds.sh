#!/usr/bin/env bash
# llvmpipe leaves a loop after about 65,535 rounds, and goes on behind it as if it had ended by itself.
#
# Seen with wgpu-native 29.0.1.1 (Python package wgpu 0.32.0) on llvmpipe of Mesa 22.3.6: a kernel that counts the rounds of a loop
# gives the right number up to 65,535 and 65,535 for more. The rounds of nested loops are counted together: 300 times 300 give
# 65,101 in place of 90,000. Nothing is reported. A recurrence or a sum in one invocation that is longer gives a wrong result; it has to be
# cut into several dispatches or loops must be unrolled.
#
# Needs Python 3.10 or newer with pip, and llvmpipe. Exits 0 if that is still so, 1 if not.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/python"
"$work/python/bin/pip" install --quiet wgpu==0.32.0

cat >"$work/count.py" <<'PYTHON'
import struct
import wgpu
import wgpu.backends.wgpu_native
import wgpu.utils.compute

SHADER = """
@group(0) @binding(0) var<storage, read> rounds: array<u32>;
@group(0) @binding(1) var<storage, read_write> seen: array<u32>;
@compute @workgroup_size(1)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let outer = rounds[2u * id.x];
    let inner = rounds[2u * id.x + 1u];
    var n = 0u;
    for (var i = 0u; i < outer; i++) {
        for (var j = 0u; j < inner; j++) { n += 1u + (i & j & n & 1u) * 0u; }
    }
    seen[id.x] = n;
}
"""
adapter = wgpu.gpu.request_adapter_sync(power_preference="low-power")
info = adapter.info
print("adapter:", info["device"], info["description"], info["backend_type"])
print("wgpu-native:", ".".join(map(str, wgpu.backends.wgpu_native.lib_version_info)))
cases = [(1, 65000), (250, 250), (1, 70000), (1, 1000000), (300, 300)]
data = struct.pack("10I", *[n for case in cases for n in case])
out = wgpu.utils.compute.compute_with_buffers({0: data}, {1: (len(cases), "I")}, SHADER, n=(len(cases), 1, 1))[1]
for (outer, inner), seen in zip(cases, out):
    print(f"{outer} x {inner} = {outer * inner}: counted {seen}")
assert list(out) == [65000, 62500, 65535, 65535, 65101], "this has changed"
PYTHON
"$work/python/bin/python" "$work/count.py" 2>/dev/null
