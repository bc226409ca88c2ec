"""Build backend: setuptools' own, plus three things in the finished wheel that setuptools has no setting for.

* The start-up files of ``tools/site``. A ``.pth`` must lie in the root of site-packages, beside the package and not inside it.
* Ryu 4.34 itself, from ``tools/vendor``. PyPI has Ryu as source alone, and that source does not build with setuptools 68 or
  later, so a wheel that requires it does not install. Ryu is pure Python: its files are copied byte for byte, without its
  tests, into a folder of their own. A ``.pth`` appends this folder to the module path, behind site-packages: a Ryu that the
  user installed comes first.
* The files of ``etc/``, which ``vmmob init`` writes, as ``ryu_vmmob/share``. An editable install reads them in the checkout.

An editable install builds another kind of wheel than a normal one; adding the files to the finished wheel serves both.
Every name of ``setuptools.build_meta`` is passed on; only the two hooks that make a wheel are wrapped.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

from setuptools import build_meta as _setuptools
from setuptools.build_meta import *  # noqa: F403  (the rest of the backend interface)

_HERE = Path(__file__).resolve().parent
_SHARED = _HERE.parent / "etc"
_SITE_FILES = _HERE / "site"

RYU_VERSION = "4.34"
RYU_ARCHIVE = _HERE / "vendor" / f"ryu-{RYU_VERSION}.tar.gz"
RYU_SHA256 = "a31041eb53aee0c36ca428645ad2607163ca5e1390f5a3d6ef2025b7829ce93e"
"""Digest of the archive as PyPI has it."""
RYU_FOLDER = "ryu_vmmob_ryu"
"""Folder in site-packages that Ryu lies in; ``tools/site/ryu_vmmob_ryu.pth`` and `ryu_vmmob.compat.startup` name it too."""


def build_wheel(
    wheel_directory: str, config_settings: dict[str, Any] | None = None, metadata_directory: str | None = None
) -> str:
    """Build a wheel and add the files. Returns the wheel's file name."""
    name = _setuptools.build_wheel(wheel_directory, config_settings, metadata_directory)
    _add(Path(wheel_directory, name), {**_site_files(), **_ryu_files(), **_shared_files()})
    return name


def build_editable(
    wheel_directory: str, config_settings: dict[str, Any] | None = None, metadata_directory: str | None = None
) -> str:
    """Build an editable wheel and add the files. Returns the wheel's file name."""
    name = _setuptools.build_editable(wheel_directory, config_settings, metadata_directory)
    _add(Path(wheel_directory, name), {**_site_files(), **_ryu_files()})
    return name


def _site_files() -> dict[str, bytes]:
    """Return the start-up files by their name in the wheel."""
    found = {path.name: path.read_bytes() for path in sorted(_SITE_FILES.iterdir()) if path.suffix in {".pth", ".start"}}
    if not found:
        message = f"no start-up files in {_SITE_FILES}"
        raise FileNotFoundError(message)
    return found


def _shared_files() -> dict[str, bytes]:
    """Return the files of ``etc/`` by their name in the wheel."""
    files = (path for path in sorted(_SHARED.rglob("*")) if path.is_file() and path.suffix != ".pyc")
    return {f"ryu_vmmob/share/{path.relative_to(_SHARED)}": path.read_bytes() for path in files}


def _ryu_files() -> dict[str, bytes]:
    """Return Ryu's package and its metadata by their names in the wheel. Raises ValueError for another archive than PyPI's."""
    content = RYU_ARCHIVE.read_bytes()
    if hashlib.sha256(content).hexdigest() != RYU_SHA256:
        message = f"{RYU_ARCHIVE} is not the archive that PyPI has"
        raise ValueError(message)
    top, information = f"ryu-{RYU_VERSION}/", f"{RYU_FOLDER}/ryu-{RYU_VERSION}.dist-info"
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            name = member.name.removeprefix(top)
            file = archive.extractfile(member) if member.isfile() else None
            if file is None:
                continue
            if name.startswith("ryu/") and not name.startswith("ryu/tests/"):
                found[f"{RYU_FOLDER}/{name}"] = file.read()
            elif name == "LICENSE":
                found[f"{information}/LICENSE"] = file.read()
            elif name == "PKG-INFO":
                found[f"{information}/METADATA"] = file.read()
    # No RECORD: these files are in the RECORD of our own wheel, and `pip uninstall ryu` must not take them away.
    found[f"{information}/INSTALLER"] = b"ryu-vmmob\n"
    return dict(sorted(found.items()))


def _add(wheel: Path, added: dict[str, bytes]) -> None:
    """Rewrite a wheel with more files, also in its RECORD (PEP 427)."""
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
