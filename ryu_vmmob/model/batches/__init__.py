"""Batches: many VMs that leave a server, or all servers of a switch, a few at a time (an evacuation)."""
