"""The controller's REST interface, as little of a client as the hook needs, with one deadline for all requests."""

import json
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request

from vmmob_hook.settings import Failure, Refused

GOING_ON = ("preparing", "prepared")
UNDER_WAY = ("preparing", "prepared", "activated")


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """The token is for the configured address only."""

    def redirect_request(self, *_):
        """No request at all."""


class Unreachable(Exception):
    """An address without a controller. ``is_unsent``: there was no connection."""

    def __init__(self, text, is_unsent):
        super().__init__(text)
        self.is_unsent = is_unsent


class Controller:
    """REST, until ``deadline`` (monotonic)."""

    def __init__(self, setup, deadline):
        self.urls = [part.strip().rstrip("/") for part in setup["url"].split(",")]
        self.token = setup.token()
        self.deadline = deadline
        handlers = [urllib.request.ProxyHandler({}), NoRedirect()]
        if setup["ca"]:
            try:
                handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=setup["ca"])))
            except (OSError, ssl.SSLError) as error:
                raise Failure("%s: %s" % (setup["ca"], error))
        self.opener = urllib.request.build_opener(*handlers)

    def left(self):
        """Seconds until the deadline, never less than a tenth."""
        return max(0.1, self.deadline - time.monotonic())

    def ask(self, method, *names, body=None, **query):
        """Return the answer's JSON, of the first address that has a controller. Raises Failure."""
        said = []
        for _ in self.urls:
            try:
                return self.ask_one(self.urls[0], method, *names, body=body, **query)
            except Unreachable as error:
                said.append(str(error))
                self.urls.append(self.urls.pop(0))
                if not error.is_unsent and method == "POST":
                    break
        raise Failure("; ".join(said))

    def ask_one(self, address, method, *names, body=None, **query):
        """Return the answer's JSON. Raises Failure, Unreachable."""
        path = "/".join(["/v1"] + [urllib.parse.quote(name, safe="") for name in names])
        url = address + path + ("?" + urllib.parse.urlencode(query) if query else "")
        request = urllib.request.Request(url, method=method, headers={"Accept": "application/json"})
        if self.token is not None:
            request.add_header("Authorization", "Bearer " + self.token)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        try:
            # A machine that is dead must leave time for the others.
            with self.opener.open(request, timeout=self.left() / len(self.urls)) as answer:
                return json.loads(answer.read().decode())
        except urllib.error.HTTPError as error:
            try:
                text = json.loads(error.read().decode())["detail"]
            except (OSError, ValueError, LookupError, TypeError):
                text = "the answer is %d" % error.code
            raise Failure(text) if error.code >= 500 or error.code in (401, 403, 429) else Refused(error.code, text)
        except (OSError, ValueError) as error:
            why = getattr(error, "reason", None) or error
            is_unsent = isinstance(why, (ConnectionRefusedError, socket.gaierror))
            raise Unreachable("the controller at %s cannot be asked: %s" % (address, why), is_unsent=is_unsent)

    def vm(self, name):
        """Return the VM, None when the controller has none of that name. Raises Failure."""
        try:
            return self.ask("GET", "vms", name)
        except Refused as error:
            if error.status == 404:
                return None
            raise

    def move(self, vm):
        """Return the migration under way of a VM, None when there is none. Raises Failure."""
        items = self.ask("GET", "migrations", vm=vm)["items"]
        return next((row for row in reversed(items) if row["state"] in UNDER_WAY), None)

    def until(self, move, left_behind, ready_by):
        """Return the migration when it has left the states ``left_behind``, or at ``ready_by`` (monotonic) as it is."""
        while move["state"] in left_behind and time.monotonic() < ready_by:
            time.sleep(min(0.1, self.left()))
            move = self.ask("GET", "migrations", move["id"])
        return move

    def step(self, move, name, **body):
        """``abort``, ``activate`` or ``commit`` of a migration; the migration after it. Raises Failure."""
        return self.ask("POST", "migrations", move["id"], name, body=body)
