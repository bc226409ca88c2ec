"""``vmmob-hypervisor``: reads its options, and runs until it is told to stop."""

from __future__ import annotations

import logging
import shlex
import signal
import socket
import threading
from typing import Annotated, Any, Final

import typer

from ryu_vmmob import logs
from ryu_vmmob.client import DEFAULT_URL, Client, ClientError, Settings, read_settings, read_token
from ryu_vmmob.hypervisor.forwarding import Forwarding
from ryu_vmmob.hypervisor.handover import Happened
from ryu_vmmob.hypervisor.libvirt_events import URI, HostError, Libvirt
from ryu_vmmob.hypervisor.service import Service
from ryu_vmmob.hypervisor.service import Settings as ServiceSettings
from ryu_vmmob.hypervisor.steward import Steward
from ryu_vmmob.hypervisor.vswitch import open_switch

LOG: Final = logging.getLogger("vmmob.hypervisor")
_CLAIMS: Final = ("migrated", "running", "none")
_GUESTS: Final = ("name", "uuid")
_MONITOR: Final = ("auto", "never")
_REQUEST_SECONDS: Final = 10.0
"""For one answer of the controller; a request that is late is asked again by its own rule."""

_app = typer.Typer(add_completion=False)


def _option(name: str, help: str) -> Any:
    return typer.Option(f"--{name}", envvar=f"VMMOB_{name.upper().replace('-', '_')}", help=help)


@_app.command()
def run(
    url: Annotated[str | None, _option("url", f"Address of the controller's REST interface; {DEFAULT_URL} by default.")] = None,
    token_file: Annotated[str | None, _option("token-file", "File that holds an operator's token for REST.")] = None,
    config: Annotated[str | None, _option("config", "Settings file of the client; /etc/vmmob/client.conf by default.")] = None,
    server: Annotated[
        str | None, _option("server", "The name of this server in the fabric file; the host name by default.")
    ] = None,
    guest: Annotated[
        str, _option("guest", "What names a VM at the controller: the guest's libvirt name, or its uuid.")
    ] = "name",
    libvirt: Annotated[str, _option("libvirt", "URI of libvirt.")] = URI,
    claims: Annotated[
        str,
        _option("claims", "Which VMs that run here unannounced get a move to this server: migrated, running (any) or none."),
    ] = "migrated",
    monitor: Annotated[
        str,
        _option(
            "monitor",
            "Whether QEMU is asked what a guest got where it reads the tap itself, without vhost: auto, or never. "
            "libvirt notes such a domain as tainted (custom-monitor).",
        ),
    ] = "auto",
    ovs_vsctl: Annotated[
        str, _option("ovs-vsctl", "The command that corrects a wrong tag in Open vSwitch; empty: only reported, and no flows.")
    ] = "ovs-vsctl",
    interval: Annotated[float, _option("interval", "Seconds between two comparisons of the domains with REST.")] = 30.0,
    log_format: Annotated[str, _option("log-format", "console or json.")] = logs.CONSOLE,
) -> None:
    """Tell the controller when a VM pauses, arrives or fails here, and send on what it had not read yet."""
    logging.basicConfig(level=logging.INFO)
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    try:
        _check(claims, guest, monitor, interval, log_format)
        connect = _connector(url, token_file, config)
        here = server or socket.gethostname().split(".")[0]
        _serve(ServiceSettings(here, guest == "uuid", monitor == "auto"), libvirt, connect, claims, ovs_vsctl, interval)
    except (ClientError, HostError, ValueError) as error:
        typer.echo(f"vmmob-hypervisor: {error}", err=True)
        raise typer.Exit(2) from None


def _check(claims: str, guest: str, monitor: str, interval: float, log_format: str) -> None:
    """Raise ValueError."""
    if claims not in _CLAIMS:
        raise ValueError(f"--claims must be one of {', '.join(_CLAIMS)}")
    if guest not in _GUESTS:
        raise ValueError(f"--guest must be one of {', '.join(_GUESTS)}")
    if monitor not in _MONITOR:
        raise ValueError(f"--monitor must be one of {', '.join(_MONITOR)}")
    if not 0.1 <= interval <= 3600:
        raise ValueError("--interval must be 0.1 to 3600 seconds")
    logs.use(log_format)


def _connector(url: str | None, token_file: str | None, config: str | None) -> Any:
    """Make clients of the controller that options, environment or settings file name. Raises ClientError.

    What the file says of tokens and certificates is for the controller that it names.
    """
    settings = read_settings(config)
    if url is not None and url.rstrip("/") != (settings.url or DEFAULT_URL).rstrip("/"):
        settings = Settings()
    name = token_file or settings.token_file
    token = read_token(name) if name is not None else settings.token
    address = url or settings.url or DEFAULT_URL

    def connect() -> Client:
        return Client(address, token, _REQUEST_SECONDS, ca=settings.ca, retries=1)

    return connect


def _serve(settings: ServiceSettings, uri: str, connect: Any, claims: str, ovs_vsctl: str, interval: float) -> None:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    parts: list[Any] = []

    def report(event: Happened) -> None:
        service.happened(event)

    def look() -> None:
        steward.look()

    host = Libvirt(uri, report, look)
    switch = open_switch(shlex.split(ovs_vsctl))
    forwarding = Forwarding(switch)
    service = Service(settings, host, connect, look, forwarding)
    steward = Steward(settings.here, host, connect, service.name_of, switch, forwarding, claims, interval)
    parts = [host, service, steward]
    LOG.info("server %s", settings.here)
    for part in parts:
        part.start()
    stop.wait()
    LOG.info("stopping")
    for part in reversed(parts):
        part.stop()


def main() -> None:
    """Run the program; its entry point."""
    _app()


if __name__ == "__main__":
    main()
