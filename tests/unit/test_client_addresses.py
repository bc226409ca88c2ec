"""A controller that may be at one of several addresses: which is asked, when, and what is never sent twice."""

from __future__ import annotations

import socket
from contextlib import closing
from itertools import islice
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from ryu_vmmob.client import Client, RefusedError, UnreachableError, followed
from tests.support.rest_service import TOKEN, WEB, Service
from tests.unit.cli_support import Shell, serving
from tests.unit.cli_support import shell as shell
from tests.unit.event_server import EventServer
from tests.unit.event_support import no_proxy as no_proxy
from tests.unit.event_support import server as server
from tests.unit.libvirt_site import HookSite, Hypervisor, site

__all__ = ["site"]

DEAD = "http://127.0.0.1:1"


class Asked:
    """A controller's REST interface that notes its requests, and says 503 to the first ``refused``."""

    def __init__(self, service: Service, refused: int = 0) -> None:
        self.service, self.refused, self.asked = service, refused, list[str]()

    def __call__(self, environ: Any, start: Any) -> Any:
        self.asked.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
        if self.refused:
            self.refused -= 1
            start("503 Service Unavailable", [("Content-Type", "text/plain")])
            return [b"away"]
        return self.service.app(environ, start)


def client(*urls: str, **options: Any) -> Client:
    return Client(",".join(urls), TOKEN, pause=lambda seconds: pytest.fail(f"it paused for {seconds} s"), **options)


def test_the_next_address_is_asked_at_once_and_first_from_then_on() -> None:
    here = Asked(Service())
    with serving(here) as url:
        found = client(DEAD, f" {url}/ ")
        assert found.url == DEAD
        found.cugs.put("web", WEB)
        assert found.url == url
        assert found.cugs.get("web")["name"] == "web"
    assert here.asked == ["PUT /v1/cugs/web", "GET /v1/cugs/web"]


def test_what_was_not_sent_is_sent_elsewhere_even_if_it_must_not_be_sent_twice() -> None:
    here = Asked(Service().with_web())
    with serving(here) as url:
        client(DEAD, url).migrations.start("web1", "srv-c1")
    assert here.asked == ["POST /v1/migrations"]


def test_what_may_have_been_done_is_not_sent_elsewhere() -> None:
    """The first address takes the request, and ends the connection without an answer."""
    here = Asked(Service().with_web())
    with serving(here) as url, socket.create_server(("127.0.0.1", 0)) as breaking:
        breaking.settimeout(20)
        address = f"http://127.0.0.1:{breaking.getsockname()[1]}"
        found = client(address, url)

        def take() -> None:
            connection, _ = breaking.accept()
            with connection:
                connection.recv(65536)

        thread = Thread(target=take)
        thread.start()
        with pytest.raises(UnreachableError):
            found.migrations.start("web1", "srv-c1")
        thread.join()
        assert here.asked == []
        assert found.url == url, "the next request goes elsewhere"
        assert found.migrations.list() == []


def test_a_controller_without_its_store_is_left_for_what_may_be_sent_twice() -> None:
    ill, well = Asked(Service(), refused=1), Asked(Service())
    with serving(ill) as first, serving(well) as second:
        found = client(first, second)
        assert found.cugs.list() == []
        ill.refused = 1
        found = client(first, second)
        with pytest.raises(RefusedError, match="503"):
            found.batches.start("srv-a1")
    assert ill.asked == ["GET /v1/cugs", "POST /v1/servers/srv-a1/evacuate"]
    assert well.asked == ["GET /v1/cugs"]


def test_what_one_says_counts_when_the_others_do_not_answer() -> None:
    ill = Asked(Service(), refused=2)
    with serving(ill) as url:
        for urls in ((url, DEAD), (DEAD, url)):
            with pytest.raises(RefusedError, match="503"):
                client(*urls, retries=0).cugs.list()


def test_none_answers() -> None:
    pauses = list[float]()
    found = Client(f"{DEAD},http://127.0.0.1:2", TOKEN, pause=pauses.append)
    with pytest.raises(UnreachableError) as caught:
        found.fabric()
    assert str(caught.value).count("cannot be reached: Connection refused") == 2
    assert {"127.0.0.1:1 ", "127.0.0.1:2 "} <= {f"{word} " for word in str(caught.value).replace("http://", "").split()}
    assert len(pauses) == 2, "each attempt asks each address once"


def test_one_that_hangs_costs_one_time_out() -> None:
    here = Asked(Service())
    with serving(here) as url, socket.create_server(("127.0.0.1", 0)) as silent:
        found = client(f"http://127.0.0.1:{silent.getsockname()[1]}", url, timeout=0.2)
        assert found.cugs.list() == []
        assert found.cugs.list() == []
    assert here.asked == ["GET /v1/cugs"] * 2


def test_an_address_that_is_none_is_named() -> None:
    with pytest.raises(Exception, match="there cannot be asked: write http://there"):
        client(DEAD, "there").fabric()


def test_events_go_on_at_the_next_address(server: EventServer) -> None:
    said = list[str]()
    born = server.service.engine.events.born
    listener = Client(f"{DEAD},{server.url}", TOKEN)
    with closing(followed(listener, ["cug"], born - 1, said.append, lambda seconds: None)) as rows:  # type: ignore[type-var]
        assert [row["event"] for row in islice(rows, 1)] == ["cug.created"]
    (line,) = said
    assert f"the controller at {DEAD} cannot be reached" in line
    assert listener.url == server.url


def test_the_command_line(shell: Shell) -> None:
    shell.service.with_web()
    shell.environment["VMMOB_URL"] = f"{DEAD},{shell.environment['VMMOB_URL']}"
    assert "web1" in shell.run("vm", "list").stdout


def test_the_hook(site: HookSite, tmp_path: Path) -> None:
    """A move is begun once, and everything after the first request goes to where there is a controller."""
    target = Hypervisor(tmp_path, f"{DEAD},{site.url}", "srv-c1")
    target.receives()
    assert site.moves() == [("srv-c1", "prepared")]
    none = Hypervisor(tmp_path, f"{DEAD},http://127.0.0.1:2", "srv-c1")
    said = none.calls("migrate", "begin", status=1)
    assert f"{DEAD} cannot be asked" in said
    assert "http://127.0.0.1:2 cannot be asked" in said
