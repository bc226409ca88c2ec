"""Ryu applications: shims between Ryu's events and the engine.

The folder lies on top of the source tree; its import name is ``ryu_vmmob.apps``, through the link in the package.
"""

if __name__ != "ryu_vmmob.apps":
    msg = "import ryu_vmmob.apps, not apps"
    raise ImportError(msg)
