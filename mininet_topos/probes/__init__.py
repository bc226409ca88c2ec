"""Stand-alone measuring programs, run inside namespaces: standard library only, JSON on standard output."""
