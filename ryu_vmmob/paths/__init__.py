"""Paths through the fabric: spanning trees, and which part of one a segment needs."""
