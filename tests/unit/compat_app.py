"""A Ryu application for the tests: prints each event that concerns flow statistics or bundles as one JSON line."""

from __future__ import annotations

import json
import os
from typing import Any, ClassVar

from ryu.base import app_manager
from ryu.controller import ofp_event
from ryu.controller.handler import CONFIG_DISPATCHER, MAIN_DISPATCHER, set_ev_cls

from ryu_vmmob import compat
from ryu_vmmob.compat.raw import EventRawMultipart

# In the environment: "all", "none", or the one transaction id that is to arrive raw.
RAW = os.environ.get("TEST_RAW", "none")
if RAW != "none":
    compat.raw_multipart(enabled=True, wanted=None if RAW == "all" else lambda _datapath, xid: xid == int(RAW))


class Printer(app_manager.RyuApp):  # type: ignore[misc]
    """Prints what arrives."""

    OFP_VERSIONS: ClassVar[list[int]] = [4]

    def say(self, event: Any, **fields: object) -> None:
        print(
            json.dumps({"event": type(event).__name__, "xid": event.msg.xid, "dpid": event.msg.datapath.id, **fields}),
            flush=True,
        )

    @set_ev_cls(EventRawMultipart, [CONFIG_DISPATCHER, MAIN_DISPATCHER])
    def on_raw(self, event: EventRawMultipart) -> None:
        msg = event.msg
        self.say(event, type=msg.mp_type, flags=msg.flags, more=msg.more, body=msg.body.hex())

    @set_ev_cls(ofp_event.EventOFPFlowStatsReply, MAIN_DISPATCHER)
    def on_flows(self, event: Any) -> None:
        self.say(event, cookies=[entry.cookie for entry in event.msg.body])

    @set_ev_cls(ofp_event.EventOFPGroupDescStatsReply, MAIN_DISPATCHER)
    def on_groups(self, event: Any) -> None:
        self.say(event, groups=[entry.group_id for entry in event.msg.body])

    @set_ev_cls(ofp_event.EventONFBundleCtrlMsg, MAIN_DISPATCHER)
    def on_bundle(self, event: Any) -> None:
        msg = event.msg
        self.say(
            event,
            bundle_id=msg.bundle_id,
            type=msg.type,
            flags=msg.flags,
            properties=msg.properties,
            experimenter=msg.experimenter,
            exp_type=msg.exp_type,
        )

    @set_ev_cls(ofp_event.EventOFPErrorMsg, MAIN_DISPATCHER)
    def on_error(self, event: Any) -> None:
        msg = event.msg
        self.say(event, type=msg.type, exp_type=getattr(msg, "exp_type", None), experimenter=getattr(msg, "experimenter", None))
