"""The way of one packet through the desired flows of all switches, and the verdict with its reason.

A question names a sender and a destination; the packet is the one that the sender would send. Pure: what is traced is what
the switches have been told, not what they hold at this moment.
"""

from ryu_vmmob.trace.follow import Trace, trace
from ryu_vmmob.trace.question import IpProtocol, Piece, Question
from ryu_vmmob.trace.source import ExternalSource, Source, VmSource
from ryu_vmmob.trace.values import Arrival, Hop, Kind, Opinion, Routed, Router, Verdict

__all__ = [
    "Arrival", "ExternalSource", "Hop", "IpProtocol", "Kind", "Opinion", "Piece", "Question", "Routed", "Router", "Source",
    "Trace", "Verdict", "VmSource", "trace",
]  # fmt: skip
