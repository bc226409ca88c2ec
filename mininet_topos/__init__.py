"""The network laboratory: Mininet networks built from a fabric file, moving VMs, probes, and a private Open vSwitch."""
