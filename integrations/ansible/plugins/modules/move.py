#!/usr/bin/python
"""Moves of virtual machines."""

from __future__ import annotations

DOCUMENTATION = r"""
module: move
short_description: Moves of virtual machines with a ryu-vmmob controller
description:
  - Takes the move of a virtual machine (VM) to the step that O(state) names. A step that has been taken already is no change.
  - The module moves the network of the VM; something else copies the VM between V(prepared) and V(activated).
options:
  vm:
    description: Name of the VM.
    type: str
    required: true
  to:
    description: The server that it moves to. Necessary but for V(aborted).
    type: str
  state:
    description:
      - V(prepared) begins the move where none is under way; the network is ready at the target afterwards.
      - A move before it that is activated, and is committed by itself, is waited for, O(wait) seconds at most.
      - V(delivered) sends the VM's traffic to the target, when the VM has paused at its source.
      - V(activated) says that the VM runs at the target.
      - V(committed) takes the source away; a move with O(commit=auto) does so by itself.
      - V(aborted) ends a move that is under way; the VM stays at its source.
    type: str
    choices: [prepared, delivered, activated, committed, aborted]
    default: prepared
  options:
    description:
      - Keys of C(POST /v1/migrations) for a move that begins, C(mode), C(delivery), C(activate_on), C(commit) and C(timeout).
      - A move that is under way keeps its own.
    type: dict
    default: {}
  reason:
    description: Why a move is aborted.
    type: str
extends_documentation_fragment:
  - vmmob.controller.controller
author:
  - ryu-vmmob (@ryu-vmmob)
"""

EXAMPLES = r"""
- name: Prepare the move
  vmmob.controller.move: {vm: web1, to: srv-c1}
  register: move

- name: The copy
  ansible.builtin.command: virsh migrate --live web1 qemu+ssh://srv-c1/system
  delegate_to: srv-a1
  when: move.changed

- name: It has arrived
  vmmob.controller.move: {vm: web1, to: srv-c1, state: activated}
"""

RETURN = r"""
migration:
  description:
    - The move as C(GET /v1/migrations/ID) gives it, with the tags of the network cards in C(interfaces).
    - In check mode of V(prepared) as it would be, without an id.
  returned: when one is or was under way
  type: dict
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmmob.controller.plugins.module_utils.controller import COMMON, Controller, Refused, path_of

STEPS = {"delivered": "deliver", "activated": "activate", "committed": "commit", "aborted": "abort"}
OPTIONS = {
    "vm": {"type": "str", "required": True},
    "to": {"type": "str"},
    "state": {"type": "str", "choices": ["prepared", *STEPS], "default": "prepared"},
    "options": {"type": "dict", "default": {}},
    "reason": {"type": "str"},
}
POLL_SECONDS = 0.2
OVER = ("committed", "aborted", "failed")


def reached(migration: dict[str, Any], state: str) -> bool:
    """Whether a move under way has come to a step, or past it."""
    now = migration["state"]
    if state == "prepared":
        return now in ("prepared", "activated", "committed")
    if state == "delivered":
        return now in ("activated", "committed") or (now == "prepared" and migration["delivered"])
    if state == "activated":
        return now in ("activated", "committed") and not migration["returning"]
    return now == state


class Move:
    """The move that a module's options name."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.controller = Controller(module)
        self.vm, self.to, self.state = (module.params[key] for key in ("vm", "to", "state"))

    def run(self) -> None:
        """Take it to its step, and end the module."""
        vm = self.controller.find(path_of("vms", self.vm))
        if vm is None:
            self.missing(f"there is no VM {self.vm}")
        migration = self.controller.find(path_of("migrations", vm["migration"])) if vm["migration"] else None
        if self.state == "prepared" and migration is not None and migration["to"] != self.to and self.settles(migration):
            self.run()
        if self.state == "aborted":
            if migration is None:
                self.module.exit_json(changed=False)
        elif migration is None and vm["server"] == self.to:
            self.module.exit_json(changed=False)
        elif migration is None and self.state == "prepared":
            self.begin(vm)
        elif migration is None:
            self.missing(f"no move of {self.vm} is under way: state=prepared begins one")
        elif migration["to"] != self.to:
            self.module.fail_json(msg=f"{self.vm} is on its way to {migration['to']}", migration=migration)
        if reached(migration, self.state):
            self.end(migration, migration, changed=False)
        # One that is still preparing is only waited for.
        if self.state == "prepared":
            self.end(migration, migration if self.module.check_mode else self.wait(migration), changed=False)
        if self.module.check_mode:
            self.end(migration, migration, changed=True, state=self.state)
        body = {"reason": self.module.params["reason"]} if self.state == "aborted" and self.module.params["reason"] else {}
        path = f"{path_of('migrations', migration['id'])}/{STEPS[self.state]}"
        self.end(migration, self.wait(self.controller.ask("POST", path, body, **self.waiting())), changed=True)

    def settles(self, migration: dict[str, Any]) -> bool:
        """Whether a move before this one has come to its end: one that is activated is committed by itself, and waited for.

        Ends the module where it is not committed in time.
        """
        end = time.monotonic() + self.controller.wait
        while migration["state"] == "activated" and not migration["returning"] and migration["commit"] == "automatic":
            if self.module.check_mode:
                self.missing(f"the move of {self.vm} to {migration['to']} is not committed yet")
            if time.monotonic() >= end:
                message = f"the move of {self.vm} to {migration['to']} before this one is activated and not committed"
                self.module.fail_json(msg=f"{message} after {self.controller.wait:g} s", migration=migration)
            time.sleep(POLL_SECONDS)
            migration = self.controller.ask("GET", path_of("migrations", migration["id"]))
        return migration["state"] in OVER

    def begin(self, vm: dict[str, Any]) -> None:
        """Begin it, or say what that would do; end the module."""
        body = {**self.module.params["options"], "vm": self.vm, "to": self.to}
        before = {"server": vm["server"]}
        if self.module.check_mode:
            planned = self.controller.ask("POST", "/v1/migrations", body, dry_run="true")
            self.end(before, planned, changed=True, state=self.state)
        self.end(before, self.wait(self.controller.ask("POST", "/v1/migrations", body, **self.waiting())), changed=True)

    def waiting(self) -> dict[str, Any]:
        """Return the query of a step that waits for switches."""
        return {"wait": self.controller.wait} if self.controller.wait else {}

    def wait(self, migration: Any) -> Any:
        """Return it when it has come to its step. Ends the module where it does not, unless nothing is to be waited for."""
        end = time.monotonic() + self.controller.wait
        while not reached(migration, self.state):
            over = migration["state"] in OVER
            if over or time.monotonic() >= end:
                if not over and not self.controller.wait:
                    break
                pending = ", ".join(migration["switches"]["pending"]) or "its switches"
                why = migration["reason"] or f"not yet confirmed by {pending}"
                message = f"the move of {self.vm} is {migration['state']} and not {self.state}: {why}"
                self.module.fail_json(msg=message, migration=migration)
            time.sleep(POLL_SECONDS)
            migration = self.controller.ask("GET", path_of("migrations", migration["id"]))
        return migration

    def missing(self, why: str) -> None:
        """End the module: something is not there. In check mode a task before this one would have made it."""
        if self.module.check_mode:
            self.module.warn(f"{why}; a task before this one may make it so when it is no check")
            self.module.exit_json(changed=True)
        self.module.fail_json(msg=why)

    def end(self, before: Any, after: Any, *, changed: bool, state: str | None = None) -> None:
        """End the module; ``state``: the one that there would be."""
        diff = {"before": _shown(before), "after": {**_shown(after), **({"state": state} if state else {})}}
        if not changed:
            diff["after"] = diff["before"]
        for text in after.get("warnings", ()):
            self.module.warn(text)
        self.module.exit_json(changed=changed, migration=after, diff=diff)


def _shown(view: dict[str, Any]) -> dict[str, Any]:
    return {key: view[key] for key in ("server", "from", "to", "state", "delivered", "interfaces") if key in view}


def main() -> None:
    """Run the module."""
    wanted = [("state", state, ["to"]) for state in ("prepared", "delivered", "activated", "committed")]
    module = AnsibleModule({**COMMON, **OPTIONS}, supports_check_mode=True, required_if=wanted)
    move = Move(module)
    try:
        move.run()
    except Refused as error:
        move.controller.fail(error)


if __name__ == "__main__":
    main()
