"""A Ryu application for the test beside it: asks a switch for everything that OpenFlow 1.3 lets one ask."""

from __future__ import annotations

from typing import Any, ClassVar

from ryu.base import app_manager
from ryu.controller import ofp_event
from ryu.controller.handler import MAIN_DISPATCHER, set_ev_cls
from ryu.ofproto import ofproto_v1_3 as ofp


class AskEverything(app_manager.RyuApp):  # type: ignore[misc]
    """Sends all requests once the switch is connected, a barrier last."""

    OFP_VERSIONS: ClassVar[list[int]] = [4]

    @set_ev_cls(ofp_event.EventOFPStateChange, MAIN_DISPATCHER)
    def on_switch(self, event: Any) -> None:
        datapath = event.datapath
        parser = datapath.ofproto_parser
        everything = parser.OFPMatch()
        for request in (
            parser.OFPDescStatsRequest(datapath, 0),
            parser.OFPFlowStatsRequest(datapath, 0, ofp.OFPTT_ALL, ofp.OFPP_ANY, ofp.OFPG_ANY, 0, 0, everything),
            parser.OFPAggregateStatsRequest(datapath, 0, ofp.OFPTT_ALL, ofp.OFPP_ANY, ofp.OFPG_ANY, 0, 0, everything),
            parser.OFPTableStatsRequest(datapath, 0),
            parser.OFPPortStatsRequest(datapath, 0, ofp.OFPP_ANY),
            parser.OFPQueueStatsRequest(datapath, 0, ofp.OFPP_ANY, ofp.OFPQ_ALL),
            parser.OFPGroupStatsRequest(datapath, 0, ofp.OFPG_ALL),
            parser.OFPGroupDescStatsRequest(datapath, 0),
            parser.OFPGroupFeaturesStatsRequest(datapath, 0),
            parser.OFPMeterStatsRequest(datapath, 0, ofp.OFPM_ALL),
            parser.OFPMeterConfigStatsRequest(datapath, 0, ofp.OFPM_ALL),
            parser.OFPMeterFeaturesStatsRequest(datapath, 0),
            parser.OFPTableFeaturesStatsRequest(datapath, 0, []),
            parser.OFPPortDescStatsRequest(datapath, 0),
            parser.OFPQueueGetConfigRequest(datapath, ofp.OFPP_ANY),
            parser.ONFBundleCtrlMsg(datapath, 7, ofp.ONF_BCT_OPEN_REQUEST, ofp.ONF_BF_ATOMIC | ofp.ONF_BF_ORDERED, []),
            parser.ONFBundleCtrlMsg(datapath, 7, ofp.ONF_BCT_DISCARD_REQUEST, ofp.ONF_BF_ATOMIC | ofp.ONF_BF_ORDERED, []),
            parser.OFPBarrierRequest(datapath),
        ):
            datapath.send_msg(request)

    def say(self, event: Any) -> None:
        body = getattr(event.msg, "body", None)
        print("GOT", type(event).__name__, len(body) if isinstance(body, list) else "", flush=True)


_EVENTS = """
    DescStatsReply FlowStatsReply AggregateStatsReply TableStatsReply PortStatsReply QueueStatsReply GroupStatsReply
    GroupDescStatsReply GroupFeaturesStatsReply MeterStatsReply MeterConfigStatsReply MeterFeaturesStatsReply
    TableFeaturesStatsReply PortDescStatsReply QueueGetConfigReply BarrierReply ErrorMsg
""".split()  # noqa: SIM905
AskEverything.on_reply = set_ev_cls(  # one handler for all of them
    [*(getattr(ofp_event, f"EventOFP{name}") for name in _EVENTS), ofp_event.EventONFBundleCtrlMsg], MAIN_DISPATCHER
)(lambda self, event: self.say(event))
