"""Labels of CUGs, VMs and policies, and selectors that pick objects by them. The syntax is that of Kubernetes.

A key is a name of at most 63 characters (letters, digits, ``-``, ``_``, ``.``; the first and last a letter or digit), if wanted
after a domain (lower-case letters, digits, ``-``, ``.``; at most 253) and a slash. A value is such a name, or empty. A selector
is requirements after commas; an object must meet all of them:

============ ====================================
``key=v``    has the label with this value; also ``key==v``
``key!=v``   has it with another value, or not at all
``key``      has it
``!key``     has it not
============ ====================================
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

MOST_LABELS: Final = 64
"""Of one object."""
MOST_REQUIREMENTS: Final = 32
"""Of one selector."""
LONGEST_DESCRIPTION: Final = 1000
"""Characters."""

_NAME: Final = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
KEY: Final = rf"(?:[a-z0-9](?:[a-z0-9.-]{{0,251}}[a-z0-9])?/)?{_NAME}"
"""Regular expression of a key."""
VALUE: Final = rf"(?:{_NAME})?"
"""Regular expression of a value."""
_REQUIREMENT: Final = re.compile(rf"(!?)({KEY})|({KEY})(==|=|!=)({VALUE})")


class Requirement(NamedTuple):
    """One condition of a selector; ``value`` None: whatever the value is. ``meets`` False: the other way round."""

    key: str
    value: str | None
    meets: bool = True

    def __str__(self) -> str:
        if self.value is None:
            return self.key if self.meets else f"!{self.key}"
        return f"{self.key}{'=' if self.meets else '!='}{self.value}"


REQUIREMENT: Final = rf"(!?{KEY}|{KEY}(==|=|!=){VALUE})"
SELECTOR: Final = rf"{REQUIREMENT}(,{REQUIREMENT}){{0,{MOST_REQUIREMENTS - 1}}}"
"""Regular expressions of a requirement and of a selector without blanks."""
Requirements = tuple[Requirement, ...]


def parse(text: str) -> Requirements:
    """Return the requirements of a selector, each once and in order. Raises ValueError with one sentence."""
    found = []
    for part in text.split(","):
        match = _REQUIREMENT.fullmatch(part.strip())
        if match is None:
            raise ValueError(f'{part.strip()!r} is no requirement: write "key=value", "key!=value", "key" or "!key"')
        no, key, with_value, sign, value = match.groups()
        found.append(Requirement(key, None, not no) if key else Requirement(with_value, value, sign != "!="))
    if len(found) > MOST_REQUIREMENTS:
        raise ValueError(f"has more than {MOST_REQUIREMENTS} requirements")
    return tuple(sorted(set(found), key=str))


@lru_cache(maxsize=4096)
def requirements(text: str) -> Requirements:
    """Return what `parse` returns, which is asked for again and again."""
    return parse(text)


def selects(requirements: Iterable[Requirement], labels: Mapping[str, str]) -> bool:
    """Whether labels meet all requirements."""
    return all(_has(row, labels) is row.meets for row in requirements)


def _has(row: Requirement, labels: Mapping[str, str]) -> bool:
    return row.key in labels and (row.value is None or labels[row.key] == row.value)
