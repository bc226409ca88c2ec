"""What the modules share: requests to the controller, and objects that are written by name."""

from __future__ import annotations

import json
from socket import gaierror
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode

from ansible.module_utils.basic import AnsibleModule, env_fallback
from ansible.module_utils.urls import open_url

LONGEST_WAIT = 600
"""Seconds that the controller holds an answer at most."""
ATTEMPTS = 5
"""Times that a write is tried when something else writes the same object at the same time."""
COMMON = {
    "url": {"type": "str", "required": True, "fallback": (env_fallback, ["VMMOB_URL"])},
    "token": {"type": "str", "no_log": True, "fallback": (env_fallback, ["VMMOB_TOKEN"])},
    "ca_path": {"type": "path"},
    "validate_certs": {"type": "bool", "default": True},
    "timeout": {"type": "int", "default": 30},
    "wait": {"type": "float", "default": 30.0},
}
OBJECT = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "labels": {"type": "dict", "default": {}},
    "description": {"type": "str", "default": ""},
}
_FOLLOWS = ("plan", "switches", "revision", "presence", "segment_key", "migration", "dangling")
"""Keys of an answer that a write does not say, and that a diff does not show."""


class Refused(Exception):
    """An answer that is no 2xx; ``status`` and ``problem`` are the controller's (RFC 9457)."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        faults = [f"{row['path']}: {row['message']}" for row in problem.get("errors", ())]
        super().__init__("; ".join([str(problem.get("detail") or problem.get("title") or status), *faults]))
        self.status = status
        self.problem = problem


class Controller:
    """The controller that a module's options name."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.addresses = [part.strip().rstrip("/") for part in module.params["url"].split(",")]
        self.wait = module.params["wait"]
        if not 0 <= self.wait <= LONGEST_WAIT:
            module.fail_json(msg=f"wait: {self.wait:g} is outside 0 to {LONGEST_WAIT} seconds")

    def ask(self, method: str, path: str, body: Any = None, condition: dict[str, str] | None = None, **query: Any) -> Any:
        """Return the body of the answer, None where it has none. Raises Refused; ends the module where nothing answers.

        Of several addresses the next is asked where one does not answer. What may have been carried out is not sent again.
        """
        said = []
        for _ in self.addresses:
            address = self.addresses[0]
            try:
                return self._ask(address, method, path, body, condition or {}, query)
            except (URLError, OSError, ValueError) as error:
                why = getattr(error, "reason", error)
                said.append(f"{method} {address}{path}: {why}")
                self.addresses.append(self.addresses.pop(0))
                if method != "GET" and not isinstance(why, (ConnectionRefusedError, gaierror)):
                    break
        return self.module.fail_json(msg="; ".join(said))

    def _ask(self, address: str, method: str, path: str, body: Any, condition: dict[str, str], query: dict[str, Any]) -> Any:
        given = self.module.params
        url = address + path + (f"?{urlencode(query)}" if query else "")
        headers = {"Accept": "application/json", **condition}
        if given["token"]:
            headers["Authorization"] = f"Bearer {given['token']}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            with open_url(
                url, None if body is None else json.dumps(body), headers, method, timeout=given["timeout"] + self.wait,
                validate_certs=given["validate_certs"], ca_path=given["ca_path"], follow_redirects="none",
            ) as answer:  # fmt: skip
                return _read(answer.read())
        except HTTPError as error:
            found = _read(error.read())
            raise Refused(error.code, found if isinstance(found, dict) else {"detail": f"HTTP status {error.code}"}) from None

    def find(self, path: str) -> Any:
        """Return what is at ``path``; None where nothing is."""
        try:
            return self.ask("GET", path)
        except Refused as error:
            if error.status != 404:
                raise
            return None

    def fail(self, error: Refused) -> None:
        """End the module with what the controller said."""
        self.module.fail_json(msg=str(error), status=error.status, problem=error.problem)

    def warn_of(self, answer: Any) -> None:
        """Warn of switches that have not confirmed what was written, or do not take it."""
        switches = (answer or {}).get("switches") or {}
        if switches.get("pending"):
            self.module.warn(f"not yet confirmed by {', '.join(switches['pending'])}")
        for row in switches.get("refused", ()):
            self.module.warn(f"{row['switch']} refuses: {row['error']}: {row['cause']}")


def _read(data: bytes) -> Any:
    try:
        return json.loads(data) if data else None
    except ValueError:
        return None


def path_of(collection: str, name: str) -> str:
    """Return the path of an object, whatever its name has in it."""
    return f"/v1/{collection}/{quote(name, safe='')}"


def shown(view: Any) -> dict[str, Any]:
    """Return what a diff shows of an object; nothing of None."""
    return {key: value for key, value in (view or {}).items() if key not in _FOLLOWS}


def text_labels(labels: dict[str, Any]) -> dict[str, Any]:
    """Labels with numbers as text; all else as it is, for the controller to judge."""
    return {key: str(row) if isinstance(row, int) and not isinstance(row, bool) else row for key, row in labels.items()}


def run_object(module: AnsibleModule, collection: str, noun: str, body: Any) -> None:
    """Have an object as ``body`` says, or not at all; end the module.

    ``body``: what makes the body of a PUT of the object as it is, None where it is not there.
    """
    controller = Controller(module)
    try:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                _write(controller, collection, noun, body)
            except Refused as error:
                # Another has written it since it was looked at: look again.
                if error.status != 412 or attempt == ATTEMPTS:
                    raise
    except Refused as error:
        controller.fail(error)


def _write(controller: Controller, collection: str, noun: str, body: Any) -> None:
    module = controller.module
    path = path_of(collection, module.params["name"])
    before = controller.find(path)
    # What is decided by `before` is done only if that is still so.
    condition = {"If-None-Match": "*"} if before is None else {"If-Match": f'"{before["revision"]}"'}
    if module.params["state"] == "absent":
        if before is None:
            module.exit_json(changed=False)
        method, given = "DELETE", None
    else:
        method, given = "PUT", body(before)
    tried = controller.ask(method, path, given, condition, dry_run="true")
    changed = bool(tried["plan"]["changes"])
    after = tried if method == "PUT" else None
    if changed and not module.check_mode:
        after = controller.ask(method, path, given, condition, **({"wait": controller.wait} if controller.wait else {}))
        controller.warn_of(after)
        after = after if method == "PUT" else None
    found = {noun: {key: row for key, row in after.items() if key != "plan"}} if after else {}
    diff = {"before": shown(before), "after": shown(after)}
    module.exit_json(changed=changed, plan=tried["plan"], diff=diff, **found)
