"""The controller as a Ryu application: ``ryu-manager ryu_vmmob.apps.vmmob --config-file etc/vmmob.conf``.

A shim, and no more: it turns Ryu's events into calls of the engine and of the sessions, and mounts our REST application in
Ryu's WSGI server. What it decides, it decides elsewhere (`ryu_vmmob.engine`).
"""

from __future__ import annotations

import logging
import secrets
import time
import uuid
from collections.abc import Mapping
from typing import Any, ClassVar, Final
from weakref import WeakKeyDictionary

from eventlet import tpool
from ryu.app.wsgi import WSGIApplication
from ryu.base import app_manager
from ryu.controller import ofp_event
from ryu.controller.handler import CONFIG_DISPATCHER, DEAD_DISPATCHER, HANDSHAKE_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from ryu.lib import hub
from ryu.ofproto import ofproto_v1_3

from ryu_vmmob import compat, exposure, logs, options
from ryu_vmmob.apps import rest_mount, rest_server
from ryu_vmmob.apps.chores import Chores
from ryu_vmmob.apps.fabric_file import FabricFile
from ryu_vmmob.apps.listening import refuse_taken_ports
from ryu_vmmob.apps.session import Session
from ryu_vmmob.apps.supervisor import tell_ready
from ryu_vmmob.apps.turns import Alone
from ryu_vmmob.apps.vital import vital
from ryu_vmmob.apps.waiting import Waiting
from ryu_vmmob.compat.raw import EventRawMultipart
from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.engine.event_log import log_event
from ryu_vmmob.engine.sent_on import Frames
from ryu_vmmob.fabric import FabricError, load
from ryu_vmmob.fabric.model import Fabric, Switch
from ryu_vmmob.flows import wire
from ryu_vmmob.memory import Freezer, undisturbed
from ryu_vmmob.model.draft import Event
from ryu_vmmob.punt.advertise import advertisements
from ryu_vmmob.punt.ask_vm import ask_vm
from ryu_vmmob.punt.values import PacketOut
from ryu_vmmob.rest.app import RestApp
from ryu_vmmob.rest.metrics import Metrics
from ryu_vmmob.rest.rates import Rates
from ryu_vmmob.rest.tokens import TokenFileError
from ryu_vmmob.southbound.handshakes import Handshakes
from ryu_vmmob.southbound.intake import Intake
from ryu_vmmob.southbound.links import LinkWatch
from ryu_vmmob.southbound.packets import Packets
from ryu_vmmob.southbound.roles import role_status
from ryu_vmmob.southbound.ryu_messages import error_number, error_text, packet_in
from ryu_vmmob.southbound.schedule import Schedule
from ryu_vmmob.store import StoreError, open_store
from ryu_vmmob.store.aside import AsideStore
from ryu_vmmob.store.timed import TimedStore

LOG = logging.getLogger(__name__)
_SILENT, _UNKNOWN, _FALSE = (logs.Sparing(LOG) for _ in range(3))

LOOK_INTERVAL: Final = 0.5
"""Seconds between two looks for what has to follow by itself (time-outs, quarantines, neighbours that are silent)."""
TIDY_INTERVAL: Final = 1.0
"""Seconds between two pieces of the store's housekeeping, when there is not much of it."""
MEMORY_INTERVAL: Final = 0.25
"""Seconds between two looks whether there is much for the cycle collector."""
ADVERTISE_INTERVAL: Final = 200.0
"""Seconds between two router advertisements of a gateway at one edge (RFC 4861, 6.2.1: 4 to 1800)."""
ADVERTISE_LOOK: Final = 1.0
ADVERTISE_BURST: Final = 32
"""Router advertisements that are made without a pause."""
ADVERTISE_PAUSE: Final = 0.02
FLOOD_INTERVAL: Final = 60.0
"""Seconds between two reports that the same switch floods us."""


ECHO_INTERVAL: Final = 5.0
UNANSWERED_ECHOES: Final = 3


class Vmmob(app_manager.RyuApp):  # type: ignore[misc]
    """Network controller for VMs that move, over switches that speak OpenFlow 1.3."""

    OFP_VERSIONS: ClassVar = [ofproto_v1_3.OFP_VERSION]
    _CONTEXTS: ClassVar = {"wsgi": WSGIApplication}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        try:
            compat.apply()
        except compat.OtherRyuError as error:
            raise SystemExit(f"vmmob: {error}") from error
        self.settings = options.read(self.CONF)
        if not self.CONF.log_config_file:
            logs.use(self.settings.log_format)
        # A switch that fell silent without closing its connection counts as away after a quarter of a minute.
        self.CONF.set_default("echo_request_interval", ECHO_INTERVAL)
        self.CONF.set_default("maximum_unreplied_echo_requests", UNANSWERED_ECHOES)
        try:
            options.refuse_open_door(self.settings)
            options.refuse_odd_addresses(self.settings)
            exposure.check(self.CONF, self.settings)
            refuse_taken_ports(self.CONF)
            fabric = load(self.settings.fabric)
            self.metrics = Metrics(refused=compat.refusals)
            aside = AsideStore(open_store(self.settings.store, self.settings.etcd), tpool.execute, hub.Semaphore(1))
            store = TimedStore(aside, time.perf_counter, self.metrics.stored)
            alone = Alone()
            with undisturbed():
                self.engine = Engine(
                    fabric, store, time.time, self.settings.vlan_quarantine, time.monotonic,
                    life=secrets.randbits(32), alone=alone, send_frames=self._send_frames,
                )  # fmt: skip
            self.waiting = Waiting(self.engine)
            self._file = FabricFile(self.settings.fabric, self.engine)
            rest = RestApp(
                self.engine, self.waiting.wait, _new_id, self.settings.api_token_file,
                reload=self._file.reload, origins=self.settings.api_origins,
                rates=Rates(self.settings.rest.rate, time.monotonic), metrics=self.metrics, grafana=self.settings.grafana_url,
                turn=alone.turn, aside=tpool.execute,
            )  # fmt: skip
            rest_server.install(self.CONF, self.settings.rest)
        except (FabricError, StoreError, TokenFileError, options.OptionError) as error:
            raise SystemExit(f"vmmob: {error}") from error
        self.engine.on_event.add(log_event)
        self.engine.on_fabric.add(self._on_fabric)
        self._sessions: dict[Any, Session] = {}
        self._handshakes = Handshakes()
        self._intakes: WeakKeyDictionary[Any, Intake] = WeakKeyDictionary()
        self._flood_told: dict[str, float] = {}
        self._strangers: set[Any] = set()
        """Connections of switches that the fabric file does not have."""
        state = self.engine.state
        self._links = LinkWatch(fabric, state.links_down, self.settings.link_up_delay, state.externals_down)
        self._urgent, self._chores = Chores(), Chores()
        self._packets = Packets(self.engine, self._send_packet, self._urgent.note, self._chores.note)
        self.engine.on_question.add(self._ask_vm)
        compat.raw_multipart(enabled=True, wanted=self._wants_raw)
        compat.drop_unwanted(self._unwanted)
        rest_mount.mount(kwargs["wsgi"], rest)
        self._file.listen()
        own = (self._tidy, self._look, self._ask_neighbours, self._advertise, self._file.follow, tell_ready, self._keep_memory)
        self.threads.extend(hub.spawn(vital(run)) for run in (self._urgent.run, self._chores.run, *own))
        LOG.info(
            "fabric %s: %d switches, %d CUGs, %d VMs, revision %d",
            fabric.name, len(fabric.switches), len(self.engine.state.cugs), len(self.engine.state.vms),
            self.engine.state.revision,
        )  # fmt: skip

    def _wants_raw(self, datapath: Any, xid: int) -> bool:
        session = self._sessions.get(datapath)
        return session is not None and session.asks(xid)

    def _unwanted(self, datapath: Any, kind: int, xid: int, data: bytes | bytearray) -> bool:
        intake = self._intakes.get(datapath)
        if intake is None:
            intake = self._intakes[datapath] = Intake(time.monotonic, hub.sleep)
        session = self._sessions.get(datapath)
        unwanted = intake.unwanted(session, kind, xid, data)
        if unwanted and session is not None:
            self.engine.fleet.dropped[session.name] += 1
            now = time.monotonic()
            if now - self._flood_told.get(session.name, -FLOOD_INTERVAL) >= FLOOD_INTERVAL:
                self._flood_told[session.name] = now
                self.engine.emit(Event("switch.floods", {"switch": session.name}))
        return unwanted

    def _look(self) -> None:
        while True:
            wanted = time.monotonic() + LOOK_INTERVAL
            hub.sleep(LOOK_INTERVAL)
            self.metrics.delayed(time.monotonic() - wanted)
            for datapath in self._handshakes.overdue(time.monotonic()):
                _SILENT("%s connected and does not say which switch it is: its connection is closed", datapath.address)
                datapath.close()
            self._links_changed()
            self.engine.look()

    def _tidy(self) -> None:
        while True:
            hub.sleep(0 if self.engine.tidy_store() else TIDY_INTERVAL)

    def _keep_memory(self) -> None:
        Freezer().run(lambda: hub.sleep(MEMORY_INTERVAL))

    def _ask_neighbours(self) -> None:
        while True:
            hub.sleep(LOOK_INTERVAL)
            self._packets.look(time.monotonic())

    def _advertise(self) -> None:
        """Send router advertisements, a few at a time, so that other green threads run in between."""
        schedule = Schedule(ADVERTISE_INTERVAL)
        while True:
            hub.sleep(ADVERTISE_LOOK)
            for switch in schedule.due([row.name for row in self._sessions.values()], time.monotonic()):
                if switch not in self.engine.state.fabric.switches:
                    continue
                for number, packet in enumerate(advertisements(self.engine.state, switch), start=1):
                    self._send_packet(packet)
                    if number % ADVERTISE_BURST == 0:
                        hub.sleep(ADVERTISE_PAUSE)

    def _send_packet(self, packet: PacketOut) -> None:
        """Hand a packet to its switch; dropped when that is away."""
        for session in self._sessions.values():
            if session.name == packet.switch:
                session.packet_out(packet.actions, packet.frame)

    def _ask_vm(self, vm: str) -> None:
        for packet in ask_vm(self.engine.state, vm):
            self._send_packet(packet)

    def _send_frames(self, frames: Frames) -> bool:
        """Hand frames to their switch; whether it takes them."""
        taken = [row.packets_out(frames.actions, frames.frames) for row in self._sessions.values() if row.name == frames.switch]
        return any(taken)

    def _links_changed(self) -> None:
        self._urgent.note("links", self._tell_links)

    def _tell_links(self) -> None:
        now = time.monotonic()
        try:
            self.engine.network.links_seen(self._links.down(now))
            self.engine.network.externals_seen(self._links.externals_down(now))
        except StoreError as error:
            # The next look tries again; the switches go on as they are.
            LOG.error("a change of links could not be stored: %s", error)

    @set_ev_cls(ofp_event.EventOFPStateChange, [HANDSHAKE_DISPATCHER, MAIN_DISPATCHER, DEAD_DISPATCHER])
    @vital
    def _on_state(self, event: Any) -> None:
        datapath = event.datapath
        if event.state == HANDSHAKE_DISPATCHER:
            self._handshakes.began(datapath, time.monotonic())
            return
        self._handshakes.ended(datapath)
        if event.state == DEAD_DISPATCHER:
            self._strangers.discard(datapath)
            session = self._sessions.pop(datapath, None)
            if session is not None:
                session.end()
                self.engine.emit(Event("switch.disconnected", {"switch": session.name}))
            return
        switch = self.engine.state.fabric.switch_by_dpid.get(datapath.id)
        if switch is None:
            dpid = "none" if datapath.id is None else f"{datapath.id:#x}"
            about = logs.fields(dpid=dpid)
            if _UNKNOWN("a switch with dpid %s connected, which the fabric file does not have", dpid, extra=about):
                self.engine.emit(Event("switch.unknown", {"dpid": dpid}))
            self._strangers.add(datapath)
            return
        self._welcome(datapath, switch)
        self._links_changed()

    def _welcome(self, datapath: Any, switch: Switch) -> None:
        """Bring a switch of the fabric that has connected to what it should be."""
        if self.settings.switch_certificates == "named" and not exposure.bears_name(datapath.socket, switch.name):
            _FALSE("%s says that it is switch %s, and its certificate does not; closed", datapath.address, switch.name)
            datapath.close()
            return
        for older in [row for row in self._sessions.values() if row.name == switch.name]:
            again = "switch %s connected again from %s; its older connection is closed"
            older.log.warning(again, switch.name, datapath.address)
            older.end()
            # Not here: it tells this very application, which waits while its queue is full and has no other reader.
            hub.spawn(older.datapath.close)
        audit = self.settings.audit_interval
        session = Session(datapath, switch.name, self.engine, audit, self._ports_told)
        self._sessions[datapath] = session
        for port in datapath.ports.values():
            self._port(datapath, port)
        self._links.ports_known(switch.name, datapath.ports)
        names = {number: _device(port) for number, port in datapath.ports.items()}
        self.engine.switch_ports.connected(switch.name, names)
        self.engine.emit(Event("switch.connected", {"switch": switch.name}))
        hub.spawn(vital(session.run))

    def _on_fabric(self, fabric: Fabric) -> None:
        """Another fabric. A switch that is gone from it ends by itself, when it has given up its flows."""
        self._links.use(fabric, self.engine.state.links_down)
        for session in self._sessions.values():
            switch = fabric.switches.get(session.name)
            if switch is None:
                session.wake()
            elif switch.dialect is not session.dialect:
                session.datapath.close()
            elif switch.passes_fragments is not session.passes_fragments:
                self.engine.fleet.ask_audit(session.name)
        for datapath in list(self._strangers):
            known = fabric.switch_by_dpid.get(datapath.id)
            if known is not None:
                self._strangers.discard(datapath)
                self._welcome(datapath, known)

    @set_ev_cls(ofp_event.EventOFPPortStatus, MAIN_DISPATCHER)
    @vital
    def _on_port(self, event: Any) -> None:
        message = event.msg
        ofproto = message.datapath.ofproto
        session = self._sessions.get(message.datapath)
        gone = message.reason == ofproto.OFPPR_DELETE
        if session is not None:
            session.port_news += 1
            self.engine.switch_ports.changed(session.name, message.desc.port_no, None if gone else _device(message.desc))
        self._port(message.datapath, message.desc, gone=gone)
        self._links_changed()

    def _ports_told(self, switch: str, ports: Mapping[int, bool]) -> None:
        """Take the ports of a switch that was asked for them: it may not have reported each change."""
        now = time.monotonic()
        for number, up in ports.items():
            self._links.port(switch, number, up=up, now=now)
        self._links.ports_known(switch, ports)
        self.engine.switch_ports.counted(switch, ports)
        self._links_changed()

    def _port(self, datapath: Any, port: Any, *, gone: bool = False) -> None:
        session = self._sessions.get(datapath)
        if session is not None:
            ofproto = datapath.ofproto
            dead = port.state & ofproto.OFPPS_LINK_DOWN or port.config & ofproto.OFPPC_PORT_DOWN
            self._links.port(session.name, port.port_no, up=not gone and not dead, now=time.monotonic())

    @set_ev_cls(
        [
            EventRawMultipart,
            ofp_event.EventOFPBarrierReply,
            ofp_event.EventOFPGetConfigReply,
            ofp_event.EventOFPRoleReply,
            ofp_event.EventONFBundleCtrlMsg,
        ],
        MAIN_DISPATCHER,
    )
    @vital
    def _on_reply(self, event: Any) -> None:
        session = self._sessions.get(event.msg.datapath)
        if session is not None:
            session.reply(event.msg)

    @set_ev_cls(ofp_event.EventOFPErrorMsg, [HANDSHAKE_DISPATCHER, CONFIG_DISPATCHER, MAIN_DISPATCHER])
    @vital
    def _on_error(self, event: Any) -> None:
        message = event.msg
        session = self._sessions.get(message.datapath)
        if session is not None:
            session.error(message.xid, error_text(message), error_number(message))

    @set_ev_cls(ofp_event.EventOFPExperimenter, MAIN_DISPATCHER)
    @vital
    def _on_experimenter(self, event: Any) -> None:
        session = self._sessions.get(event.msg.datapath)
        status = role_status(event.msg)
        if session is not None and status is not None and status.role != wire.ROLE_MASTER:
            session.doubt()

    @set_ev_cls(ofp_event.EventOFPPacketIn, MAIN_DISPATCHER)
    @vital
    def _on_packet_in(self, event: Any) -> None:
        message = event.msg
        session = self._sessions.get(message.datapath)
        if session is not None and session.commands and session.name in self.engine.state.fabric.switches:
            self._packets.came(session.name, packet_in(message), time.monotonic())

    def close(self) -> None:
        """Stop. Ryu calls this when it ends."""
        self.engine.close()
        super().close()


def _new_id() -> str:
    return f"m-{uuid.uuid4().hex[:12]}"


def _device(port: Any) -> str:
    """Return the name that a switch gives a port, as text."""
    name = port.name
    return name.decode(errors="replace").rstrip("\0") if isinstance(name, bytes) else str(name)
