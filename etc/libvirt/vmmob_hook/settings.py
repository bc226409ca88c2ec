"""hook.conf: what the hook wants to know, read without a library because most calls end after it."""

import os
import socket
import stat

DEFAULTS = {
    "url": "http://127.0.0.1:8080",
    "server": "",
    "token_file": "",
    "ca": "",
    "guest": "name",
    "timeout": "10",
    "move_timeout": "3600",
    "on_failure": "closed",
    "cold_moves": "no",
}
CHOICES = {"guest": ("name", "uuid"), "on_failure": ("closed", "open"), "cold_moves": ("yes", "no")}


class Failure(Exception):
    """The controller cannot be asked, or cannot do it now; the text is one sentence."""


class Refused(Failure):
    """The controller, or a rule of the hook, says no."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


def _rows(file):
    """(section, key, value) of each setting. Raises Failure."""
    section = None
    try:
        with open(file, encoding="utf-8") as stream:
            lines = stream.read().splitlines()
    except OSError as error:
        raise Failure("%s: %s" % (file, error.strerror))
    except ValueError:
        lines = ["not text"]
    rows = []
    for line in (row.strip() for row in lines):
        if not line or line[0] in "#;":
            continue
        if line[0] == "[" and line[-1] == "]":
            section = line[1:-1].strip()
            rows.append((section, None, None))
            continue
        key, equals, value = line.partition("=")
        if not equals or section is None:
            raise Failure("%s: it must be [vmmob] and lines NAME = VALUE" % file)
        rows.append((section, key.strip().lower(), value.strip()))
    return rows


class Setup(dict):
    """What hook.conf says, one value for each key of DEFAULTS. Raises Failure."""

    def __init__(self, file):
        super().__init__(DEFAULTS)
        rows = _rows(file)
        if {section for section, _, _ in rows} != {"vmmob"}:
            raise Failure("%s: there must be one section, [vmmob]" % file)
        for _, key, value in rows:
            if key is None:
                continue
            if key not in DEFAULTS:
                raise Failure("%s: %s is not known, only %s" % (file, key, ", ".join(DEFAULTS)))
            self[key] = value
        for key, choices in CHOICES.items():
            if self[key] not in choices:
                raise Failure("%s: %s must be one of %s" % (file, key, ", ".join(choices)))
        for key, most in (("timeout", 60), ("move_timeout", 86400)):
            try:
                self[key] = float(self[key])
            except ValueError:
                self[key] = 0.0
            if not 0 < self[key] <= most:
                raise Failure("%s: %s must be a number of seconds above 0, at most %d" % (file, key, most))
        self["server"] = self["server"] or socket.gethostname().split(".")[0]

    def token(self):
        """Return the token, None where none is configured. Raises Failure."""
        name = self["token_file"]
        if not name:
            return None
        try:
            with open(name, encoding="ascii") as file:
                status = os.fstat(file.fileno())
                lines = [line.split() for line in file]
        except (OSError, ValueError) as error:
            raise Failure("token file %s: %s" % (name, getattr(error, "strerror", None) or "not ASCII text"))
        if stat.S_ISREG(status.st_mode) and (status.st_mode & 0o077 or status.st_uid not in (0, os.geteuid())):
            raise Failure("token file %s: others than its owner may use it (chmod 600 it)" % name)
        for words in lines:
            if words and not words[0].startswith("#"):
                return words[1] if words[0] in ("operator", "reader") and len(words) > 1 else words[0]
        raise Failure("token file %s: it holds no token" % name)
