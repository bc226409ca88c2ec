#!/usr/bin/python
"""Virtual machines."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vm
short_description: Virtual machines of a ryu-vmmob controller
description:
  - Has the network of a virtual machine (VM) as the options say, or not at all.
  - What is left out gets its default, as with C(PUT /v1/vms/NAME).
  - A VM that is there does not go to another server by this module; M(vmmob.controller.move) moves it.
options:
  name:
    description: Name of the VM.
    type: str
    required: true
  state:
    description: Whether it is to be there.
    type: str
    choices: [present, absent]
    default: present
  server:
    description: The server where it is. Necessary for V(present).
    type: str
  keep_server:
    description:
      - O(server) is only where a new VM is. One that is there stays where it is, wherever it has been moved to.
      - Without it a VM at another server is refused.
    type: bool
    default: false
  interfaces:
    description: Its network cards. Necessary for V(present).
    type: list
    elements: dict
    suboptions:
      cug:
        description: The CUG that it is in.
        type: str
        required: true
      mac:
        description: Its MAC address.
        type: str
        required: true
      ips:
        description: Its IP addresses.
        type: list
        elements: str
        required: true
      guest_vlan_id:
        description: The tag that the guest itself sends with.
        type: int
      vlan_id:
        description: The tag that the server's virtual switch has to add. Left out, the controller chooses it.
        type: int
      ethertypes:
        description: Types of frames beside IP and ARP that it may send, such as V(0x88f7), or V(any).
        type: raw
extends_documentation_fragment:
  - vmmob.controller.controller
  - vmmob.controller.labelled
author:
  - ryu-vmmob (@ryu-vmmob)
"""

EXAMPLES = r"""
- name: The VM
  vmmob.controller.vm:
    name: web1
    server: srv-a1
    keep_server: true
    interfaces:
      - {cug: web, mac: "02:00:00:00:00:01", ips: ["10.1.0.11"]}
  register: web1

- name: The tag of its network card
  ansible.builtin.command: "ovs-vsctl set port tap0 tag={{ web1.vm.interfaces[0].vlan_id }}"
  delegate_to: "{{ web1.vm.server }}"
"""

RETURN = r"""
vm:
  description: The VM as C(GET /v1/vms/NAME) gives it; in check mode as it would be.
  returned: when it is there
  type: dict
plan:
  description: What the write changes, an entry for each object, and how many flows each switch is sent.
  returned: when there was something to look at
  type: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmmob.controller.plugins.module_utils.controller import COMMON, OBJECT, run_object, text_labels

INTERFACE = {
    "cug": {"type": "str", "required": True},
    "mac": {"type": "str", "required": True},
    "ips": {"type": "list", "elements": "str", "required": True},
    "guest_vlan_id": {"type": "int"},
    "vlan_id": {"type": "int"},
    "ethertypes": {"type": "raw"},
}
OPTIONS = {
    "server": {"type": "str"},
    "keep_server": {"type": "bool", "default": False},
    "interfaces": {"type": "list", "elements": "dict", "options": INTERFACE},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        {**COMMON, **OBJECT, **OPTIONS}, supports_check_mode=True, required_if=[("state", "present", ["server", "interfaces"])]
    )
    given = module.params

    def body(before: Any) -> dict[str, Any]:
        return {
            "server": before["server"] if before is not None and given["keep_server"] else given["server"],
            "interfaces": [{key: row for key, row in card.items() if row is not None} for card in given["interfaces"]],
            "labels": text_labels(given["labels"]),
            "description": given["description"],
        }

    run_object(module, "vms", "vm", body)


if __name__ == "__main__":
    main()
