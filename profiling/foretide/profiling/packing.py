"""Numbers as bytes (LEB128, as in protobuf), and compressed data that cannot grow forever."""

import zlib
from collections.abc import Iterable

from .profile import BadProfile

# What a file may come to once it is unpacked: an hour of a pod takes a few MB.
MOST_BYTES = 512 * 1024 * 1024
_MOST_BITS = 70


class Writer:
    """Collects bytes."""

    def __init__(self) -> None:
        self.data = bytearray()

    def number(self, value: int) -> None:
        """An unsigned number."""
        while value > 0x7F:
            self.data.append(value & 0x7F | 0x80)
            value >>= 7
        self.data.append(value)

    def numbers(self, values: Iterable[int]) -> None:
        """Several, without their count."""
        for value in values:
            self.number(value)

    def signed(self, value: int) -> None:
        """A number of either sign (zigzag)."""
        self.number(value << 1 if value >= 0 else (-value << 1) - 1)

    def block(self, data: bytes) -> None:
        """Bytes, with their count before them."""
        self.number(len(data))
        self.data += data


class Reader:
    """Reads what a `Writer` has written.

    Raises:
        BadProfile: from any method, where the data ends too early or is no such data.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def ended(self) -> bool:
        """Whether everything has been read."""
        return self._at >= len(self._data)

    def number(self) -> int:
        """An unsigned number."""
        value = shift = 0
        while True:
            if self._at >= len(self._data) or shift > _MOST_BITS:
                raise BadProfile("it is cut off, or damaged")
            byte = self._data[self._at]
            self._at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def count(self) -> int:
        """How many things follow: of a byte each at least, so no more than there are bytes."""
        value = self.number()
        if value > len(self._data) - self._at:
            raise BadProfile("it is cut off, or damaged")
        return value

    def index(self, size: int) -> int:
        """An index into a table of that size."""
        value = self.number()
        if value >= size:
            raise BadProfile("it is damaged: it points to what is not there")
        return value

    def signed(self) -> int:
        """A number of either sign."""
        value = self.number()
        return value >> 1 if not value & 1 else -((value + 1) >> 1)

    def block(self) -> bytes:
        """Bytes with their count before them."""
        size = self.count()
        self._at += size
        return self._data[self._at - size : self._at]

    def fixed(self, size: int) -> bytes:
        """So many bytes."""
        if size > len(self._data) - self._at:
            raise BadProfile("it is cut off, or damaged")
        self._at += size
        return self._data[self._at - size : self._at]


def inflate(data: bytes, *, wbits: int = zlib.MAX_WBITS, most: int = MOST_BYTES) -> bytes:
    """Unpack zlib's data (or gzip's, with `wbits` 31).

    Raises:
        BadProfile: it is damaged, or grows beyond `most` bytes: a few KB can stand for a GB.
    """
    unpacker = zlib.decompressobj(wbits)
    try:
        unpacked = unpacker.decompress(data, most + 1)
    except zlib.error as error:
        raise BadProfile(f"it cannot be unpacked: {error}") from None
    if len(unpacked) > most:
        raise BadProfile(f"it unpacks to more than {most // 2**20} MB")
    if not unpacker.eof:
        raise BadProfile("it is cut off")
    return unpacked
