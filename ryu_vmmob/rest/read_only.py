"""Keys that stand in answers and follow from the rest, in bodies: an answer can be put back as it is.

A body may leave them out. Their values have to be those of a GET at that moment, so that no client believes to have changed
a derived key, or overwrites what another has changed meanwhile. For an object that does not exist only the name is compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any, Final

from pydantic import BaseModel, Field

from ryu_vmmob.model.refusal import Fault, Refusal
from ryu_vmmob.rest.bodies import Body, Name
from ryu_vmmob.rest.problems import invalid_input
from ryu_vmmob.rest.says import says

_LONGEST: Final = 60
LARGEST: Final = 2**63 - 1
"""Of counts: both formats have it."""

READ_ONLY: Final = says("Read-only: as GET says it.")
ReadOnlyName = Annotated[Name | None, says("Read-only: that of the path.")]
ReadOnlyRevision = Annotated[int | None, Field(ge=0, le=LARGEST), READ_ONLY]


def check_name(body: Any, name: str) -> None:
    """Raise 422 where a body has another name than the path."""
    if body.name not in (None, name):
        raise invalid_input([Fault("name", f"is {body.name!r}, and the object that is put is {name!r}")])


def check(body: Body, view: Any) -> None:
    """Raise 409 where a body contradicts ``view``, the object as a GET shows it; the fault names the key."""
    faults = tuple(body.contradictions(view))
    if faults:
        raise Refusal(409, "a read-only key", "; ".join(f"{row.path}: {row.message}" for row in faults), faults)


def differing(body: BaseModel, keys: Iterator[str] | tuple[str, ...], view: Any, place: str = "") -> Iterator[Fault]:
    """Yield a fault for each of the read-only ``keys`` of which a body says something else than ``view``."""
    for key in keys:
        if key in body.model_fields_set:
            said = getattr(body, key)
            said = said.model_dump() if isinstance(said, BaseModel) else said
            yield from _difference(f"{place}{key}", said, view.get(key))


def _difference(path: str, said: Any, now: Any) -> Iterator[Fault]:
    """Yield the first value, however deep, in which two differ."""
    if isinstance(said, dict) and isinstance(now, dict):
        for key in sorted(said.keys() | now.keys()):
            found = list(_difference(f"{path}.{key}", said.get(key), now.get(key)))
            if found:
                yield found[0]
                return
    elif said != now or isinstance(said, bool) is not isinstance(now, bool):
        yield Fault(path, f"is read-only and {_text(now)} now, not {_text(said)}: get the object again, or leave the key out")


def _text(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
