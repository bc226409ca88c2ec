"""The REST application behind Ryu's own WSGI server and our mount, in a thread with a hub of its own."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any, TypeVar

import eventlet
import eventlet.wsgi
from ryu.app.wsgi import WSGIApplication

from ryu_vmmob.apps import rest_mount
from tests.support.rest_service import Service

T = TypeVar("T")
SECONDS = 60.0


class EventServer:
    """A service that listens. What the test wants of the engine is done in the server's thread: `do`."""

    def __init__(self, service: Service, send_buffer: int | None = None) -> None:
        self.service = service
        self.log = StringIO()
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._socket = socket.create_server(("127.0.0.1", 0))
        if send_buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        application = WSGIApplication()
        rest_mount.mount(application, self.service.app)
        listening = eventlet.greenio.GreenSocket(self._socket)
        server = eventlet.spawn(eventlet.wsgi.server, listening, application, self.log, debug=False)
        while True:
            try:
                task = self._tasks.get_nowait()
            except queue.Empty:
                eventlet.sleep(0.002)
                continue
            if task is None:
                server.kill()
                return
            task()

    def do(self, task: Callable[[], T]) -> T:
        """The outcome of ``task`` in the server's thread."""
        done: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()

        def run() -> None:
            try:
                done.put((True, task()))
            except BaseException as error:
                done.put((False, error))

        self._tasks.put(run)
        good, found = done.get(timeout=SECONDS)
        if not good:
            raise found
        result: T = found
        return result

    def stop(self) -> None:
        self._tasks.put(None)
        self._thread.join(SECONDS)
        self._socket.close()


@contextmanager
def serving_events(service: Service, send_buffer: int | None = None) -> Iterator[EventServer]:
    server = EventServer(service, send_buffer)
    try:
        yield server
    finally:
        server.stop()
