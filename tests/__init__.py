"""Tests, in tiers: unit, property (both need nothing), ovs (private Open vSwitch), mininet (root)."""
