"""What each call of libvirt comes to: a migration that is begun, found, activated or aborted, and the tags in the XML."""

import os
import time

from vmmob_hook.rest import GOING_ON, UNDER_WAY
from vmmob_hook.settings import Failure, Refused
from vmmob_hook.tags import Bad, Domain

RUNNING = os.environ.get("VMMOB_HOOK_RUN", "/run/libvirt/qemu")
"""Where libvirt keeps GUEST.pid of each guest that runs here."""


class Call:
    """One call. ``said`` and ``wrong`` are sentences: what was done, and what is wrong and cannot be put right here."""

    def __init__(self, guest, text, setup, controller):
        self.guest, self.text, self.setup, self.controller = guest, text, setup, controller
        self.here = setup["server"]
        self.said, self.wrong = [], []
        self.ready_by = controller.deadline - 0.25 * setup["timeout"]  # what is left is for giving it up
        self._domain = None

    @property
    def domain(self):
        """The guest's XML. Raises Failure when it cannot be read."""
        if self._domain is None:
            try:
                self._domain = Domain(self.text)
            except Bad as error:
                raise Failure(str(error))
        return self._domain

    @property
    def vm(self):
        """What the controller calls the guest."""
        return self.domain.uuid or self.guest if self.setup["guest"] == "uuid" else self.guest

    def handle(self, operation, sub, extra):
        """Return the XML that is to be taken in place of the given one, None: that stays. Raises Failure."""
        if operation == "migrate":
            return self.arrive("hot")
        if operation == "restore":
            return self.restore()
        if operation == "prepare":
            self.arrive("cold")
        elif operation == "started":
            self.started()
        elif operation == "release":
            self.gone(extra if extra != "-" else "unknown")
        return None

    def arrive(self, mode):
        """Let the VM come here; returns when the switches are ready for it. Raises Failure when it may not, or they are not."""
        vm = self.controller.vm(self.vm)
        if vm is None:
            self.said.append("VM %s is not the controller's" % self.vm)
            return None
        move = self.controller.move(self.vm)
        if move is not None and move["from"] == self.here != move["to"]:
            vm, move = self.taken_back(vm, move)
        if move is None and vm["server"] == self.here:
            self.said.append("VM %s is here already" % self.vm)
            return self.tagged(wanted(vm["interfaces"]))
        begun = move is None
        if begun:
            body = {"vm": self.vm, "to": self.here, "mode": mode, "timeout": self.setup["move_timeout"]}
            seconds = max(0, self.ready_by - time.monotonic())
            move = self.controller.ask("POST", "migrations", body=body, wait="%.3f" % seconds)
        elif move["to"] != self.here:
            told = (self.vm, move["to"], self.here, move["id"])
            raise Refused(409, "VM %s is on its way to %s, not to %s (migration %s)" % told)
        move = self.prepared(move)
        self.said.append("VM %s may come here (migration %s)" % (self.vm, move["id"]))
        try:
            return self.tagged(wanted(vm["interfaces"], move["interfaces"]))
        except Refused:
            if begun:
                self.controller.step(move, "abort", reason="libvirt cannot set the VLAN-ID at %s" % self.here)
            raise

    def prepared(self, move):
        """Return the migration when the switches are ready. Raises Failure."""
        move = self.controller.until(move, ("preparing",), self.ready_by)
        if move["state"] in ("aborted", "failed"):
            raise Refused(409, "migration %s is %s: %s" % (move["id"], move["state"], move["reason"]))
        if move["state"] == "preparing":
            pending = ", ".join(move["switches"]["pending"])
            if self.setup["on_failure"] == "closed":
                self.controller.step(move, "abort", reason="not prepared in time for libvirt")
            raise Failure("migration %s is not prepared: no answer yet from %s" % (move["id"], pending))
        return move

    def taken_back(self, vm, move):
        """Return the VM, and its migration, after the one that leads away from here is over.

        libvirt asks the move's source to take the guest, so the guest runs elsewhere, and the one other place that it can come
        from is the target: that move has happened, and is brought to its end. Raises Failure.
        """
        if runs_here(self.guest):
            told = (self.vm, move["to"], move["id"])
            raise Refused(409, "VM %s runs here and is on its way to %s (migration %s)" % told)
        if move["state"] == "preparing":
            move = self.controller.step(move, "abort", reason="libvirt: the guest comes back to %s" % self.here)
        elif move["state"] == "prepared":
            move = self.controller.step(move, "activate")
        if move["state"] == "activated" and move["commit"] == "request":
            move = self.controller.step(move, "commit")
        self.said.append("VM %s comes back from %s: migration %s is %s" % (self.vm, move["to"], move["id"], move["state"]))
        move = self.controller.until(move, UNDER_WAY, self.ready_by)
        if move["state"] in UNDER_WAY:
            pending = ", ".join(move["switches"]["pending"])
            raise Failure("migration %s is not finished: no answer yet from %s" % (move["id"], pending))
        return self.controller.vm(self.vm) or vm, None

    def tagged(self, tags):
        """Return the XML with these tags. Raises Refused when one cannot be set."""
        for mac in self.domain.missing(tags):
            self.wrong.append("the XML has no interface %s" % mac)
        differing = self.domain.differing(tags)
        try:
            text = self.domain.with_tags(tags)
        except Bad as error:
            raise Refused(409, str(error))
        self.said.extend("interface %s: tag %s instead of %s" % (mac, name(tag), name(old)) for mac, old, tag in differing)
        return text

    def restore(self):
        """Look after a saved guest that goes on here. A fault is reported, and never keeps the guest from being restored."""
        vm = self.controller.vm(self.vm)
        if vm is None:
            return None
        if vm["server"] != self.here and self.setup["cold_moves"] == "yes":
            return self.arrive("cold")
        move = self.controller.move(self.vm)
        if move is not None and move["to"] == self.here:
            return self.tagged(wanted(vm["interfaces"], move["interfaces"]))
        if vm["server"] != self.here:
            self.wrong.append("VM %s is placed at %s: it has no network here" % (self.vm, vm["server"]))
            return None
        return self.tagged(wanted(vm["interfaces"]))

    def started(self):
        """Of an incoming guest libvirt says this as soon as its process waits for the memory, while the guest still runs at its
        source. So only a cold move is activated here; a hot one is when the guest is heard, or its source is done.
        """
        vm = self.controller.vm(self.vm)
        if vm is None:
            return
        move = self.controller.move(self.vm)
        if move is not None and move["to"] == self.here:
            if move["mode"] == "cold" and move["state"] in GOING_ON:
                self.activate(move)
            tags = wanted(vm["interfaces"], move["interfaces"])
        elif vm["server"] == self.here:
            tags = wanted(vm["interfaces"])
        else:
            self.wrong.append("VM %s is placed at %s: it has no network here" % (self.vm, vm["server"]))
            return
        for mac, present, tag in self.domain.differing(tags):
            self.wrong.append("interface %s has tag %s and must have %s" % (mac, name(present), name(tag)))

    def gone(self, reason):
        """Clean up after the process: here it was the target and nothing came of it, or the source and the guest runs
        elsewhere.
        """
        move = self.controller.move(self.vm)
        if move is None or move["state"] not in GOING_ON:
            return
        if move["to"] == self.here:
            text = "libvirt: the guest's process at %s ended (%s)" % (move["to"], reason)
            self.controller.step(move, "abort", reason=text)
            self.said.append("migration %s of VM %s is aborted" % (move["id"], self.vm))
        elif reason == "migrated" and move["from"] == self.here:
            self.activate(move)

    def activate(self, move):
        """Say that the VM runs at the target of this migration."""
        self.controller.step(move, "activate")
        self.said.append("VM %s runs at %s now (migration %s)" % (move["vm"], move["to"], move["id"]))


def wanted(interfaces, legs=None):
    """MAC -> tag that the server's switch must add (None: none), of a VM's interfaces here, or at a migration's target.

    An interface whose guest tags its frames itself is left out: its port passes tags through, whatever <vlan> says of them.
    """
    rows = list(legs or ())
    found = {}
    for interface in interfaces:
        tag = interface["vlan_id"]
        if legs is not None:
            leg = next((row for row in rows if row["cug"] == interface["cug"]), None)
            if leg is None:
                continue  # an interface that the VM did not have when the migration began
            rows.remove(leg)
            tag = leg["to_vlan_id"]
        if interface.get("guest_vlan_id") is None:
            found[interface["mac"].lower()] = tag
    return found


def name(tag):
    """Return a tag as a sentence names it."""
    return "none" if tag is None else str(tag)


def runs_here(guest):
    """Whether libvirt has a process of this guest here."""
    try:
        with open(os.path.join(RUNNING, guest + ".pid"), encoding="ascii") as file:
            os.kill(int(file.read()), 0)
    except (OSError, ValueError):
        return False
    return True
