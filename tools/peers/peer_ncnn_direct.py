"""ncnn on Vulkan without Winograd."""

import peer_ncnn
from peer_ncnn import open, prepare  # noqa: F401

peer_ncnn.WINOGRAD = False
