"""The option group ``[vmmob]`` of the configuration file; each also as ``--vmmob-NAME`` on the command line (contract 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from oslo_config import cfg

GROUP: Final = "vmmob"
LOOPBACK: Final = "127.0.0.1"

_OPTIONS: Final = [
    cfg.StrOpt("fabric", default="/etc/vmmob/fabric.yaml", help="path of the fabric file"),
    cfg.StrOpt("store", default="sqlite:///var/lib/vmmob/vmmob.db", help="where the logical state lives"),
    cfg.StrOpt("api_token_file", default=None, help="file with the token that REST asks for"),
    cfg.FloatOpt("audit_interval", default=300.0, min=0.0, help="seconds between two audits of every switch; 0: never"),
    cfg.FloatOpt("vlan_quarantine", default=60.0, min=0.0, help="seconds for which a VLAN-ID rests before another CUG gets it"),
    cfg.FloatOpt("link_up_delay", default=2.0, min=0.0, help="seconds for which a link must be up before it is used again"),
]


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator set. Times in seconds."""

    fabric: str
    store: str
    api_token_file: str | None
    audit_interval: float
    vlan_quarantine: float
    link_up_delay: float
    rest_host: str


def register(conf: cfg.ConfigOpts) -> None:
    """Make the options known; REST listens on loopback unless the operator says otherwise (Ryu's default is everywhere)."""
    conf.register_cli_opts(_OPTIONS, group=GROUP)
    conf.set_default("wsapi_host", LOOPBACK)


def read(conf: cfg.ConfigOpts) -> Settings:
    """The options as they are set."""
    group = conf[GROUP]
    return Settings(
        group.fabric,
        group.store,
        group.api_token_file,
        group.audit_interval,
        group.vlan_quarantine,
        group.link_up_delay,
        conf.wsapi_host,
    )
