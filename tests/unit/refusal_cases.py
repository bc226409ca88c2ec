"""A refusal beside its passing twin, as a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ryu_vmmob.fabric.model import Fabric
from ryu_vmmob.model.commands import (
    Command,
)
from tests.support.fabrics import two_racks

RACKS = two_racks()


@dataclass(frozen=True)
class Case:
    """``refused`` is refused after ``given`` with all of ``words`` in the detail; ``passes`` is not."""

    name: str
    given: Sequence[Command]
    refused: Command
    passes: Command
    status: int
    words: Sequence[str]
    paths: Sequence[str] = ()
    title: str | None = None
    fabric: Fabric = RACKS
