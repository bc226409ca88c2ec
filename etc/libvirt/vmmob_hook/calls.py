"""One call of libvirt from its arguments to the exit status: settings, the time that it may take, and what is said of it."""

import os
import sys

from vmmob_hook.settings import Failure, Refused, Setup

CONFIG = os.environ.get("VMMOB_HOOK_CONF", "/etc/vmmob/hook.conf")
LARGEST_XML = 16 * 2**20


def may_stop(operation):
    """Whether an exit status of 1 keeps the guest where it is. Elsewhere it would end a guest."""
    return operation in ("migrate", "prepare")


def say(text, priority):
    """One sentence, for libvirt's error and for the system's log."""
    print("vmmob: " + text, file=sys.stderr)
    log(text, priority)


def log(text, priority):
    """One sentence for the system's log."""
    import syslog

    syslog.openlog("vmmob-hook", 0, syslog.LOG_DAEMON)
    syslog.syslog(getattr(syslog, "LOG_" + priority), text)


def give_up(what, status):
    """Whatever hangs (a name server, a file system), libvirt is not kept waiting: it has the guest locked meanwhile."""
    say("%s: no answer in time" % what, "ERR")
    os._exit(status)


def run(guest, operation, sub, extra):
    """Do what libvirt calls the hook for; return the exit status."""
    policy = "closed"
    try:
        setup = Setup(CONFIG)
        policy = setup["on_failure"]
        if operation == "prepare" and setup["cold_moves"] == "no":
            return 0
        import threading
        import time

        status = 1 if may_stop(operation) and policy == "closed" else 0
        watchdog = threading.Timer(setup["timeout"] + 1, give_up, ("%s of %s" % (operation, guest), status))
        watchdog.daemon = True
        watchdog.start()
        deadline = time.monotonic() + setup["timeout"]
        from vmmob_hook.moves import Call
        from vmmob_hook.rest import Controller

        text = sys.stdin.buffer.read(LARGEST_XML)
        call = Call(guest, text, setup, Controller(setup, deadline))
        xml = call.handle(operation, sub, extra)
        watchdog.cancel()
        if xml is not None and xml != text:
            sys.stdout.buffer.write(xml)
            sys.stdout.buffer.flush()
        if call.said:
            log("; ".join(call.said), "INFO")
        if call.wrong:
            say("%s of %s: %s" % (operation, guest, "; ".join(call.wrong)), "WARNING")
        return 0
    except Failure as error:
        stops = may_stop(operation) and (policy == "closed" or isinstance(error, Refused))
        say("%s of %s: %s" % (operation, guest, error), "ERR" if stops else "WARNING")
        return 1 if stops else 0
