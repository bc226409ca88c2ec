"""The flow compiler: from the desired state to OpenFlow 1.3 flows and groups.

The folder lies on top of the source tree; its import name is ``ryu_vmmob.flows``, through the link in the package.
"""

if __name__ != "ryu_vmmob.flows":
    msg = "import ryu_vmmob.flows, not flows"
    raise ImportError(msg)
