"""Property tests: generated inputs against an oracle."""
