"""Checks of exposure at the start: TLS options must be complete and usable, and open ports are logged.

Ryu itself listens without TLS, and says nothing, when one of its three options is missing.
"""

from __future__ import annotations

import logging
import os
import ssl
from typing import Any

from ryu_vmmob.compat.tls import server_context
from ryu_vmmob.options import OptionError, Settings, is_loopback

LOG = logging.getLogger(__name__)


def check(conf: Any, settings: Settings) -> None:
    """Raise OptionError when TLS was asked for and could not be had; warn of what is open. ``conf``: Ryu's options."""
    _check_openflow(conf, settings)
    if not is_loopback(settings.rest_host) and settings.rest.certificate is None:
        LOG.warning("REST on %s is without TLS: any host on the path can read the tokens", settings.rest_host)


def usable_context(certificate: str, key: str, ca: str | None, what: str) -> ssl.SSLContext:
    """Return the context of a TLS server whose files can be used. Raises OptionError, which begins with ``what``."""
    try:
        if os.stat(key).st_mode & 0o007:
            raise OptionError(f"{what}: everyone on this machine may use the private key {key} (chmod 600 it)")
        return server_context(certificate, key, ca)
    except ssl.SSLError as error:
        files = ", ".join(filter(None, (certificate, key, ca)))
        raise OptionError(f"{what}: {files}: {error.reason or error}") from error
    except OSError as error:
        missing = [name for name in (certificate, key, ca) if name is not None and not os.access(name, os.R_OK)]
        raise OptionError(f"{what}: {', '.join(missing) or certificate}: {error.strerror}") from error


def _check_openflow(conf: Any, settings: Settings) -> None:
    key, certificate, ca = conf.ctl_privkey, conf.ctl_cert, conf.ca_certs
    tls = key is not None and certificate is not None
    if not tls and (key, certificate, ca) != (None, None, None):
        raise OptionError("OpenFlow over TLS needs --ctl-privkey and --ctl-cert; only a part is set")
    if tls and conf.ofp_tcp_listen_port and not conf.ofp_ssl_listen_port:
        raise OptionError("OpenFlow over TLS needs --ofp-ssl-listen-port; --ofp-tcp-listen-port alone is set")
    if conf.ofp_ssl_listen_port and not tls:
        raise OptionError("--ofp-ssl-listen-port is set, so --ctl-privkey and --ctl-cert must be, too")
    named = settings.switch_certificates == "named"
    if named and (not tls or ca is None):
        raise OptionError("--vmmob-switch_certificates named needs OpenFlow over TLS, with --ca-certs")
    if tls:
        usable_context(certificate, key, ca, "OpenFlow over TLS")
    reachable = not is_loopback(conf.ofp_listen_host)
    if tls and ca is None:
        LOG.warning("OpenFlow over TLS without --ca-certs: any host that reaches the port can pose as a switch")
    elif not tls and reachable:
        LOG.warning("OpenFlow on %s is without TLS: any host that reaches the port can pose as a switch", conf.ofp_listen_host)
    elif tls and reachable and not named:
        LOG.info("a switch's certificate is good for every switch (--vmmob-switch_certificates named binds each to its own)")


def bears_name(connection: Any, name: str) -> bool:
    """Whether the other side's certificate has this name: as a DNS name, or as the common name where it has no DNS name."""
    certificate: dict[str, Any] = getattr(connection, "getpeercert", dict)() or {}
    names = {value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"}
    common = {value for part in certificate.get("subject", ()) for kind, value in part if kind == "commonName"}
    return name in (names or common)
