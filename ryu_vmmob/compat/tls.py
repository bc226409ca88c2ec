"""A TLS server for any number of switches.

Ryu 4.34 takes the certificate out of its own arguments when the first switch connects; every later one fails with "no
shared cipher". It also speaks whatever the TLS library still allows. Here the context is made once, before the first
connection, with TLS 1.2 as the least, and a client certificate is required when a CA is given.
"""

from __future__ import annotations

import logging
import ssl
import sys
from types import CodeType, ModuleType
from typing import Any

from ryu_vmmob.logs import Sparing

LOG = logging.getLogger(__name__)
_REFUSED = Sparing(LOG)

HANDSHAKE_SECONDS = 10.0
"""How long a peer may take for the TLS handshake, so that idle connections do not pile up."""


def is_needed(server_class: type) -> bool:
    """Whether a ``StreamServer`` takes its TLS arguments apart on each connection (Ryu 4.34 and older)."""
    code: CodeType = server_class.__init__.__code__  # type: ignore[misc]
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return any("pop" in c.co_names and "wrap_socket" in c.co_names for c in inner)


def server_context(certfile: str, keyfile: str, ca_certs: str | None) -> ssl.SSLContext:
    """Make the context of a TLS server; file names of PEM files. Raises OSError or ssl.SSLError if one is not usable."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certfile, keyfile)
    if ca_certs is not None:
        context.load_verify_locations(ca_certs)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def handshake(context: ssl.SSLContext, sock: Any, seconds: float, hub: Any) -> Any:
    """Return the server's side of a TLS handshake on a connected socket of Ryu's hub, as a secured socket without a time limit.

    ``seconds`` are for the whole of it, so that a peer cannot draw it out byte by byte. When it fails, the descriptor is given
    back: the secured socket takes it over before the handshake, so closing ``sock`` alone would leave it open. Raises OSError
    (which ssl.SSLError and a time-out are) or EOFError.
    """
    secured = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
    timer = hub.Timeout(seconds, TimeoutError("timed out"))
    try:
        secured.do_handshake()
    except BaseException:
        secured.close()
        raise
    finally:
        timer.cancel()
    return secured


def replace_server(hub: ModuleType) -> str:
    """Replace ``ryu.lib.hub.StreamServer``; returns what was done."""
    stock = getattr(hub, "StreamServer", None)
    if stock is None:
        return "this hub has no StreamServer"
    if not is_needed(stock):
        return "this Ryu keeps its TLS context"

    class StreamServer(stock):  # type: ignore[misc, valid-type]
        """Ryu's server; with TLS, one context for all connections."""

        def __init__(self, listen_info: Any, handle: Any = None, backlog: Any = None, **kwargs: Any) -> None:
            certfile = kwargs.pop("certfile", None)
            if certfile is None:
                super().__init__(listen_info, handle, backlog, **kwargs)
                return
            context = server_context(certfile, kwargs.pop("keyfile"), kwargs.pop("ca_certs", None))
            super().__init__(listen_info, handle, backlog, spawn=kwargs.pop("spawn", "default"))

            def handshake_and_handle(sock: Any, address: Any) -> None:
                try:
                    secured = handshake(context, sock, HANDSHAKE_SECONDS, hub)
                except (OSError, EOFError) as error:
                    _REFUSED("TLS connection from %s refused: %s", address, error)
                    sock.close()
                    return
                try:
                    handle(secured, address)
                except ValueError:
                    # What Python says of reading from a TLS socket that we have closed. Of any other it says OSError, which
                    # Ryu expects.
                    if secured.fileno() != -1:
                        raise

            self.handle = handshake_and_handle

    hub.StreamServer = StreamServer  # type: ignore[attr-defined]
    controller = sys.modules.get("ryu.controller.controller")
    if controller is not None:  # it has taken the name already
        controller.StreamServer = StreamServer  # type: ignore[attr-defined]
    return "one TLS context for all switches, TLS 1.2 or newer"
