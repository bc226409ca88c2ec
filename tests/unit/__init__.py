"""Tests of one part each; no switch, no network namespace."""
