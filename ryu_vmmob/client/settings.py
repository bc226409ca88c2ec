"""Which controller, and with which token: what the settings file and the token file say."""

from __future__ import annotations

import os
import stat
from configparser import ConfigParser
from configparser import Error as ParseError
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Final

from ryu_vmmob.client.errors import ClientError

SYSTEM_FILE: Final = Path("/etc/vmmob/client.conf")
SECTION: Final = "controller"
_KEYS: Final = ("url", "token", "token_file", "ca")
_ROLES: Final = ("reader", "operator")
"""Words that may stand before a token in the controller's own token file."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The content of a settings file; None where a key is missing."""

    url: str | None = None
    token: str | None = None
    token_file: str | None = None
    ca: str | None = None


def user_file() -> Path:
    """Return the user's own settings file (XDG base directories)."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "vmmob" / "config"


def read_settings(file: str | PathLike[str] | None = None) -> Settings:
    """Return the settings of ``file``; without one, of the user's own file, or else of `SYSTEM_FILE`, as far as there is one.

    INI, one section ``[controller]`` with ``url``, ``token`` or ``token_file``, ``ca``. Raises ClientError when it cannot be
    read, says anything else, or holds a token and others may read it.
    """
    if file is not None:
        return _settings(fspath(file))
    for place in (user_file(), SYSTEM_FILE):
        if os.path.lexists(place):
            return _settings(fspath(place))
    return Settings()


def _settings(name: str) -> Settings:
    text, mode_fault = _read("settings file", name)
    parser = ConfigParser(interpolation=None, strict=True)
    try:
        parser.read_string(text)
    except ParseError as error:
        # The library's own words quote the line, in which there may be a token.
        line = getattr(error, "lineno", None) or next((row[0] for row in getattr(error, "errors", ())), None)
        where = "" if line is None else f", line {line}"
        raise ClientError(f"settings file {name}{where}: it must be [{SECTION}] and lines NAME = VALUE, each once") from None
    for section in (*parser.sections(), *(["DEFAULT"] if parser.defaults() else [])):
        if section != SECTION:
            raise ClientError(f"settings file {name}: section [{section}] is not known, only [{SECTION}]")
    found = dict(parser[SECTION]) if parser.has_section(SECTION) else {}
    for key, value in found.items():
        if key not in _KEYS:
            raise ClientError(f"settings file {name}: {key} is not known, only {', '.join(_KEYS)}")
        if not value:
            raise ClientError(f"settings file {name}: {key} says nothing")
    if "token" in found and "token_file" in found:
        raise ClientError(f"settings file {name}: token and token_file exclude each other")
    if "token" in found and mode_fault is not None:
        raise ClientError(f"settings file {name}: it holds a token, and {mode_fault}")
    folder = os.path.dirname(name)
    for key in ("token_file", "ca"):
        if key in found:
            found[key] = os.path.join(folder, os.path.expanduser(found[key]))
    return Settings(**found)


def read_token(file: str | PathLike[str]) -> str:
    """Return the first token of a token file (one a line, after ``reader`` or ``operator`` if that stands there; lines with #
    say nothing). Raises ClientError when there is none, or when others than the user and root may read the file.
    """
    name = fspath(file)
    text, fault = _read("token file", name)
    if fault is not None:
        raise ClientError(f"token file {name}: {fault}")
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            words = line.split()
            return words[1] if words[0] in _ROLES and len(words) > 1 else words[0]
    raise ClientError(f"there is no token in {name}")


def _read(kind: str, name: str) -> tuple[str, str | None]:
    """Text of a file, and what is wrong with who may use it, for a file that holds a secret."""
    try:
        with open(name, encoding="utf-8") as file:
            status = os.fstat(file.fileno())
            text = file.read()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ClientError(f"{kind} {name} cannot be read: {reason}") from None
    if not stat.S_ISREG(status.st_mode):
        return text, None  # a pipe, as a shell makes for <(command): no other process has it
    if status.st_mode & 0o077:
        return text, "others than its owner may use it (chmod 600 it)"
    if status.st_uid not in (0, os.geteuid()):
        return text, "it belongs to another user"
    return text, None
