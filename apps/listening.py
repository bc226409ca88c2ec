"""A test of the listening ports before Ryu opens them, because Ryu's own errors say too little.

A REST port that is taken would end Ryu with a traceback; of an OpenFlow port it only logs one, and goes on deaf. And two
controllers of one user could listen on the same port (eventlet asks for SO_REUSEPORT), with the switches dealt out among them.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any

from ryu.lib import ip
from ryu.ofproto import ofproto_common

from ryu_vmmob.options import OptionError


def refuse_taken_ports(conf: Any) -> None:
    """Raise OptionError when Ryu, with its options ``conf``, could not listen for switches or for REST."""
    for what, host, port in _wanted(conf):
        family = socket.AF_INET6 if ip.valid_ipv6(host) else socket.AF_INET
        with socket.socket(family) as trial:
            # Connections of a controller that has just ended block no start.
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind((host, port))
            except OSError as error:
                where = f"port {port} of {host or 'any address'}"
                raise OptionError(f"{what} cannot listen on {where}: {error.strerror}") from error


def _wanted(conf: Any) -> Iterator[tuple[str, str, int]]:
    """Yield (what for, host, port) as Ryu will take them; a path instead of a host is a Unix socket, which is left to Ryu."""
    tls = conf.ctl_privkey is not None and conf.ctl_cert is not None
    port = conf.ofp_ssl_listen_port if tls else conf.ofp_tcp_listen_port
    if not conf.ofp_ssl_listen_port and not conf.ofp_tcp_listen_port:
        port = ofproto_common.OFP_SSL_PORT if tls else ofproto_common.OFP_TCP_PORT
    for what, host, number in (("OpenFlow", conf.ofp_listen_host, port), ("REST", conf.wsapi_host, conf.wsapi_port)):
        if number and not os.path.isdir(os.path.dirname(host)):
            yield what, host, number
