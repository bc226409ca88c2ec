#!/usr/bin/python
"""Policies."""

from __future__ import annotations

DOCUMENTATION = r"""
module: policy
short_description: Policies of a ryu-vmmob controller
description:
  - Has a policy as the options say, or not at all.
  - What is left out gets its default, as with C(PUT /v1/policies/NAME).
options:
  name:
    description: Name of the policy.
    type: str
    required: true
  state:
    description: Whether it is to be there.
    type: str
    choices: [present, absent]
    default: present
  action:
    description: What is done with traffic that it matches. Necessary for V(present).
    type: str
    choices: [allow, deny]
  priority:
    description: 0 to 10000; the highest that matches counts.
    type: int
    default: 100
  from:
    description: Whose traffic, by exactly one of the keys. Necessary for V(present).
    type: dict
    suboptions: &ends
      cug:
        description: VMs of a CUG.
        type: str
      vm:
        description: A VM.
        type: str
      prefix:
        description: Addresses.
        type: str
      labels:
        description: VMs and CUGs whose labels meet this selector.
        type: str
      any:
        description: Everything, as V(true).
        type: bool
  to:
    description: Where to, by exactly one of the keys. Necessary for V(present).
    type: dict
    suboptions: *ends
  protocol:
    description: V(tcp), V(udp), V(icmp) or a number. Left out, every protocol.
    type: raw
  ports:
    description: Destination ports and ranges such as V(8000-8099), of V(tcp) and V(udp).
    type: list
    elements: str
  replies:
    description: Whether it is for what answers such traffic, too.
    type: bool
    default: false
extends_documentation_fragment:
  - vmmob.controller.controller
  - vmmob.controller.labelled
author:
  - ryu-vmmob (@ryu-vmmob)
"""

EXAMPLES = r"""
- name: The web is open
  vmmob.controller.policy:
    name: web-in
    action: allow
    from: {any: true}
    to: {cug: web}
    protocol: tcp
    ports: [80, 443]
    replies: true
"""

RETURN = r"""
policy:
  description: The policy as C(GET /v1/policies/NAME) gives it; in check mode as it would be.
  returned: when it is there
  type: dict
plan:
  description: What the write changes, an entry for each object, and how many flows each switch is sent.
  returned: when there was something to look at
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmmob.controller.plugins.module_utils.controller import COMMON, OBJECT, run_object, text_labels

KEYS = ("cug", "vm", "prefix", "labels", "any")
END = {
    "type": "dict",
    "options": {key: {"type": "bool" if key == "any" else "str"} for key in KEYS},
    "mutually_exclusive": [KEYS],
    "required_one_of": [KEYS],
}
OPTIONS = {
    "action": {"type": "str", "choices": ["allow", "deny"]},
    "priority": {"type": "int", "default": 100},
    "from": END,
    "to": END,
    "protocol": {"type": "raw"},
    "ports": {"type": "list", "elements": "str"},
    "replies": {"type": "bool", "default": False},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        {**COMMON, **OBJECT, **OPTIONS}, supports_check_mode=True,
        required_if=[("state", "present", ["action", "from", "to"])],
    )  # fmt: skip
    given = module.params
    body = {key: given[key] for key in ("action", "priority", "replies", "description")}
    body["labels"] = text_labels(given["labels"])
    for end in ("from", "to"):
        body[end] = {key: row for key, row in (given[end] or {}).items() if row is not None}
    # What a template made of a number is text.
    protocol = given["protocol"]
    body["protocol"] = int(protocol) if isinstance(protocol, str) and protocol.isdecimal() else protocol
    if given["ports"] is not None:
        body["ports"] = given["ports"]
    run_object(module, "policies", "policy", lambda before: body)


if __name__ == "__main__":
    main()
