"""The token file: the tokens, their names and their roles.

One token a line: ``operator TOKEN NAME`` or ``reader TOKEN NAME`` (the name may be left out), or the token alone, which is an
operator's. Empty lines and lines that begin with ``#`` say nothing. Only its owner may read the file.

Of a token nothing but its digest is kept, so it can come into no log and no traceback.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import dataclass, field
from enum import StrEnum
from os import PathLike, fspath
from typing import Final

from ryu_vmmob.fabric.findings import NAME

SHORTEST_SAFE: Final = 20
"""Characters. A shorter token may be guessed; base64 of 16 bytes has 22."""
LARGEST_FILE: Final = 2**20
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""RFC 6750, section 2.1."""


class TokenFileError(ValueError):
    """A token file that cannot be used; the text names the file, the line and the rule, and never a token."""


class TokenRole(StrEnum):
    """The role of a token."""

    READER = "reader"
    """To see everything and change nothing."""
    OPERATOR = "operator"
    """To do everything."""


@dataclass(frozen=True)
class Token:
    """One token: ``name`` is what the log calls who holds it."""

    name: str
    role: TokenRole
    digest: bytes = field(repr=False)
    is_short: bool = False


def digest(token: str) -> bytes:
    """Return what is kept of a token, and compared."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def read_tokens(path: str | PathLike[str]) -> tuple[Token, ...]:
    """Return the tokens in a file, at least one. Raises TokenFileError."""
    return _parse(fspath(path), _read(fspath(path)))


class TokenFile:
    """A token file that may change while we run: it is read for every request, so what is new or withdrawn counts at once."""

    def __init__(self, path: str | PathLike[str]) -> None:
        """Raise TokenFileError."""
        self.path: Final = fspath(path)
        self._data = _read(self.path)
        self._tokens = _parse(self.path, self._data)

    def tokens(self) -> tuple[Token, ...]:
        """Return the tokens as the file has them now. Raises TokenFileError; then every request is refused."""
        data = _read(self.path)
        if data != self._data:
            self._tokens = _parse(self.path, data)
            self._data = data
        return self._tokens


def _read(name: str) -> bytes:
    try:
        with open(name, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise TokenFileError(f"token file {name}: is no ordinary file")
            if status.st_mode & 0o077:
                raise TokenFileError(f"token file {name}: others than its owner may use it (chmod 600 it)")
            if status.st_uid not in (0, os.geteuid()):
                raise TokenFileError(f"token file {name}: belongs to another user than the controller's and root")
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise TokenFileError(f"token file {name}: {error.strerror}") from error
    if len(data) > LARGEST_FILE:
        raise TokenFileError(f"token file {name}: has more than {LARGEST_FILE} bytes")
    return data


def _parse(name: str, data: bytes) -> tuple[Token, ...]:
    try:
        lines = data.decode("ascii").splitlines()
    except ValueError:
        # Without the cause: it would quote what is in the file.
        raise TokenFileError(f"token file {name}: not ASCII text") from None
    found: dict[bytes, Token] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            token = _token(line.split(), number)
        except ValueError as error:
            raise TokenFileError(f"token file {name}, line {number}: {error}") from None
        if token.digest in found:
            first = found[token.digest].name
            raise TokenFileError(f"token file {name}, line {number}: the token of {first} stands there again")
        found[token.digest] = token
    if not found:
        raise TokenFileError(f"token file {name}: it holds no token")
    return tuple(found.values())


def _token(words: list[str], number: int) -> Token:
    """Return the token of one line. Raises ValueError, which quotes nothing of it."""
    roles = {role.value: role for role in TokenRole}
    role = roles.get(words[0])
    if role is None:
        if len(words) > 1:
            raise ValueError("begins with neither reader nor operator, and a token alone is one word")
        role, words = TokenRole.OPERATOR, [TokenRole.OPERATOR, *words]
    if len(words) == 1:
        raise ValueError("a role without a token")
    if len(words) > 3:
        raise ValueError("more than a role, a token and a name")
    text, name = words[1], words[2] if len(words) == 3 else f"line-{number}"
    if _TOKEN.fullmatch(text) is None:
        raise ValueError("a token has letters, digits and -._~+/ with = at the end only")
    if NAME.fullmatch(name) is None:
        raise ValueError("a name has letters, digits, dots, underscores and hyphens, at most 63, the first a letter or digit")
    return Token(name, role, digest(text), len(text) < SHORTEST_SAFE)
