"""``POST /v1/backup``: a copy of the store while the controller runs."""

from __future__ import annotations

import os
import tempfile
from typing import Annotated, Final

from pydantic import WithJsonSchema

from ryu_vmmob.rest.call import Answer, Call, Raw
from ryu_vmmob.rest.operations import Operation
from ryu_vmmob.rest.routes import Route
from ryu_vmmob.store.backup import complete
from ryu_vmmob.store.base import StoreError

MEDIA_TYPE: Final = "application/vnd.sqlite3"
"""Registered with IANA."""
_Copy = Annotated[bytes, WithJsonSchema({"type": "string", "contentMediaType": MEDIA_TYPE})]


def backup(call: Call) -> Answer:
    """Return a copy of the store, of one moment, checked: a file that a controller can be started on."""
    try:
        with tempfile.TemporaryDirectory(prefix="vmmob-backup-") as folder:
            path = os.path.join(folder, "vmmob.db")
            call.engine.backup(path)
            return Answer(200, Raw(call.services.aside(lambda: _checked(path)), MEDIA_TYPE))
    except OSError as error:
        raise StoreError(f"a copy cannot be kept for the moment: {error.strerror or error}") from error


def _checked(path: str) -> bytes:
    complete(path)
    with open(path, "rb") as file:
        return file.read()


ROUTES: Final = (Route("POST", "/v1/backup", backup, Operation("backup", "Controller", {200: _Copy}), media=(MEDIA_TYPE,)),)
