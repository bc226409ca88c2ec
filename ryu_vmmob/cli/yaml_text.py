"""Values as YAML, in a form that readers of YAML 1.1 and of YAML 1.2 understand alike."""

from __future__ import annotations

import re
from io import StringIO
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.representer import SafeRepresenter

_WIDTH: Final = 160
_OF_1_1: Final = re.compile(r"(?:y|n|yes|no|on|off)|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?", re.IGNORECASE)
"""Texts that YAML 1.1 takes for a truth value or for a number of base 60, such as the MAC address 12:34:56:00:11:22."""


class _Representer(SafeRepresenter):
    pass


def _text(representer: SafeRepresenter, text: str) -> Any:
    return representer.represent_scalar("tag:yaml.org,2002:str", text, style="'" if _OF_1_1.fullmatch(text) else None)


_Representer.add_representer(str, _text)


def yaml_text(value: Any) -> str:
    """Return a value of JSON as one YAML document, its innermost lists and maps on a line each."""
    yaml: Any = YAML(typ="safe", pure=True)
    yaml.Representer = _Representer
    yaml.default_flow_style = None  # what is innermost on one line
    yaml.sort_base_mapping_type_on_output = False
    yaml.width = _WIDTH
    out = StringIO()
    yaml.dump(value, out)
    return out.getvalue()
