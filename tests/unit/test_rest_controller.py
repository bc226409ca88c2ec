"""``/v1/controller``: which controller answers, to whom, and where its numbers are drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from oslo_config import cfg

import ryu_vmmob
from ryu_vmmob import options
from tests.support.rest_service import TOKEN, Service


def settings(url: str | None) -> options.Settings:
    conf = cfg.ConfigOpts()
    conf.register_cli_opt(cfg.StrOpt("wsapi_host"))
    options.register(conf)
    conf([])
    return replace(options.read(conf), grafana_url=url)


def controller(service: Service, token: str | None = None) -> Any:
    answer = service.ask("GET", "/v1/controller", **({} if token is None else {"Authorization": f"Bearer {token}"}))
    assert answer.status_int == 200
    return answer.json


def test_who_asks() -> None:
    service = Service(tokens=(TOKEN, f"reader {'r' * 32} ana"))
    assert controller(service) == {
        "version": ryu_vmmob.__version__, "grafana": None, "caller": {"token": "line-1", "role": "operator"}
    }  # fmt: skip
    assert controller(service, "r" * 32)["caller"] == {"token": "ana", "role": "reader"}


def test_where_no_token_is_wanted() -> None:
    assert controller(Service(tokens=()))["caller"] == {"token": None, "role": "operator"}


def test_without_a_token_nobody_is_told() -> None:
    assert Service().ask("GET", "/v1/controller", Authorization="Bearer wrong").status_int == 401


@pytest.mark.parametrize("url", [None, "https://grafana.example.org/d/vmmob", "http://10.0.0.9:3000/d/vmmob?orgId=1"])
def test_addresses_of_web_pages(url: str | None) -> None:
    options.refuse_odd_addresses(settings(url))


@pytest.mark.parametrize("url", ["javascript:alert(1)", "grafana.example.org", "https://", "file:///etc/passwd", ""])
def test_a_link_leads_to_a_web_page_or_the_controller_does_not_start(url: str) -> None:
    with pytest.raises(options.OptionError, match="grafana_url"):
        options.refuse_odd_addresses(settings(url))
