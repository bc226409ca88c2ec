"""Rules of membership: what a VM's interfaces may be (R8 to R10, R23)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv6Address
from typing import Final

from immutables import Map

from ryu_vmmob.model.objects import Address, Cug, Interface, Vm
from ryu_vmmob.model.refusal import conflict, invalid
from ryu_vmmob.model.state import State
from ryu_vmmob.net.addresses import MAC_MULTICAST_BIT, eui64_link_local, mac, mac_text
from ryu_vmmob.net.protocols import ETH_ARP, ETH_IPV4, ETH_IPV6, ETH_RARP, ETH_TAGS


def check_interfaces(state: State, interfaces: Sequence[Interface], instead: Mapping[str, Cug], path: str) -> None:
    """Raise 422 with every fault of ``interfaces``; ``instead`` are CUGs as they are about to become."""
    faults: list[tuple[str, str]] = []
    if not interfaces:
        faults.append((path, "R10: a VM has at least one interface"))
    seen: set[str] = set()
    for number, interface in enumerate(interfaces):
        here = f"{path}[{number}]"
        cug = instead.get(interface.cug) or state.cugs.get(interface.cug)
        if interface.cug in seen:
            faults.append((f"{here}.cug", f"R10: one interface per CUG, and CUG {interface.cug!r} stands here twice"))
        seen.add(interface.cug)
        if interface.mac & MAC_MULTICAST_BIT or interface.mac == 0:
            faults.append((f"{here}.mac", f"{mac_text(interface.mac)} is no unicast address"))
        if interface.mac == mac(state.fabric.gateway_mac):
            faults.append((f"{here}.mac", f"{mac_text(interface.mac)} is the gateways' MAC"))
        if interface.vlan_id is not None and interface.guest_vlan_id is not None:
            faults.append((f"{here}.vlan_id", "R24, R27: the guest sends its own tag, so none is added that could be pinned"))
        faults.extend(_type_faults(interface, here))
        if cug is None:
            faults.append((f"{here}.cug", f"there is no CUG {interface.cug!r}"))
        else:
            faults.extend(_ip_faults(cug, gateway_addresses(state, cug), interface, here))
    if faults:
        raise invalid(*faults)


def gateway_addresses(state: State, cug: Cug) -> tuple[Address, ...]:
    """All addresses of a CUG's gateway: with IPv6 also the link-local one made of its MAC (RFC 4291, appendix A)."""
    if not any(ip.version == 6 for ip in cug.gateways):
        return cug.gateways
    return (*cug.gateways, IPv6Address(eui64_link_local(mac(state.fabric.gateway_mac))))


_OWN_RULES: Final = {ETH_ARP: "ARP", ETH_RARP: "RARP", ETH_IPV4: "IPv4", ETH_IPV6: "IPv6"}
_MIN_ETHERTYPE: Final = 0x0600
"""Below it stands a frame's length (IEEE 802.3, 3.2.6)."""


def _type_faults(interface: Interface, here: str) -> list[tuple[str, str]]:
    faults = []
    for number, kind in enumerate(interface.ethertypes if interface.ethertypes != "any" else ()):
        where = f"{here}.ethertypes[{number}]"
        if kind in _OWN_RULES:
            faults.append((where, f"{kind:#06x} is {_OWN_RULES[kind]}, which is admitted by the interface's addresses"))
        elif kind in ETH_TAGS:
            faults.append((where, f"{kind:#06x} is a VLAN tag, and a frame has one at most here"))
        elif kind < _MIN_ETHERTYPE:
            faults.append((where, f"{kind:#06x} is a length and no Ethernet type: the first one is {_MIN_ETHERTYPE:#06x}"))
    return faults


def _ip_faults(cug: Cug, gateways: Sequence[Address], interface: Interface, here: str) -> list[tuple[str, str]]:
    faults = []
    if not interface.ips:
        faults.append((f"{here}.ips", "R10: an interface has at least one address"))
    if len(set(interface.ips)) != len(interface.ips):
        faults.append((f"{here}.ips", "an address stands here twice"))
    for number, ip in enumerate(interface.ips):
        where = f"{here}.ips[{number}]"
        subnet = next((subnet for subnet in cug.subnets if ip in subnet), None)
        if ip in gateways:
            faults.append((where, f"{ip} is the gateway of CUG {cug.name!r}"))
        elif ip.version == 6 and ip.is_link_local:
            continue
        elif subnet is None:
            faults.append((where, f"R9: {ip} is in none of the subnets of CUG {cug.name!r}"))
        elif ip.version == 4 and subnet.num_addresses > 2 and ip in (subnet[0], subnet[-1]):
            faults.append((where, f"{ip} is the network or broadcast address of {subnet}"))
    return faults


def refuse_taken_addresses(state: State, interfaces: Sequence[Interface]) -> None:
    """409 when a MAC or an address is another VM's in the same CUG."""
    for interface in interfaces:
        owner = state.macs.get((interface.cug, interface.mac))
        if owner is not None:
            raise conflict(f"MAC {mac_text(interface.mac)} in CUG {interface.cug!r} is that of VM {owner!r}")
        for ip in interface.addresses:
            owner = state.ips.get((interface.cug, ip))
            if owner is not None:
                raise conflict(f"address {ip} in CUG {interface.cug!r} is that of VM {owner!r}")


def refuse_untagged_clash(state: State, vm: Vm, server: str) -> None:
    """409 when an untagged server could not tell the VM's interfaces from those already there.

    In a trivial domain the source MAC says which CUG a frame belongs to (R23), so it must be unique there, whatever the
    guests' own tags: a guest's tag may be another CUG's too.
    """
    if state.fabric.servers[server].tagged:
        return
    here = state.server_vms.get(server, Map())
    seen: set[int] = set()
    for interface in vm.interfaces:
        for cug in state.mac_cugs.get(interface.mac, Map()):
            name = state.macs[cug, interface.mac]
            if name != vm.name and name in here:
                raise conflict(
                    f"R23: server {server!r} is untagged, and there MAC {mac_text(interface.mac)} is already "
                    f"VM {name!r} in CUG {cug!r}"
                )
        if interface.mac in seen:
            raise conflict(f"R23: server {server!r} is untagged, so the interfaces of VM {vm.name!r} need different MACs there")
        seen.add(interface.mac)
