"""The controller's REST interface, as little of a client as the hook needs, with one deadline for all requests."""

import json
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


class Controller:
    """REST, until ``deadline`` (monotonic)."""

    def __init__(self, setup, deadline):
        self.url = setup["url"].rstrip("/")
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
        """Return the answer's JSON. Raises Failure."""
        path = "/".join(["/v1"] + [urllib.parse.quote(name, safe="") for name in names])
        url = self.url + path + ("?" + urllib.parse.urlencode(query) if query else "")
        request = urllib.request.Request(url, method=method, headers={"Accept": "application/json"})
        if self.token is not None:
            request.add_header("Authorization", "Bearer " + self.token)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with self.opener.open(request, timeout=self.left()) as answer:
                return json.loads(answer.read().decode())
        except urllib.error.HTTPError as error:
            try:
                text = json.loads(error.read().decode())["detail"]
            except (OSError, ValueError, LookupError, TypeError):
                text = "the answer is %d" % error.code
            raise Failure(text) if error.code >= 500 or error.code in (401, 403, 429) else Refused(error.code, text)
        except (OSError, ValueError) as error:
            raise Failure("the controller at %s cannot be asked: %s" % (self.url, getattr(error, "reason", None) or error))

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
