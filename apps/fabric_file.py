"""The fabric file of this controller, and its reload: by SIGHUP, or by REST."""

from __future__ import annotations

import logging
import signal
from typing import Any, Final

import eventlet.tpool
from ryu.lib import hub

from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.engine.reload import Reloaded, reload, tell_refused
from ryu_vmmob.fabric import Examination, FabricError, examine
from ryu_vmmob.fabric.loader import read_bytes
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.store.base import StoreError

LOG = logging.getLogger(__name__)

LOOK_INTERVAL: Final = 0.2
"""Seconds between two looks whether the signal has come: a signal handler may do no more than leave a note."""


class FabricFile:
    """``path`` is the file's. One reading after another, so that an older one never comes in after a newer one."""

    def __init__(self, path: str, engine: Engine) -> None:
        self._path = path
        self._engine = engine
        self._turn = hub.Semaphore()
        self._asked = False

    def reload(self, dry_run: bool = False) -> Reloaded:  # noqa: FBT001, FBT002  (a callback)
        """Read the file and carry out what differs. Raises FabricError, Refusal or StoreError; nothing is changed then."""
        with self._turn:
            try:
                # In a thread of its own: a large file takes seconds, and switches must not wait for them.
                examination = eventlet.tpool.execute(_examine, self._path)
                return reload(self._engine, examination, dry_run=dry_run)
            except (FabricError, Refusal, StoreError) as error:
                if not dry_run:
                    tell_refused(self._engine, error)
                raise

    def listen(self) -> None:
        """From now on SIGHUP asks for a reload."""
        signal.signal(signal.SIGHUP, self._on_signal)

    def _on_signal(self, number: int, frame: Any) -> None:
        self._asked = True

    def follow(self) -> None:
        """Do what SIGHUP asks for, in a green thread. The outcome is in the log, and among the events."""
        while True:
            hub.sleep(LOOK_INTERVAL)
            if not self._asked:
                continue
            self._asked = False
            try:
                done = self.reload()
            except FabricError as error:
                for finding in error.findings:
                    (LOG.error if finding.is_error else LOG.warning)("%s", finding)
                LOG.error("the fabric file has errors; the fabric stays as it was")
            except Refusal as refusal:
                for reason in refusal.faults or (refusal.detail,):
                    LOG.error("fabric file: %s", reason if isinstance(reason, str) else f"{reason.path}: {reason.message}")
                LOG.error("the fabric file is refused; the fabric stays as it was")
            except StoreError as error:
                LOG.error("the fabric stays as it was: %s", error)
            else:
                for finding in done.examination.warnings:
                    LOG.warning("%s", finding)
                if not done.difference:
                    LOG.info("the fabric file has no changes")


def _examine(path: str) -> Examination:
    return examine(read_bytes(path), path)
