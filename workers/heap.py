"""The C heap of a process that runs for months: large buffers are given back as soon as they are free.

glibc raises the size from which it maps a buffer by itself with every such buffer that is freed, up to 32 MiB
(mallopt(3), M_MMAP_THRESHOLD). From then on the buffers of ODBC readings lie in the heaps of the threads that read,
with small things between them that live on, and the heaps grow: seen, from 7 to 20 MiB of free memory in ten minutes of
six orders a second.
"""

import ctypes
import platform
from typing import Final

LARGE: Final = 64 * 1024
"""Bytes from which a buffer is mapped by itself, always."""
M_MMAP_THRESHOLD: Final = -3
"""malloc.h of glibc."""


def give_back_large_buffers() -> bool:
    """Fix the size from which glibc maps a buffer by itself. False where the C library is another one."""
    if platform.libc_ver()[0] != "glibc":
        return False
    return bool(ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE))
