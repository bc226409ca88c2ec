"""Multipart replies as raw bytes: an event for readers that parse only some bytes of them.

Ryu's own event classes are made from its parsers' message classes; this one is registered beside them, under the same
service, so ``@set_ev_cls(EventRawMultipart, MAIN_DISPATCHER)`` works as with any other.
"""

from __future__ import annotations

from struct import Struct
from typing import Any

from ryu.controller import ofp_event

_TYPE_FLAGS = Struct("!HH")
_REPLY_MORE = 1


class RawMultipart:
    """One OpenFlow 1.3 multipart reply, its body unparsed but its list of entries checked."""

    cls_msg_type = 19
    __slots__ = ("body", "datapath", "flags", "mp_type", "msg_len", "msg_type", "version", "xid")

    def __init__(
        self, msg_type: int, xid: int, mp_type: int, flags: int, body: bytes, *, datapath: Any = None, version: int = 4
    ) -> None:
        self.datapath = datapath
        self.version = version
        self.msg_type = msg_type
        self.msg_len = 16 + len(body)
        self.xid = xid
        self.mp_type = mp_type
        """One of `lengths.READ_RAW`."""
        self.flags = flags
        self.body = body
        """The entries, one after another, without the 16 bytes of headers."""

    @property
    def more(self) -> bool:
        """Whether further replies with this transaction id follow (OFPMPF_REPLY_MORE)."""
        return bool(self.flags & _REPLY_MORE)

    @classmethod
    def parser(cls, datapath: Any, version: int, msg_type: int, msg_len: int, xid: int, buf: bytes | bytearray) -> RawMultipart:
        """Read the two fields of the multipart header; ``buf`` holds the whole message."""
        mp_type, flags = _TYPE_FLAGS.unpack_from(buf, 8)
        return cls(msg_type, xid, mp_type, flags, bytes(buf[16:msg_len]), datapath=datapath, version=version)

    def __str__(self) -> str:
        return f"RawMultipart(xid={self.xid:#x}, type={self.mp_type}, flags={self.flags}, {len(self.body)} bytes)"


class EventRawMultipart(ofp_event.EventOFPMsgBase):  # type: ignore[misc]
    """A multipart reply arrived and was not parsed; ``msg`` is a RawMultipart."""

    msg: RawMultipart


# Ryu finds the sender of an event by the module of its class, and the event class of a message by the message's name.
EventRawMultipart.__module__ = ofp_event.__name__
ofp_event.EventRawMultipart = EventRawMultipart
ofp_event._OFP_MSG_EVENTS["EventRawMultipart"] = EventRawMultipart  # the one table of Ryu's ofp_msg_to_ev
