"""The simulator: our own flows and groups interpreted for any packet, over the whole fabric, in pure Python.

It answers "where does this packet come out" for every state of the tables, mixtures of old and new included, and checks
the invariants (docs/architecture.md) on top. The `tests/ovs` tier holds it against a real switch.
"""
