"""The physical network: what the fabric file describes, checked and typed.

``load`` and ``loads`` give a :class:`Fabric` or raise :class:`FabricError`; ``check`` gives every finding. The values
themselves stand in ``ryu_vmmob.fabric.model``, which loads no parser.
"""

from __future__ import annotations

from ryu_vmmob.fabric.findings import FabricError, Finding
from ryu_vmmob.fabric.loader import Examination, check, examine, load, loads
from ryu_vmmob.fabric.model import Fabric
from ryu_vmmob.fabric.rules import Rule, Severity

__all__ = ["Examination", "Fabric", "FabricError", "Finding", "Rule", "Severity", "check", "examine", "load", "loads"]
