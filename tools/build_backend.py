"""Build backend: setuptools' own, plus the start-up files in the root of the wheel.

A ``.pth`` must lie in the root of site-packages, beside the package and not inside it. setuptools has no setting for that,
and an editable install builds another kind of wheel than a normal one; adding the files to the finished wheel serves both
in the same way and touches nothing private of setuptools.

Every name of ``setuptools.build_meta`` is passed on; only the two hooks that make a wheel are wrapped.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

from setuptools import build_meta as _setuptools
from setuptools.build_meta import *  # noqa: F403  (the rest of the backend interface)

_SITE_FILES = Path(__file__).resolve().parent / "site"


def build_wheel(
    wheel_directory: str, config_settings: dict[str, Any] | None = None, metadata_directory: str | None = None
) -> str:
    """Build a wheel and add the start-up files. Returns the wheel's file name."""
    name = _setuptools.build_wheel(wheel_directory, config_settings, metadata_directory)
    _add_site_files(Path(wheel_directory, name))
    return name


def build_editable(
    wheel_directory: str, config_settings: dict[str, Any] | None = None, metadata_directory: str | None = None
) -> str:
    """Build an editable wheel and add the start-up files. Returns the wheel's file name."""
    name = _setuptools.build_editable(wheel_directory, config_settings, metadata_directory)
    _add_site_files(Path(wheel_directory, name))
    return name


def _add_site_files(wheel: Path) -> None:
    """Rewrite a wheel with the files of tools/site in its root and in its RECORD (PEP 427)."""
    added = {path.name: path.read_bytes() for path in sorted(_SITE_FILES.iterdir()) if path.suffix in {".pth", ".start"}}
    if not added:
        message = f"no start-up files in {_SITE_FILES}"
        raise FileNotFoundError(message)
    rebuilt = wheel.with_suffix(".tmp")
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(rebuilt, "w", zipfile.ZIP_DEFLATED) as new:
        for item in old.infolist():
            content = old.read(item)
            if item.filename.endswith(".dist-info/RECORD"):
                content += _record_lines(added)
            new.writestr(item, content)
        stamp = old.infolist()[0].date_time
        for name, content in added.items():
            entry = zipfile.ZipInfo(name, stamp)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(entry, content)
    rebuilt.replace(wheel)


def _record_lines(files: dict[str, bytes]) -> bytes:
    """Return the RECORD lines of some files: name, SHA-256 in URL-safe base64 without padding, size in bytes."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        writer.writerow((name, f"sha256={digest}", len(content)))
    return out.getvalue().encode()
