"""Names for the shell's completion, asked of the controller: quickly, and nothing when it does not answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any, Final

import typer

from ryu_vmmob.cli.common import connect
from ryu_vmmob.cli.output import before
from ryu_vmmob.client import Client, ClientError

SECONDS: Final = 0.5
"""Seconds to wait for a completion."""
FAMILIES: Final = (
    "batch", "clock", "cug", "external", "fabric", "link", "migration", "move", "neighbour", "policy", "presence",
    "refused", "routing_domain", "store", "switch", "vlan_id", "vm",
)  # fmt: skip
"""The first words of the kinds of events; a test compares them with the controller's."""
TABLES: Final = (
    "ingress", "admit", "answer", "advertise", "policy_out", "gateway", "route", "bridge", "policy_in", "deliver",
    "refuse", "punt",
)  # fmt: skip
"""The tables of a switch in the order in which a frame meets them; a test compares them with the pipeline's."""


def _complete(names: Callable[[Client], Iterable[str]]) -> Callable[[typer.Context, str], list[str]]:
    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        given = {name: before(ctx, name, ctx.params.get(name)) for name in ("url", "token_file", "config")}
        try:
            client = connect(**given, timeout=SECONDS, retries=0)
            return [name for name in names(client) if name.startswith(incomplete)]
        except ClientError:
            return []

    return complete


def _names(rows: Iterable[Any]) -> list[str]:
    return [row["name"] for row in rows]


def choice(*words: str) -> Callable[[str], list[str]]:
    """Return a completion that offers these words."""
    return lambda incomplete: [word for word in words if word.startswith(incomplete)]


def kinds(incomplete: str) -> list[str]:
    """Offer the families of events; those before the last comma stay."""
    done, comma, last = incomplete.rpartition(",")
    return [f"{done}{comma}{word}" for word in FAMILIES if word.startswith(last)]


tables = choice(*TABLES)
CUGS = _complete(lambda client: _names(client.cugs.list()))
VMS = _complete(lambda client: _names(client.vms.list()))
POLICIES = _complete(lambda client: _names(client.policies.list()))
SWITCHES = _complete(lambda client: _names(client.switches.list()))
SERVERS = _complete(lambda client: _names(client.fabric()["servers"]))
HOSTS = _complete(lambda client: [*_names(client.fabric()["servers"]), *_names(client.fabric()["switches"])])
SENDERS = _complete(lambda client: [*_names(client.vms.list()), *_names(client.fabric()["externals"])])


def _goals(client: Client) -> list[str]:
    vms = client.vms.list()
    return [*_names(vms), *(ip for vm in vms for row in vm["interfaces"] for ip in row["ips"])]


GOALS = _complete(_goals)
MIGRATIONS = _complete(lambda client: [row["id"] for row in client.migrations.list()])
BATCHES = _complete(lambda client: [row["id"] for row in client.batches.list()])


def _several(noun: str, metavar: str, complete: Callable[..., Any]) -> Any:
    return typer.Argument(metavar=f"{metavar}...", help=f"The names of the {noun}.", autocompletion=complete)


CugName = Annotated[str, typer.Argument(metavar="CUG", help="The name of the CUG.", autocompletion=CUGS)]
VmName = Annotated[str, typer.Argument(metavar="VM", help="The name of the VM.", autocompletion=VMS)]
PolicyName = Annotated[str, typer.Argument(metavar="POLICY", help="The name of the policy.", autocompletion=POLICIES)]
SwitchName = Annotated[
    str, typer.Argument(metavar="SWITCH", help="The name of the switch in the fabric file.", autocompletion=SWITCHES)
]
ServerName = Annotated[
    str, typer.Argument(metavar="SERVER", help="The name of the server in the fabric file.", autocompletion=SERVERS)
]
MigrationId = Annotated[str, typer.Argument(metavar="ID", help="The id of the migration.", autocompletion=MIGRATIONS)]
BatchId = Annotated[str, typer.Argument(metavar="ID", help="The id of the batch.", autocompletion=BATCHES)]
CugNames = Annotated[list[str], _several("CUGs", "CUG", CUGS)]
VmNames = Annotated[list[str], _several("VMs", "VM", VMS)]
PolicyNames = Annotated[list[str], _several("policies", "POLICY", POLICIES)]
SwitchNames = Annotated[list[str], _several("switches in the fabric file", "SWITCH", SWITCHES)]
MigrationIds = Annotated[
    list[str], typer.Argument(metavar="ID...", help="The ids of the migrations.", autocompletion=MIGRATIONS)
]
BatchIds = Annotated[list[str], typer.Argument(metavar="ID...", help="The ids of the batches.", autocompletion=BATCHES)]
