"""The dashboard's files: served without a token, under headers that let a browser load nothing else."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from webob import Request, Response

from ryu_vmmob.rest import dashboard
from tests.support.rest_service import Service

FOLDER = Path(dashboard.__file__).parent
FILES = sorted(path for path in FOLDER.rglob("*") if path.suffix in (".js", ".css", ".svg", ".txt"))


FORBIDDEN = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|https?://"
"""Ways by which text becomes markup or code, and addresses elsewhere."""


def ask(path: str, method: str = "GET", **headers: str) -> Response:
    request = Request.blank(path, method=method)
    request.headers.update(headers)
    return request.get_response(Service().app)


def address(path: Path) -> str:
    return f"/dashboard/{path.relative_to(FOLDER).as_posix()}"


def test_the_page_needs_no_token_and_whatever_it_shows_does() -> None:
    page = ask("/", Accept="text/html")
    assert page.status_code == 200
    assert page.content_type == "text/html"
    assert page.charset == "UTF-8"
    assert ask("/v1/fabric").status_code == 401


@pytest.mark.parametrize("path", [*dashboard.PAGES.values(), *map(address, FILES)])
def test_every_file_comes_with_its_type_and_the_policy(path: str) -> None:
    answer = ask(path)
    assert answer.status_code == 200
    assert answer.content_type == {
        "": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml", "txt": "text/plain"
    }[path.rpartition(".")[2] if "." in path else ""]  # fmt: skip
    policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-cache"
    again = ask(path, **{"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    assert again.body == b""
    head = ask(path, "HEAD")
    assert head.status_code == 200
    assert head.body == b""
    assert head.content_length == len(answer.body)


@pytest.mark.parametrize("path", ["/dashboard/", "/dashboard/nothing.js", "/dashboard/../app.py", "/dashboard/__init__.py",
                                  "/dashboard/vendor", "/dashboard/%2e%2e/auth.py", "/dashboard/index.html",
                                  "/dashboard/docs.html"])  # fmt: skip
def test_nothing_else_is_served(path: str) -> None:
    answer = ask(path)
    assert answer.status_code == 404
    assert answer.content_type == "application/problem+json"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_files_are_only_read(method: str) -> None:
    answer = ask("/", method)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, HEAD"


def test_nothing_is_loaded_from_anywhere_else_and_nothing_is_inline() -> None:
    known = {*dashboard.PAGES.values(), *map(address, FILES)}
    for name in dashboard.PAGES:
        page = (FOLDER / name).read_text()
        for found in re.findall(r'(?:src|href)="([^"#][^"]*)"', page):
            assert found in known, found
        assert not re.search(r"<style|<script(?![^>]*\bsrc=)|\sstyle=|\son\w+=", page)
    for path in FILES:
        if path.suffix == ".js" and path.parent == FOLDER:
            text = path.read_text()
            for found in re.findall(r'from "\./([^"]+)"', text):
                assert (FOLDER / found).is_file(), (path.name, found)
            assert not re.search(FORBIDDEN, text), path.name


def test_the_foreign_code_is_what_is_written_down() -> None:
    said = (FOLDER / "vendor" / "VERSIONS.txt").read_text()
    digests = {name: digest for digest, name in re.findall(r"^sha256: (\S+)  (\S+)$", said, re.M)}
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (FOLDER / "vendor").iterdir()}
    del found["VERSIONS.txt"]
    assert found == digests
