"""The body of ``/v1/bulk``: objects by name, or lists as a GET gives them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import Field, TypeAdapter, ValidationError

from ryu_vmmob.fabric.findings import show
from ryu_vmmob.model.breath import Breath
from ryu_vmmob.model.commands import Command
from ryu_vmmob.model.numbers import KeepNumbers
from ryu_vmmob.model.refusal import Fault
from ryu_vmmob.model.state import State
from ryu_vmmob.rest.bodies import Body, Name, faults_of
from ryu_vmmob.rest.collection import Collection
from ryu_vmmob.rest.cugs import CUGS, CugBody
from ryu_vmmob.rest.numbers import NumbersBody
from ryu_vmmob.rest.policies import POLICIES, PolicyBody
from ryu_vmmob.rest.problems import MOST_FAULTS, invalid_input
from ryu_vmmob.rest.says import says
from ryu_vmmob.rest.vms import VMS, VmBody

COLLECTIONS: Final[tuple[Collection[Any], ...]] = (CUGS, VMS, POLICIES)
"""In the order in which their objects may refer to each other."""
_BODIES: Final[dict[str, type[Body]]] = {row.name: row.body for row in COLLECTIONS}
_MARKS: Final = {"subnets": "cugs", "interfaces": "vms", "action": "policies"}
"""A required key of each kind of object, which no other has: it tells what stands in a list without a kind."""
_NAMES: Final[TypeAdapter[str]] = TypeAdapter(Name)


class BulkItem(NamedTuple):
    """One object of a bulk; ``body`` None: it is deleted."""

    collection: Collection[Any]
    name: str
    body: Any
    command: Command


_Name = Annotated[Name, says("The name of the object.")]


class NamedCug(CugBody):
    """A CUG in a list, with its name."""

    name: _Name


class NamedVm(VmBody):
    """A VM in a list, with its name."""

    name: _Name


class NamedPolicy(PolicyBody):
    """A policy in a list, with its name."""

    name: _Name


class CugItems(Body):
    """The answer of GET /v1/cugs."""

    items: Annotated[list[NamedCug], says("CUGs to put.")]


class VmItems(Body):
    """The answer of GET /v1/vms."""

    items: Annotated[list[NamedVm], says("VMs to put.")]


class PolicyItems(Body):
    """The answer of GET /v1/policies."""

    items: Annotated[list[NamedPolicy], says("Policies to put.")]


class DeleteBody(Body):
    """Names of objects that go; one that is not there is gone already."""

    cugs: Annotated[list[Name], says("CUGs to delete.")] = Field(default=[])
    vms: Annotated[list[Name], says("VMs to delete.")] = Field(default=[])
    policies: Annotated[list[Name], says("Policies to delete.")] = Field(default=[])


class BulkBody(Body):
    """Objects to put and to delete, all or none of them."""

    cugs: Annotated[dict[Name, CugBody] | CugItems, says("CUGs to put, by name or as GET lists them.")] = Field(
        default_factory=dict
    )
    vms: Annotated[dict[Name, VmBody] | VmItems, says("VMs to put, by name or as GET lists them.")] = Field(
        default_factory=dict
    )
    policies: Annotated[dict[Name, PolicyBody] | PolicyItems, says("Policies to put, by name or as GET lists them.")] = Field(
        default_factory=dict
    )
    items: Annotated[
        list[NamedCug | NamedVm | NamedPolicy], says("Objects to put, of whichever kind each is, as GET lists them.")
    ] = Field(default=[])
    delete: DeleteBody = Field(default_factory=DeleteBody)
    numbers: NumbersBody = Field(default_factory=NumbersBody)

    def kept(self) -> KeepNumbers:
        """Return the command that keeps the numbers, to come before the `steps`. Of a body that `read_bulk` made."""
        cugs: Any = self.cugs
        vms: Any = self.vms
        return self.numbers.command(cugs, vms)

    def ordered(self, state: State, breath: Breath) -> list[BulkItem]:
        """Each by name, in an order that works on ``state``. Of a body that `read_bulk` made.

        VMs that must have certain VLAN-IDs come before those that may have any, and might take these.

        What refers to others goes first and comes last. A CUG goes before others come, so that they may have its prefix, but
        for one that has members which leave it by what is put.
        """
        leaving = frozenset(self.delete.vms)
        cugs = sorted({name for name in self.delete.cugs if name in state.cugs})
        emptied = [name for name in cugs if all(row.vm in leaving for row in state.members.get(name, ()))]
        return [
            *self._gone(POLICIES, self.delete.policies, state),
            *self._gone(VMS, self.delete.vms, state),
            *self._gone(CUGS, emptied, state),
            *(
                BulkItem(row, name, body, row.put(body, name))
                for row in COLLECTIONS
                for name, body in breath.through(_in_order(getattr(self, row.name), breath))
            ),
            *self._gone(CUGS, [name for name in cugs if name not in emptied], state),
        ]

    @staticmethod
    def _gone(row: Collection[Any], names: Iterable[str], state: State) -> Iterator[BulkItem]:
        there = row.objects(state)
        return (BulkItem(row, name, None, row.delete(name)) for name in sorted(set(names)) if name in there)


def _in_order(bodies: Mapping[str, Any], breath: Breath) -> list[tuple[str, Any]]:
    """Return the bodies by name, after those that ask for a number."""
    asking, others = list[str](), list[str]()
    for name, body in breath.through(bodies.items()):
        (asking if isinstance(body, VmBody) and body.asks_for_a_number else others).append(name)
    return [(name, bodies[name]) for name in breath.through((*sorted(asking), *sorted(others)))]


class _Reader:
    """Reads objects one after another; ends at the first `MOST_FAULTS` faults."""

    def __init__(self, breath: Breath) -> None:
        self._breath = breath
        self.objects: dict[str, dict[str, Any]] = {name: {} for name in _BODIES}
        self.faults: list[Fault] = []
        self.delete = DeleteBody()
        self.numbers = NumbersBody()

    @property
    def has_enough(self) -> bool:
        """Whether so many faults are known that no more are told."""
        return len(self.faults) >= MOST_FAULTS

    def read(self, rows: Iterator[tuple[tuple[Any, ...], Any, str, Any]]) -> None:
        """Read rows of (path, name, collection, value)."""
        for path, name, collection, value in rows:
            self._breath.worked()
            try:
                known = _NAMES.validate_python(name)
                body = _BODIES[collection].model_validate(value)
            except ValidationError as error:
                self.faults += faults_of(error, *path)
            else:
                self._keep(path, known, collection, body)
            if self.has_enough:
                return

    def read_whole(self, key: Literal["delete", "numbers"], value: Any) -> None:
        """Read what is to be deleted, or what numbers are to be kept."""
        try:
            if key == "delete":
                self.delete = DeleteBody.model_validate(value)
            else:
                self.numbers = NumbersBody.model_validate(value)
        except ValidationError as error:
            self.faults += faults_of(error, key)

    def check_names(self) -> None:
        """Note what is to be deleted and put."""
        for kind, rows in self.objects.items():
            for number, name in enumerate(getattr(self.delete, kind)):
                if name in rows:
                    self.faults.append(Fault(f"delete.{kind}[{number}]", f"{name!r} is put by the same request"))

    def _keep(self, path: tuple[Any, ...], name: str, collection: str, body: Any) -> None:
        rows = self.objects[collection]
        if name in rows:
            self.faults.append(Fault(show(path), f"{name!r} stands twice in {collection}"))
        elif body.name not in (None, name):
            self.faults.append(Fault(show((*path, "name")), f"is {body.name!r}, and the object that is put is {name!r}"))
        rows[name] = body


def read_bulk(value: Any, breath: Breath) -> BulkBody:
    """``value`` as a bulk body, object by object with pauses; a 422 that names the first `MOST_FAULTS` faults.

    How many objects are faulty is not looked for beyond those: reading ends there.
    """
    if not isinstance(value, dict):
        raise invalid_input([Fault("", "must be an object")])
    reader = _Reader(breath)
    for key, rows in value.items():
        if key in ("delete", "numbers"):
            reader.read_whole(key, rows)
        elif key == "items":
            reader.read(_listed(reader, ("items",), rows, None))
        elif key not in _BODIES:
            reader.faults.append(Fault(show((key,)), "is not a known key"))
        elif isinstance(rows, dict) and rows.keys() == {"items"} and isinstance(rows["items"], list):
            reader.read(_listed(reader, (key, "items"), rows["items"], key))
        elif isinstance(rows, dict):
            reader.read(((key, name), name, key, row) for name, row in rows.items())
        else:
            reader.faults.append(Fault(key, "must be an object"))
        if reader.has_enough:
            break
    reader.check_names()
    if reader.faults:
        raise invalid_input(reader.faults)
    objects: dict[str, Any] = {**reader.objects, "delete": reader.delete, "numbers": reader.numbers}
    return BulkBody.model_construct(None, **objects)


def _listed(
    reader: _Reader, path: tuple[Any, ...], rows: Any, collection: str | None
) -> Iterator[tuple[tuple[Any, ...], Any, str, Any]]:
    """Yield the rows of a list; ``collection`` None: each says by its keys what it is."""
    if not isinstance(rows, list):
        reader.faults.append(Fault(show(path), "must be a list"))
        return
    for number, row in enumerate(rows):
        place = (*path, number)
        found = collection or _kind(row)
        if not isinstance(row, dict):
            reader.faults.append(Fault(show(place), "must be an object"))
        elif found is None:
            marks = ", ".join(f"{mark!r} ({kind})" for mark, kind in _MARKS.items())
            reader.faults.append(Fault(show(place), f"has none of the keys that tell what it is: {marks}"))
        elif "name" not in row:
            reader.faults.append(Fault(show((*place, "name")), "is required"))
        else:
            yield place, row["name"], found, row
        if reader.has_enough:
            return


def _kind(row: Any) -> str | None:
    return next((kind for mark, kind in _MARKS.items() if isinstance(row, Mapping) and mark in row), None)
