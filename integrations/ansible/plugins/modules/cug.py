#!/usr/bin/python
"""Closed user groups."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cug
short_description: Closed user groups of a ryu-vmmob controller
description:
  - Has a closed user group (CUG) as the options say, or not at all.
  - What is left out gets its default, as with C(PUT /v1/cugs/NAME).
options:
  name:
    description: Name of the CUG.
    type: str
    required: true
  state:
    description: Whether it is to be there.
    type: str
    choices: [present, absent]
    default: present
  subnets:
    description: Its prefixes, at most one of IPv4 and one of IPv6. Necessary for V(present).
    type: list
    elements: str
  gateways:
    description: Addresses of its gateway, one in each subnet. Left out, the first of each subnet.
    type: list
    elements: str
    default: []
  routing_domain:
    description: CUGs of one routing domain reach each other by their gateways.
    type: str
  vlan_ids:
    description: The VLAN-ID that it has to have in an L2 domain, by the domain's name.
    type: dict
    default: {}
  ipv6_ra_mode:
    description: What router advertisements say of addresses.
    type: str
    choices: [slaac, dhcpv6_stateful, dhcpv6_stateless]
extends_documentation_fragment:
  - vmmob.controller.controller
  - vmmob.controller.labelled
author:
  - ryu-vmmob (@ryu-vmmob)
"""

EXAMPLES = r"""
- name: The tenant's network
  vmmob.controller.cug:
    name: web
    subnets: ["10.1.0.0/24"]
    labels: {tenant: shop}
"""

RETURN = r"""
cug:
  description: The CUG as C(GET /v1/cugs/NAME) gives it; in check mode as it would be.
  returned: when it is there
  type: dict
plan:
  description: What the write changes, an entry for each object, and how many flows each switch is sent.
  returned: when there was something to look at
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmmob.controller.plugins.module_utils.controller import COMMON, OBJECT, run_object, text_labels

OPTIONS = {
    "subnets": {"type": "list", "elements": "str"},
    "gateways": {"type": "list", "elements": "str", "default": []},
    "routing_domain": {"type": "str"},
    "vlan_ids": {"type": "dict", "default": {}},
    "ipv6_ra_mode": {"type": "str", "choices": ["slaac", "dhcpv6_stateful", "dhcpv6_stateless"]},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        {**COMMON, **OBJECT, **OPTIONS}, supports_check_mode=True, required_if=[("state", "present", ["subnets"])]
    )
    given = module.params
    body = {key: given[key] for key in ("subnets", "gateways", "routing_domain", "ipv6_ra_mode", "description")}
    body["labels"] = text_labels(given["labels"])
    # What a template made of a number is text.
    body["vlan_ids"] = {key: int(row) if str(row).isdecimal() else row for key, row in given["vlan_ids"].items()}
    run_object(module, "cugs", "cug", lambda before: body)


if __name__ == "__main__":
    main()
