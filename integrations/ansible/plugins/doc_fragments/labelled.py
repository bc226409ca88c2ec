"""Documentation of the options that CUGs, VMs and policies have alike."""

from __future__ import annotations


class ModuleDocFragment:
    """Read by ``ansible-doc``."""

    DOCUMENTATION = r"""
options:
  labels:
    description: Labels, by key.
    type: dict
    default: {}
  description:
    description: One line of text.
    type: str
    default: ''
"""
