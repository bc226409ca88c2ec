"""A fabric of two racks and two spines, each rack linked to each spine: what one loses, the other carries."""

from __future__ import annotations

from typing import Final

from ryu_vmmob.fabric.model import BackupPaths

SPINES: Final = ("spine-1", "spine-2")
RACKS: Final = ("tor-a", "tor-b")
SERVERS: Final = {"tor-a": "srv-a1", "tor-b": "srv-b1"}
UPLINK: Final = {"spine-1": 49, "spine-2": 50}
"""The port of every rack switch that leads to a spine."""


def fabric(backup_paths: BackupPaths) -> str:
    """Return the fabric file."""
    return _FABRIC.format(backup_paths=backup_paths.value)


_FABRIC: Final = """\
version: 1
fabric: two-spines
backup_paths: {backup_paths}
gateway_mac: "02:00:5e:00:00:01"
data_centers:
  dc1: {{}}
l2_domains:
  rack-a: {{data_center: dc1, vlan_ids: "2-4000"}}
  rack-b: {{data_center: dc1, vlan_ids: "2-4000"}}
  core-1: {{data_center: dc1, vlan_ids: "2-4000"}}
switches:
  tor-a:   {{dpid: "0x0a", role: tor,   l2_domain: rack-a, data_center: dc1}}
  tor-b:   {{dpid: "0x0b", role: tor,   l2_domain: rack-b, data_center: dc1}}
  spine-1: {{dpid: "0x21", role: spine, l2_domain: core-1, data_center: dc1}}
  spine-2: {{dpid: "0x22", role: spine, l2_domain: core-1, data_center: dc1}}
links:
  - {{a: "tor-a:49", b: "spine-1:1", l2_domain: core-1}}
  - {{a: "tor-b:49", b: "spine-1:2", l2_domain: core-1}}
  - {{a: "tor-a:50", b: "spine-2:1", l2_domain: core-1}}
  - {{a: "tor-b:50", b: "spine-2:2", l2_domain: core-1}}
servers:
  srv-a1: {{attach: "tor-a:1", tagging: per_cug}}
  srv-b1: {{attach: "tor-b:1", tagging: per_cug}}
"""
