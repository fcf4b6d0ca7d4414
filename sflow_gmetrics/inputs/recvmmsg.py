"""All datagrams that wait in a socket, with one system call.

Python's own `recv` lets other threads run with each datagram, and while one of them makes a
page it may have to wait milliseconds for its turn: a burst would fill the buffer meanwhile.
This call keeps its turn, which takes microseconds since it never waits for the network.
Source: recvmmsg(2).
"""

from __future__ import annotations

import ctypes
import mmap
import socket

MOST = 64
"""How many datagrams one call takes."""
SIZE = 1 << 16
"""Room for one, in bytes: more than UDP can carry."""


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


class _Msghdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("namelen", ctypes.c_uint),
        ("iov", ctypes.POINTER(_Iovec)),
        ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Mmsghdr(ctypes.Structure):
    _fields_ = (("header", _Msghdr), ("length", ctypes.c_uint))


_recvmmsg = ctypes.PyDLL(None).recvmmsg
_recvmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
_recvmmsg.restype = ctypes.c_int
_WORD = ctypes.sizeof(ctypes.c_uint)


class Waiting:
    """What waits in a bound UDP socket."""

    def __init__(self, bound: socket.socket) -> None:
        self._socket = bound
        self._room = mmap.mmap(-1, MOST * SIZE)  # memory that is only there once it is used
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._room))
        self._parts = (_Iovec * MOST)(*[_Iovec(address + number * SIZE, SIZE) for number in range(MOST)])
        self._headers = (_Mmsghdr * MOST)()
        for header, part in zip(self._headers, self._parts, strict=True):
            header.header.iov, header.header.iovlen = ctypes.pointer(part), 1
        words = memoryview(self._headers).cast("B").cast("I")
        self._lengths = words[_Mmsghdr.length.offset // _WORD :: ctypes.sizeof(_Mmsghdr) // _WORD]

    def take(self) -> list[bytes]:
        """At most MOST datagrams; none when none is there, or the socket has an error to tell."""
        taken = _recvmmsg(self._socket.fileno(), self._headers, MOST, socket.MSG_DONTWAIT, None)
        room, lengths = self._room, self._lengths
        return [room[place * SIZE : place * SIZE + lengths[place]] for place in range(taken)]
