"""The logical network: CUGs, VMs, migrations and VLAN-IDs as an immutable state, and the commands that change it."""
