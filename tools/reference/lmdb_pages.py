"""Reads all entries of an LMDB file: version 1 of the data format, one database without a name."""

import struct
from pathlib import Path

MAGIC = 0xBEEFC0DE
BRANCH, LEAF = 0x01, 0x02
FAR = 0x01
HEADER = 16


def entries(path: Path) -> dict[bytes, bytes]:
    """Key and value of every entry below the root of the newest of the two meta pages."""
    data = (path / "data.mdb" if path.is_dir() else path).read_bytes()
    magic, version, _, _, page_size = struct.unpack_from("<IIQQI", data, HEADER)
    assert (magic, version) == (MAGIC, 1), "not an LMDB of version 1"
    roots = []
    for meta in range(2):
        at = meta * page_size + HEADER + 24
        (root,) = struct.unpack_from("<Q", data, at + 48 + 40)
        (transaction,) = struct.unpack_from("<Q", data, at + 2 * 48 + 8)
        roots.append((transaction, root))
    found: dict[bytes, bytes] = {}
    walk(data, page_size, max(roots)[1], found)
    return found


def walk(data: bytes, page_size: int, page: int, found: dict[bytes, bytes]) -> None:
    begin = page * page_size
    flags, lower = struct.unpack_from("<HH", data, begin + 10)
    for i in range((lower - HEADER) // 2):
        (offset,) = struct.unpack_from("<H", data, begin + HEADER + 2 * i)
        node = begin + offset
        low, high, kind, key_size = struct.unpack_from("<HHHH", data, node)
        if flags & BRANCH:
            walk(data, page_size, low | high << 16 | kind << 32, found)
            continue
        assert flags & LEAF, f"page {page} is neither branch nor leaf"
        key = data[node + 8 : node + 8 + key_size]
        size, value = low | high << 16, node + 8 + key_size
        if kind & FAR:
            (far,) = struct.unpack_from("<Q", data, value)
            value = far * page_size + HEADER
        found[key] = data[value : value + size]
