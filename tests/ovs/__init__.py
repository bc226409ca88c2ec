"""Tests against a private Open vSwitch; no root needed where its binaries are installed."""
