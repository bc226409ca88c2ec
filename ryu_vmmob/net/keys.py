"""Ranges of the keys that flows, groups and meters carry, and of what refers to them."""

from __future__ import annotations

from typing import Final

SEGMENT_KEY_BITS: Final = 16
MAX_SEGMENT_KEY: Final = (1 << SEGMENT_KEY_BITS) - 1
"""CUGs and routing domains together: each has a segment key from 1 to this."""

SWITCH_KEY_BITS: Final = 12
MAX_SWITCH_KEY: Final = (1 << SWITCH_KEY_BITS) - 1
"""Switches: each has a key from 1 to this."""

MAX_VNIC_PORT: Final = 0xFFFF
"""The highest port that can have a server with tagging per interface: ids of a cable's groups have 16 bits for the port."""

MAX_POLICY_PRIORITY: Final = 10_000
"""Priorities of policies go from 0 to this."""
