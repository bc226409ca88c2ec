"""The engine: one writer that turns commands into durable state and per-switch deltas."""
