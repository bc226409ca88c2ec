"""The requirements matrix: which test proves which line of the draft, and tests of lines that no other test proves directly."""
