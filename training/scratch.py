"""A file without a name for large intermediate results: gone when its object is, also after a kill."""

import os
import tempfile
import weakref


class ScratchFile:
    """Bytes at offsets, on disk (in TMPDIR). Raises OSError when the disk is full."""

    def __init__(self) -> None:
        self._descriptor, name = tempfile.mkstemp(prefix="nightschool-")
        os.unlink(name)
        weakref.finalize(self, os.close, self._descriptor)

    def write(self, offset: int, data: bytes) -> None:
        """Write all of the bytes at an offset."""
        view = memoryview(data)
        while view:
            written = os.pwrite(self._descriptor, view, offset)
            view, offset = view[written:], offset + written

    def read(self, offset: int, count: int) -> bytearray:
        """Exactly `count` bytes from an offset. Raises ValueError beyond what was written."""
        found = bytearray(count)
        filled = 0
        while filled < count:
            got = os.preadv(self._descriptor, [memoryview(found)[filled:]], offset + filled)
            if got == 0:
                raise ValueError(f"{count} bytes were asked for at {offset}; only {filled} are there.")
            filled += got
        return found
