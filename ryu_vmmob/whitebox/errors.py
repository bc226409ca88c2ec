"""OpenFlow errors by their names (OpenFlow 1.3.5, 7.4.4)."""

from __future__ import annotations

from typing import Final, NamedTuple

_CODES: Final = {
    1: ("OFPBRC", (
        "BAD_VERSION", "BAD_TYPE", "BAD_MULTIPART", "BAD_EXPERIMENTER", "BAD_EXP_TYPE", "EPERM", "BAD_LEN", "BUFFER_EMPTY",
        "BUFFER_UNKNOWN", "BAD_TABLE_ID", "IS_SLAVE", "BAD_PORT", "BAD_PACKET", "MULTIPART_BUFFER_OVERFLOW",
    )),
    2: ("OFPBAC", (
        "BAD_TYPE", "BAD_LEN", "BAD_EXPERIMENTER", "BAD_EXP_TYPE", "BAD_OUT_PORT", "BAD_ARGUMENT", "EPERM", "TOO_MANY",
        "BAD_QUEUE", "BAD_OUT_GROUP", "MATCH_INCONSISTENT", "UNSUPPORTED_ORDER", "BAD_TAG", "BAD_SET_TYPE", "BAD_SET_LEN",
        "BAD_SET_ARGUMENT",
    )),
    3: ("OFPBIC", (
        "UNKNOWN_INST", "UNSUP_INST", "BAD_TABLE_ID", "UNSUP_METADATA", "UNSUP_METADATA_MASK", "BAD_EXPERIMENTER",
        "BAD_EXP_TYPE", "BAD_LEN", "EPERM",
    )),
    4: ("OFPBMC", (
        "BAD_TYPE", "BAD_LEN", "BAD_TAG", "BAD_DL_ADDR_MASK", "BAD_NW_ADDR_MASK", "BAD_WILDCARDS", "BAD_FIELD", "BAD_VALUE",
        "BAD_MASK", "BAD_PREREQ", "DUP_FIELD", "EPERM",
    )),
    5: ("OFPFMFC", (
        "UNKNOWN", "TABLE_FULL", "BAD_TABLE_ID", "OVERLAP", "EPERM", "BAD_TIMEOUT", "BAD_COMMAND", "BAD_FLAGS",
    )),
    6: ("OFPGMFC", (
        "GROUP_EXISTS", "INVALID_GROUP", "WEIGHT_UNSUPPORTED", "OUT_OF_GROUPS", "OUT_OF_BUCKETS", "CHAINING_UNSUPPORTED",
        "WATCH_UNSUPPORTED", "LOOP", "UNKNOWN_GROUP", "CHAINED_GROUP", "BAD_TYPE", "BAD_COMMAND", "BAD_BUCKET", "BAD_WATCH",
        "EPERM",
    )),
    12: ("OFPMMFC", (
        "UNKNOWN", "METER_EXISTS", "INVALID_METER", "UNKNOWN_METER", "BAD_COMMAND", "BAD_FLAGS", "BAD_RATE", "BAD_BURST",
        "BAD_BAND", "BAD_BAND_DESC", "OUT_OF_METERS", "OUT_OF_BANDS",
    )),
}  # fmt: skip
"""Type of an error -> the prefix of its codes, and these in order."""
BAD_MATCH: Final = "OFPBMC_"
"""What the names of errors about a match begin with."""


class DialogueError(Exception):
    """The switch cannot be talked to; the text is one sentence."""


class NoAddressError(DialogueError):
    """What was given is no address of a switch: nothing was asked."""


class SwitchError(NamedTuple):
    """OFPT_ERROR (7.4.4)."""

    xid: int
    type: int
    code: int

    def __str__(self) -> str:
        prefix, names = _CODES.get(self.type, ("", ()))
        if self.code < len(names):
            return f"{prefix}_{names[self.code]}"
        return f"error of type {self.type}, code {self.code}"
