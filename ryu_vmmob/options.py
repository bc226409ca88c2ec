"""The option group ``[vmmob]`` of the configuration file; each also as ``--vmmob-NAME`` on the command line."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from oslo_config import cfg

from ryu_vmmob.logs import CONSOLE, FORMATS
from ryu_vmmob.store.etcd.address import Access

GROUP: Final = "vmmob"
LOOPBACK: Final = "127.0.0.1"

_OPTIONS: Final = [
    cfg.StrOpt("fabric", default="/etc/vmmob/fabric.yaml", help="path of the fabric file"),
    cfg.StrOpt(
        "store",
        default="sqlite:///var/lib/vmmob/vmmob.db",
        help="URL of the store: sqlite:/// and the path of a file, or etcd://HOST:PORT,HOST:PORT/PREFIX",
    ),
    cfg.StrOpt("etcd_ca", default=None, help="PEM file of the CAs of etcd's members (etcds://); unset: those of the system"),
    cfg.StrOpt("etcd_certificate", default=None, help="PEM file with the certificate that is shown to etcd's members"),
    cfg.StrOpt("etcd_private_key", default=None, help="PEM file with the private key of etcd_certificate"),
    cfg.StrOpt("etcd_user", default=None, help="user that etcd knows the controller by; unset: etcd asks for none"),
    cfg.StrOpt("etcd_password_file", default=None, help="file with the password of etcd_user"),
    cfg.StrOpt("api_token_file", default=None, help="file with the tokens that REST accepts; unset: none is needed"),
    cfg.ListOpt("api_origins", default=[], help="origins of web pages, besides our own, that may open /v1/events"),
    cfg.StrOpt("rest_certificate", default=None, help="PEM file with the certificate of REST; set, REST speaks TLS only"),
    cfg.StrOpt("rest_private_key", default=None, help="PEM file with the private key of rest_certificate"),
    cfg.StrOpt("rest_client_ca", default=None, help="PEM file of the CAs that must have signed a client's certificate"),
    cfg.FloatOpt("rest_rate", default=500.0, min=0.0, help="rate limit of one client, in requests a second; 0: no limit"),
    cfg.IntOpt("rest_connections", default=512, min=2, help="most connections to REST; one address may have half of them"),
    cfg.StrOpt(
        "switch_certificates",
        default="any",
        choices=["any", "named"],
        help="named: a switch's certificate must bear the switch's name in the fabric file",
    ),
    cfg.FloatOpt("audit_interval", default=300.0, min=0.0, help="seconds between two audits of every switch; 0: never"),
    cfg.FloatOpt("vlan_quarantine", default=60.0, min=0.0, help="seconds a VLAN-ID rests before another CUG gets it"),
    cfg.FloatOpt("link_up_delay", default=2.0, min=0.0, help="seconds that a link must be up before it is used again"),
    cfg.StrOpt("grafana_url", default=None, help="address of this controller's dashboard in Grafana"),
    cfg.StrOpt("log_format", default=CONSOLE, choices=FORMATS, help="log lines for people, or a JSON object each"),
]


@dataclass(frozen=True, slots=True)
class RestSettings:
    """The door of REST: names of PEM files (None: no TLS), requests a second of one client, connections at a time."""

    certificate: str | None
    private_key: str | None
    client_ca: str | None
    rate: float
    connections: int


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings. Times in seconds."""

    fabric: str
    store: str
    etcd: Access
    api_token_file: str | None
    api_origins: tuple[str, ...]
    audit_interval: float
    vlan_quarantine: float
    link_up_delay: float
    rest_host: str
    rest: RestSettings
    switch_certificates: str
    log_format: str
    grafana_url: str | None


class OptionError(ValueError):
    """Options that do not go together; the text says what to change."""


def register(conf: cfg.ConfigOpts) -> None:
    """Make the options known to the manager, which reads the command line before it loads any application."""
    conf.register_cli_opts(_OPTIONS, group=GROUP)


def listed() -> tuple[cfg.Opt, ...]:
    """Return the options with their help texts, in the order of the configuration file."""
    return tuple(_OPTIONS)


def read(conf: cfg.ConfigOpts) -> Settings:
    """Return the options as they are set; REST listens on loopback unless told otherwise (Ryu's default is everywhere)."""
    conf.set_default("wsapi_host", LOOPBACK)
    group = conf[GROUP]
    return Settings(
        group.fabric,
        group.store,
        Access(group.etcd_ca, group.etcd_certificate, group.etcd_private_key, group.etcd_user, group.etcd_password_file),
        group.api_token_file,
        tuple(group.api_origins),
        group.audit_interval,
        group.vlan_quarantine,
        group.link_up_delay,
        conf.wsapi_host,
        RestSettings(
            group.rest_certificate, group.rest_private_key, group.rest_client_ca, group.rest_rate, group.rest_connections
        ),
        group.switch_certificates,
        group.log_format,
        group.grafana_url,
    )


def refuse_open_door(settings: Settings) -> None:
    """REST without a token is for this machine only. Raises OptionError."""
    if settings.api_token_file is None and not is_loopback(settings.rest_host):
        raise OptionError(
            f"--wsapi-host {settings.rest_host!r} lets other machines in, so --vmmob-api_token_file must name a token"
        )


def refuse_odd_addresses(settings: Settings) -> None:
    """Let the dashboard link to web pages only. Raises OptionError."""
    url = settings.grafana_url
    if url is not None and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc):
        raise OptionError(f"--vmmob-grafana_url {url!r} is no address of a web page: write https://HOST/d/...")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on ``host``."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
