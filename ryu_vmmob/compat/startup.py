"""Applies each part when the module it belongs to is loaded, and never earlier.

`install` is what the start-up file calls in every Python process of the environment. It must therefore be cheap (it imports
nothing but ``sys`` and ``os``), must not import eventlet or Ryu, and must not break a program that has nothing to do with
us. Programs that load neither eventlet nor Ryu pay one dictionary look-up for an import.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

OFF_VARIABLE = "RYU_VMMOB_COMPAT_OFF"

RYU_VERSION = "4.34"
RYU_FOLDER = "ryu_vmmob_ryu"
"""Beside the installed package: Ryu 4.34 as the wheel brings it (tools/build_backend.py)."""

APPLIED: dict[str, str] = {}
"""Part name to what was done; a part that is not here is not active."""


class CompatError(RuntimeError):
    """A part of the compatibility layer could not be applied."""


class OtherRyuError(CompatError):
    """Another version of Ryu than the one that the parts are for is installed, and comes first."""


def _already_handled(wsgi: ModuleType) -> str:
    """Give back the name that ``ryu.app.wsgi`` imports; eventlet 0.30.3 dropped it."""
    if hasattr(wsgi, "ALREADY_HANDLED"):
        return "eventlet.wsgi has the name"
    # Current eventlet has another signal for the same thing, and Ryu's WebSockets close properly with an empty answer.
    wsgi.ALREADY_HANDLED = []  # type: ignore[attr-defined]
    return "added the name to eventlet.wsgi"


def _eventlet_notice(_hub: ModuleType | None) -> str:
    """Filter the notice that eventlet is deprecated; only in programs that load Ryu's hub, which has no other choice."""
    import warnings

    warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
    return "filtered one warning"


def _parse_guard(parser: ModuleType) -> str:
    from ryu_vmmob.compat import guard

    return guard.wrap(parser)


def _connections(controller: ModuleType) -> str:
    from ryu_vmmob.compat import connections

    return connections.guard(controller)


def _tls_server(hub: ModuleType) -> str:
    from ryu_vmmob.compat import tls

    return tls.replace_server(hub)


def _options(manager: ModuleType) -> str:
    """Let the stock manager know our command-line options: it reads the command line before it loads any application."""
    from importlib import import_module

    try:
        options = import_module("ryu_vmmob.options")
    except ModuleNotFoundError as error:
        if error.name != "ryu_vmmob.options":
            raise
        return "there are no options"
    options.register(manager.CONF)
    return "registered the options of group vmmob"


def _logs(manager: ModuleType) -> str:
    """Have the manager's own first lines in the form that our option asks for. Without the option nothing changes."""
    from ryu_vmmob import logs

    def wanted() -> str | None:
        form = manager.CONF.vmmob.log_format if "vmmob" in manager.CONF else None
        return form if form == logs.JSON and not manager.CONF.log_config_file else None

    manager.log.init_log = logs.follow(manager.log.init_log, wanted)
    return "the log's form follows the option log_format"


# part name, module it belongs to
BEFORE: dict[str, tuple[str, Callable[[ModuleType | None], str]]] = {
    "eventlet_notice": ("ryu.lib.hub", _eventlet_notice),
}
AFTER: dict[str, tuple[str, Callable[[ModuleType], str]]] = {
    "already_handled": ("eventlet.wsgi", _already_handled),
    "parse_guard": ("ryu.ofproto.ofproto_parser", _parse_guard),
    "tls_server": ("ryu.lib.hub", _tls_server),
    "connections": ("ryu.controller.controller", _connections),
    "options": ("ryu.cmd.manager", _options),
    "logs": ("ryu.cmd.manager", _logs),
}
_MODULES = frozenset(module for module, _ in (*BEFORE.values(), *AFTER.values()))


def switched_off(part: str) -> bool:
    """Whether the user left a part out by the environment variable."""
    off = os.environ.get(OFF_VARIABLE, "").replace(" ", "").split(",")
    return part in off or "all" in off


def _run_before(module_name: str) -> None:
    for part, (owner, hook) in BEFORE.items():
        if owner == module_name and part not in APPLIED and not switched_off(part):
            APPLIED[part] = hook(None)


def _run_after(module_name: str, module: ModuleType) -> None:
    for part, (owner, hook) in AFTER.items():
        if owner == module_name and part not in APPLIED and not switched_off(part):
            APPLIED[part] = hook(module)


class _PartFinder:
    """Finds nothing itself: takes what the other finders find and hangs the parts on its loading."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in _MODULES:
            return None
        for finder in sys.meta_path:
            if finder is self:
                continue
            find_spec = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = find_spec(name, path, target) if find_spec else None
            if spec is not None:
                _hang_on(spec)
                return spec
        return None


def _hang_on(spec: ModuleSpec) -> None:
    """Run the parts around the execution of one module.

    The loader keeps its type, which other code may ask for; only this one instance runs another ``exec_module``, once.
    """
    loader = spec.loader
    if loader is None:
        return
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        loader.__dict__.pop("exec_module", None)
        _guarded(lambda: _run_before(spec.name))
        execute(module)
        _guarded(lambda: _run_after(spec.name, module))

    loader.exec_module = exec_module  # type: ignore[method-assign]


def _guarded(run: Callable[[], None]) -> None:
    """Warn of a part that fails, and go on: it must not take down a program that only happens to share the environment.

    Our own programs call `apply`, which does raise.
    """
    try:
        run()
    except Exception as error:  # any fault at all: see above
        import warnings

        warnings.warn(f"ryu-vmmob: a compatibility part was not applied: {error!r}", RuntimeWarning, stacklevel=3)


def install() -> None:
    """Put the finder in place; the second call does nothing."""
    if not any(isinstance(finder, _PartFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _PartFinder())


def provide_ryu() -> None:
    """Append the Ryu of the wheel to the module path where no Ryu is found: start-up files count in site-packages alone."""
    from importlib.util import find_spec

    if find_spec("ryu") is None:
        beside = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        if os.path.isdir(folder := os.path.join(beside, RYU_FOLDER)):
            sys.path.append(folder)


def apply() -> None:
    """Apply every part: at once where its module is loaded already, else when it loads.

    Raises CompatError, naming the parts, if one could not be applied, and OtherRyuError for another Ryu than 4.34.
    Idempotent.
    """
    provide_ryu()
    install()
    ryu = sys.modules.get("ryu")
    if ryu is not None and ryu.version != RYU_VERSION:
        found = os.path.dirname(ryu.__file__ or "")
        raise OtherRyuError(f"Ryu {ryu.version} is installed in {found}: only Ryu {RYU_VERSION} will do; pip uninstall ryu")
    failed: list[str] = []
    for module_name in _MODULES:
        module = sys.modules.get(module_name)
        if module is None:
            continue
        try:
            _run_before(module_name)
            _run_after(module_name, module)
        except Exception as error:  # reported below
            failed.append(f"{module_name}: {error!r}")
    if failed:
        message = "compatibility with Ryu 4.34 cannot be established: " + "; ".join(failed)
        raise CompatError(message)
