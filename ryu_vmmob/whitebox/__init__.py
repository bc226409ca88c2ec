"""Whether a switch can do what our pipeline wants of it: asked over OpenFlow before it is anybody's (docs/switches.md)."""
