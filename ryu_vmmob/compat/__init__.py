"""Everything that Ryu 4.34 needs to run safely on a current Python, and nothing else.

Ryu 4.34 is the last release of a project that is no longer maintained. Five things of it do not stand:

* ``already_handled``: it imports a name that current eventlet no longer has, so ``ryu-manager`` does not start;
* ``parse_guard``: one short malformed message makes its parser loop for ever, before any authentication;
* ``tls_server``: its TLS server loses its certificate with the first connection, so only one switch ever gets in;
* ``connections``: a peer that says the right thing at the wrong time makes its handlers raise, and too many connections make
  it stop to listen for ever;
* ``eventlet_notice``: eventlet prints a notice to its own developers on each start.

A sixth part, ``options``, mends nothing: the stock manager reads the command line before it loads an application, so our
options are registered (`ryu_vmmob.options`, function ``register``) as soon as the manager's module is there. A seventh,
``logs``, has the manager log in JSON from its first line when our option ``log_format`` says so.

Each is a *part*. A part belongs to one module of Ryu or eventlet and is applied when that module loads, by a finder on
``sys.meta_path`` (`ryu_vmmob.compat.startup`). A start-up file of the installed package puts the finder in place, so the
stock ``ryu-manager`` has the parts too; our own command and `ryu_vmmob.ryu_api` call `apply`.

Importing this package imports neither Ryu nor eventlet: it is loaded in every Python process of the environment.

Each part can be left out with the environment variable ``RYU_VMMOB_COMPAT_OFF`` (part names with commas, or ``all``): that is
how the tests show each fault, and how a user can find out whether a part is to blame for something.
"""

from ryu_vmmob.compat.startup import CompatError, OtherRyuError, apply, install
from ryu_vmmob.compat.state import PartStatus, Refusals, drop_unwanted, raw_multipart, refusals, set_parse_limit

__all__ = [
    "CompatError",
    "OtherRyuError",
    "PartStatus",
    "Refusals",
    "apply",
    "drop_unwanted",
    "install",
    "raw_multipart",
    "refusals",
    "set_parse_limit",
    "status",
]


def status() -> list[PartStatus]:
    """Return what each part is for here: (name, needed, active, why). Imports Ryu and probes it; takes about 0.1 s."""
    from ryu_vmmob.compat.doctor import examine

    return examine()
