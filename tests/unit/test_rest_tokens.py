"""Tokens with roles: the file they come from, what each may do, what is written down, and what never is."""

from __future__ import annotations

import hmac
import logging
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from webob import Request

from ryu_vmmob.rest.app import ROUTES
from ryu_vmmob.rest.tokens import TokenFileError, TokenRole, digest, read_tokens
from tests.support.rest_service import TOKEN, WEB, Service, problem

READER = "cmVhZGVyLW9mLW1ldHJpY3M"
OPERATOR = "b3BlcmF0b3Itb2YtY2xvdWQ"


@pytest.fixture
def service() -> Service:
    """An operator called cloud and a reader called prometheus."""
    return Service(tokens=(f"operator {OPERATOR} cloud", f"reader {READER} prometheus"))


def ask(service: Service, token: str, method: str, path: str, body: Any = None) -> Any:
    return service.ask(method, path, body, Authorization=f"Bearer {token}")


def token_file(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "token"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


# The file


def test_lines(tmp_path: Path) -> None:
    lines = ("# for the orchestrator", TOKEN, "", "  a.b-c_d~e+f/g==  ", f"reader {READER}", f"operator\t{OPERATOR} cloud")
    path = token_file(tmp_path, "\n".join(lines))
    rows = read_tokens(path)
    assert [(row.name, row.role) for row in rows] == [
        ("line-2", TokenRole.OPERATOR), ("line-4", TokenRole.OPERATOR), ("line-5", TokenRole.READER),
        ("cloud", TokenRole.OPERATOR),
    ]  # fmt: skip
    assert [row.digest for row in rows] == [digest(text) for text in (TOKEN, "a.b-c_d~e+f/g==", READER, OPERATOR)]
    assert [row.is_short for row in rows] == [True, True, False, False]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "holds no token"),
        ("# only words\n\n", "holds no token"),
        ("good\nsecret words\n", "line 2: begins with neither reader nor operator"),
        ("reader", "line 1: a role without a token"),
        ("reader secret! name", "line 1: a token has letters"),
        ("reader secret -name", "line 1: a name has letters"),
        ("reader secret name more", "line 1: more than a role"),
        ("Operator secret name", "line 1: begins with neither"),
        ("operator secret one\nreader secret two", "line 2: the token of one stands there again"),
        ("secret\xe4", "not ASCII"),
        ("secret\x00", "line 1: a token has letters"),
        ("x" * (2**20 + 1), "more than 1048576 bytes"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, text: str, fault: str) -> None:
    path = token_file(tmp_path, text)
    with pytest.raises(TokenFileError, match=fault) as caught:
        read_tokens(path)
    assert str(path) in str(caught.value)
    assert "secret" not in str(caught.value), "a token must not come into a log"
    assert caught.value.__cause__ is None


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TokenFileError, match="No such file"):
        read_tokens(tmp_path / "token")
    with pytest.raises(TokenFileError, match="directory"):
        read_tokens(tmp_path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o666])
def test_a_file_that_others_may_use(tmp_path: Path, mode: int) -> None:
    path = token_file(tmp_path, TOKEN, mode)
    with pytest.raises(TokenFileError, match="others than its owner") as caught:
        read_tokens(path)
    assert "chmod 600" in str(caught.value)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_file_for_its_owner_alone(tmp_path: Path, mode: int) -> None:
    assert read_tokens(token_file(tmp_path, TOKEN, mode))


def test_a_file_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = token_file(tmp_path, TOKEN)
    owner = path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    if owner == 0:
        assert read_tokens(path), "root's file is as good as one's own"
        real = os.fstat
        monkeypatch.setattr(os, "fstat", lambda number: _with_owner(real(number), 4711))
    with pytest.raises(TokenFileError, match="another user"):
        read_tokens(path)


def _with_owner(status: os.stat_result, owner: int) -> os.stat_result:
    fields = list(status)
    fields[stat.ST_UID] = owner
    return os.stat_result(fields)


# Roles


def test_a_reader_sees_everything_and_changes_nothing(service: Service) -> None:
    body_of = {"/v1/trace": {"from": {"vm": "web1"}, "to": {"ip": "10.1.0.12"}}}
    names = {"cug": "web", "vm": "web1", "policy": "p", "id": "m-1", "server": "srv-a1", "switch": "tor-a", "domain": "rack-a"}
    looked, refused = 0, 0
    for route in ROUTES:
        path = route.pattern.format(**names)
        answer = ask(service, READER, route.method, path, body_of.get(path, {} if route.body else None))
        if route.method == "GET" or path in body_of:
            assert answer.status_int not in (401, 403), (route, answer.text)
            looked += 1
        else:
            assert "reader" in problem(answer, 403), route
            assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
            refused += 1
    assert looked > 10
    assert refused > 10
    assert not service.engine.state.revision


def test_an_operator_changes(service: Service) -> None:
    assert ask(service, OPERATOR, "PUT", "/v1/cugs/web", WEB).status_int == 201
    assert ask(service, READER, "GET", "/v1/cugs/web").status_int == 200
    assert ask(service, READER, "HEAD", "/v1/cugs/web").status_int == 200
    problem(ask(service, READER, "DELETE", "/v1/cugs/web"), 403)
    assert ask(service, OPERATOR, "DELETE", "/v1/cugs/web").status_int == 204


def test_a_reader_is_refused_before_its_body_is_read(service: Service) -> None:
    class Unread:
        def read(self, size: int) -> bytes:
            raise AssertionError("the body was read")

    environ = {"CONTENT_LENGTH": "10", "CONTENT_TYPE": "application/json", "wsgi.input": Unread()}
    request = Request.blank("/v1/cugs/web", environ, method="PUT", headers={"Authorization": f"Bearer {READER}"})
    problem(request.get_response(service.app), 403)


# A change while we run


def test_a_new_token_counts_at_once_and_an_old_one_no_more(service: Service) -> None:
    for number in range(5):
        token = f"b3BlcmF0b3Itb2YtY2xvdW{number}"
        service.write_tokens(f"operator {token} cloud")
        problem(ask(service, OPERATOR, "GET", "/v1/cugs"), 401)
        assert ask(service, token, "GET", "/v1/cugs").status_int == 200
    service.write_tokens(f"reader {token} cloud")
    problem(ask(service, token, "PUT", "/v1/cugs/web", WEB), 403)


def test_a_file_that_goes_bad_opens_to_nobody(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    path = Path(service.token_file.name)
    path.chmod(0o644)
    for _ in range(3):
        assert OPERATOR not in problem(ask(service, OPERATOR, "GET", "/v1/cugs"), 503)
    assert len([row for row in caplog.messages if "every request is refused" in row]) == 1, "once, not with every request"
    assert Request.blank("/healthz").get_response(service.app).status_int == 200
    path.chmod(0o600)
    assert ask(service, OPERATOR, "GET", "/v1/cugs").status_int == 200
    service.write_tokens("not a token")
    problem(ask(service, OPERATOR, "GET", "/v1/cugs"), 503)
    service.write_tokens(OPERATOR)
    assert ask(service, OPERATOR, "GET", "/v1/cugs").status_int == 200


def test_every_token_is_compared(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.write_tokens(OPERATOR, *(f"reader {READER}{number}" for number in range(9)))
    compared = []
    real = hmac.compare_digest

    def noted(one: bytes, two: bytes) -> bool:
        compared.append(len(two))
        return real(one, two)

    monkeypatch.setattr(hmac, "compare_digest", noted)
    for token in (OPERATOR, f"{READER}8", "wrong", ""):
        compared.clear()
        ask(service, token, "GET", "/v1/cugs")
        assert compared == [32] * 10


# What is written down


def audit(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [row.getMessage() for row in caplog.records if row.name == "ryu_vmmob.audit"]


def test_who_changed_what_is_written_down(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    ask(service, OPERATOR, "PUT", "/v1/cugs/web", WEB)
    ask(service, READER, "DELETE", "/v1/cugs/web")
    ask(service, OPERATOR, "PUT", "/v1/cugs/web?wait=x", WEB)
    ask(service, OPERATOR, "DELETE", "/v1/cugs/web%0A2030-01-01%20all%20is%20well")
    ask(service, "wrong", "POST", "/v1/bulk", {})
    ask(service, OPERATOR, "GET", "/v1/cugs")
    assert audit(caplog) == [
        'token=cloud role=operator from=- method="PUT" path="/v1/cugs/web" status=201 revision=1',
        'token=prometheus role=reader from=- method="DELETE" path="/v1/cugs/web" status=403 revision=-',
        'token=cloud role=operator from=- method="PUT" path="/v1/cugs/web" status=400 revision=-',
        'token=cloud role=operator from=- method="DELETE" path="/v1/cugs/web\\n2030-01-01 all is well" status=422 revision=-',
        'token=- role=- from=- method="POST" path="/v1/bulk" status=401 revision=-',
    ]


def test_no_token_is_written_down_anywhere(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    guess = "Z3Vlc3NlZC1ieS1zb21lYm9keQ"
    answers = [
        ask(service, guess, "PUT", "/v1/cugs/web", WEB),
        ask(service, OPERATOR, "PUT", f"/v1/cugs/web?access_token={OPERATOR}", WEB),
        ask(service, READER, "PUT", "/v1/cugs/web", WEB),
        service.ask("GET", "/v1/cugs", Authorization=f"Basic {OPERATOR}"),
    ]
    service.write_tokens(f"operator {OPERATOR} name! more")
    answers.append(ask(service, OPERATOR, "GET", "/v1/cugs"))
    assert [row.status_int for row in answers] == [401, 400, 403, 401, 503]
    told = caplog.text + "".join(row.text + str(row.headers) for row in answers)
    service.write_tokens(OPERATOR)
    told += repr(read_tokens(service.token_file.name)) + repr(service.app)
    assert "prometheus" in told
    for secret in (guess, OPERATOR, READER, repr(digest(OPERATOR))[2:-1]):
        assert secret not in told


def test_a_short_token_is_told_of_by_its_name(caplog: pytest.LogCaptureFixture) -> None:
    Service(tokens=(f"operator {TOKEN} cloud", f"reader {READER}"))
    assert [row for row in caplog.messages if "short" in row and "cloud" in row]
    assert "line-2" not in caplog.text
    assert TOKEN not in caplog.text
