"""Examples of every command, as the help texts and the man pages show them."""

from __future__ import annotations

from typing import Final

import typer

EXAMPLES: Final[dict[str, tuple[str, ...]]] = {
    "version": ("vmmob version",),
    "status": ("vmmob status", "vmmob status --minutes 10"),
    "check": ("vmmob check /etc/vmmob/fabric.yaml", "vmmob check --strict -"),
    "bulk": ("vmmob bulk site.json --wait 10",),
    "export": ("vmmob export > site.yaml",),
    "diff": ("vmmob diff -f site.yaml", "vmmob diff -f site.yaml --prune --flows"),
    "apply": ("vmmob apply -f site.yaml --dry-run", "vmmob apply -f site.yaml --wait 10"),
    "move": ("vmmob move web1 srv-c1 --dry-run", "vmmob move web1 srv-c1", "vmmob move web1 srv-c1 --wait"),
    "evacuate": ("vmmob evacuate srv-a1 --dry-run", "vmmob evacuate tor-a --switch --to srv-b1,srv-c1 --wait"),
    "trace": (
        "vmmob trace web1 web2",
        "vmmob trace web1 10.1.0.12 --protocol tcp --port 443",
        "vmmob trace internet-1 web1 --external --as-ip 192.0.2.9",
    ),
    "flows": ("vmmob flows tor-a", "vmmob flows tor-a --table admit -o wide"),
    "events": ("vmmob events --types migration,refused", "vmmob events --since 120 --limit 50 --utc"),
    "watch": ("vmmob watch", "vmmob watch --types migration -o json"),
    "takeover": ("vmmob takeover tor-a",),
    "check-switch": ("vmmob check-switch 192.0.2.7:6653", "vmmob check-switch --listen 6653 --role tor --try"),
    "backup": ("vmmob backup vmmob-monday.db",),
    "restore": ("vmmob restore vmmob-monday.db --dry-run", "vmmob restore vmmob-monday.db --store /var/lib/vmmob/vmmob.db"),
    "store copy": (
        "vmmob store copy sqlite:////var/lib/vmmob/vmmob.db etcd://etcd-1,etcd-2,etcd-3/vmmob",
        "vmmob store copy etcd://etcd-1,etcd-2,etcd-3/vmmob sqlite:////var/lib/vmmob/from-etcd.db",
    ),
    "init": ("vmmob init /etc/vmmob --state /var/lib/vmmob",),
    "completion": ("vmmob completion zsh > ~/.zfunc/_vmmob",),
    "fabric show": ("vmmob fabric show",),
    "fabric reload": ("vmmob fabric reload --dry-run", "vmmob fabric reload --wait 10"),
    "fabric check": ("vmmob fabric check /etc/vmmob/fabric.yaml",),
    "cug list": ("vmmob cug list", "vmmob cug list -l env=prod"),
    "cug show": ("vmmob cug show web",),
    "cug put": ("vmmob cug put web --subnet 10.1.0.0/24 --vlan-id rack-a=110", "vmmob cug put web --file web.json"),
    "cug delete": ("vmmob cug delete web",),
    "vm list": ("vmmob vm list --server srv-a1", "vmmob vm list -l role=db,env!=prod -o yaml"),
    "vm show": ("vmmob vm show web1", "vmmob vm show web1 web2 -o yaml"),
    "vm put": (
        "vmmob vm put web1 --server srv-a1 --interface cug=web,mac=02:00:00:00:00:01,ip=10.1.0.11",
        "vmmob vm put web1 --file web1.json --wait 5",
    ),
    "vm delete": ("vmmob vm delete web1 --wait 5",),
    "vm placements": ("vmmob vm placements web1",),
    "policy list": ("vmmob policy list",),
    "policy show": ("vmmob policy show web-to-db",),
    "policy put": (
        "vmmob policy put web-to-db --action allow --from cug=web --to cug=db --protocol tcp --port 5432 --replies",
    ),
    "policy delete": ("vmmob policy delete web-to-db",),
    "migration list": ("vmmob migration list --vm web1", "vmmob migration list --state prepared"),
    "migration show": ("vmmob migration show m-0123456789ab",),
    "migration start": (
        "vmmob migration start web1 srv-c1 --dry-run",
        "vmmob migration start web1 srv-c1 --activate-on request --commit request",
    ),
    "migration deliver": ("vmmob migration deliver m-0123456789ab",),
    "migration activate": ("vmmob migration activate m-0123456789ab --wait 5",),
    "migration commit": ("vmmob migration commit m-0123456789ab",),
    "migration abort": ('vmmob migration abort m-0123456789ab --reason "copying failed"',),
    "batch list": ("vmmob batch list",),
    "batch show": ("vmmob batch show b-0123456789ab",),
    "batch abort": ("vmmob batch abort b-0123456789ab",),
    "switch list": ("vmmob switch list",),
    "switch show": ("vmmob switch show tor-a",),
    "switch audit": ("vmmob switch audit tor-a --wait 10",),
}
"""Command lines by the words of their command."""

TITLE: Final = "Examples:"


def attach(app: typer.Typer, before: str = "") -> None:
    """Put the examples below the help text of each command of the application and of its groups."""
    for command in app.registered_commands:
        name = command.name or getattr(command.callback, "__name__", "")
        lines = EXAMPLES.get(f"{before}{name}", ())
        command.epilog = "\n\n".join((TITLE, *lines)) if lines else None
    for group in app.registered_groups:
        if group.typer_instance is not None:
            attach(group.typer_instance, f"{before}{group.typer_instance.info.name} ")
