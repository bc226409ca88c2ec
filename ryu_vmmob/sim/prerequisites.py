"""What a switch refuses before any packet comes: missing prerequisites, gotos backwards, groups that are not there.

OpenFlow 1.3.5, 7.2.3.8 (prerequisites of a match) and 7.2.5 (the same for fields that are set), as strict as Open
vSwitch 3.1 takes them: a field that is set has to have its prerequisites in the *match* of the same flow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ryu_vmmob.flows.fields import VID_PRESENT
from ryu_vmmob.flows.flow import (
    CONTROLLER,
    IN_PORT,
    Action,
    DecTtl,
    Flow,
    GivePriority,
    Group,
    GroupType,
    KeepPriority,
    Match,
    Move,
    Output,
    PopVlan,
    PushVlan,
    SetField,
    ToGroup,
    group_name,
)
from ryu_vmmob.net.protocols import ETH_ARP, ETH_IPV4, ETH_IPV6, ETH_RARP

MAX_PORT: Final = 0xFFFFFEFF
_Needs = Mapping[str, frozenset[int]]


class TableError(ValueError):
    """Flows or groups that a switch would refuse, or whose meaning OpenFlow leaves open."""


def _needs(names: str, **values: tuple[int, ...]) -> dict[str, _Needs]:
    return {name: {field: frozenset(allowed) for field, allowed in values.items()} for name in names.split()}


PREREQUISITES: Final[Mapping[str, _Needs]] = {
    **_needs("arp_op arp_spa arp_tpa arp_sha arp_tha", eth_type=(ETH_ARP, ETH_RARP)),
    **_needs("ip_proto ip_frag nw_ttl", eth_type=(ETH_IPV4, ETH_IPV6)),
    **_needs("ipv4_src ipv4_dst", eth_type=(ETH_IPV4,)),
    **_needs("ipv6_src ipv6_dst", eth_type=(ETH_IPV6,)),
    **_needs("tcp_src tcp_dst tcp_flags", eth_type=(ETH_IPV4, ETH_IPV6), ip_proto=(6,)),
    **_needs("udp_src udp_dst", eth_type=(ETH_IPV4, ETH_IPV6), ip_proto=(17,)),
    **_needs("icmpv4_type icmpv4_code", eth_type=(ETH_IPV4,), ip_proto=(1,)),
    **_needs("icmpv6_type icmpv6_code", eth_type=(ETH_IPV6,), ip_proto=(58,)),
    **_needs("ipv6_nd_target nd_reserved nd_options_type", eth_type=(ETH_IPV6,), ip_proto=(58,), icmpv6_type=(135, 136)),
    **_needs("ipv6_nd_sll", eth_type=(ETH_IPV6,), ip_proto=(58,), icmpv6_type=(135,)),
    **_needs("ipv6_nd_tll", eth_type=(ETH_IPV6,), ip_proto=(58,), icmpv6_type=(136,)),
}
"""For each field, the fields that must be matched exactly, and to which values."""


UNMASKED: Final = frozenset(
    {"in_port", "eth_type", "ip_proto", "nw_ttl", "arp_op", "icmpv4_type", "icmpv4_code", "icmpv6_type", "icmpv6_code"}
    | {"nd_reserved", "nd_options_type"}
)
"""Fields that Open vSwitch matches as a whole or not at all."""
READ_ONLY: Final = frozenset({"eth_type", "ip_proto", "ip_frag", "tcp_flags"})
"""Fields that Open vSwitch matches and does not set."""


def check_flow(flow: Flow, groups: Mapping[int, Group]) -> None:
    """Raise TableError when a switch would refuse this flow."""
    try:
        exact = _exact(flow.match)
        for name, value, mask in flow.match:
            _check_field(name, exact)
            if mask is not None and name in UNMASKED:
                raise TableError(f"{name} takes no mask")
            if mask is not None and value & ~mask:
                raise TableError(f"{name} has bits set outside its mask")
        if flow.goto is not None and flow.goto.id <= flow.table.id:
            raise TableError(f"goto leads back to {flow.goto.label}")
        check_actions(flow.actions, exact, tagged=_is_tagged(flow.match), groups=groups)
    except TableError as error:
        raise TableError(f"{error}: {flow}") from None


def check_group(group: Group, groups: Mapping[int, Group]) -> None:
    """Raise TableError when a switch would refuse this group, or when it leads to itself."""
    try:
        if group.type is GroupType.INDIRECT and len(group.buckets) != 1:
            raise TableError("an indirect group has exactly one bucket")
        for bucket in group.buckets:
            if (bucket.watch is None) is (group.type is GroupType.FAST_FAILOVER):
                raise TableError("a bucket watches a port in fast failover groups, and only there")
            _check_set(bucket.actions)
            # What enters a group is not known here, so only its own tags and its outputs are judged.
            check_actions(bucket.actions, None, tagged=None, groups=groups)
        _check_cycle(group, groups)
    except TableError as error:
        raise TableError(f"{error}: {group}") from None


def check_actions(
    actions: tuple[Action, ...], exact: Mapping[str, int] | None, *, tagged: bool | None, groups: Mapping[int, Group]
) -> None:
    """``exact`` is what the match fixes and ``tagged`` what it says of a tag; None where that is not known."""
    for action in actions:
        tagged = _check_tag(action, tagged=tagged)
        match action:
            case SetField(name="vlan_vid"):
                pass
            case SetField(name=name) if name in READ_ONLY:
                raise TableError(f"{name} is read-only")
            case SetField(name=name) if exact is not None:
                _check_field(name, exact)
            case DecTtl() if exact is not None:
                _check_field("nw_ttl", exact)
            case Move(source=source, target=target) if exact is not None:
                _check_field(source, exact)
                _check_field(target, exact)
            case ToGroup(group=number):
                if number not in groups:
                    raise TableError(f"group {group_name(number)} does not exist")
            case Output(port=port):
                if not 1 <= port <= MAX_PORT and port not in (IN_PORT, CONTROLLER):
                    raise TableError(f"no output to port {port:#x}")


def _check_tag(action: Action, *, tagged: bool | None) -> bool | None:
    """Check an action on the outer tag; return whether there is a tag behind the action, None where that is not known."""
    match action:
        case PushVlan():
            return True
        case PopVlan():
            if tagged is False:
                raise TableError("pop_vlan where no tag is")
            return None  # another tag may lie below; the action that touches it is checked then
        case KeepPriority() | GivePriority():
            if tagged is False:
                raise TableError("the priority of a tag where no tag is")
        case SetField(name="vlan_vid", value=value):
            if tagged is False:
                raise TableError("set vlan_vid where no tag is")
            if not value & VID_PRESENT:
                raise TableError("set vlan_vid without the tag-present bit")
    return tagged


def _check_set(actions: tuple[Action, ...]) -> None:
    """Check that a bucket is an action *set* (OpenFlow 1.3.5, 5.10): each kind once, tags off before on, one way out, at the
    end.
    """
    kinds = [type(action).__name__ + (action.name if isinstance(action, SetField) else "") for action in actions]
    if any(isinstance(action, (Output, ToGroup)) for action in actions[:-1]):
        raise TableError("a bucket has one output or group, as its last action")
    if len(set(kinds)) < len(kinds) or ("PopVlan" in kinds and kinds.index("PopVlan") > 0):
        raise TableError("a bucket is carried out as a set: this order, or this repetition, is lost")


def _exact(match: Match) -> dict[str, int]:
    return {name: value for name, value, mask in match if mask is None}


def _is_tagged(match: Match) -> bool:
    """Open vSwitch wants the match to say that there is a tag before one may be changed or taken off."""
    return any(name == "vlan_vid" and value & VID_PRESENT for name, value, _ in match)


def _check_field(name: str, exact: Mapping[str, int]) -> None:
    for needed, allowed in PREREQUISITES.get(name, {}).items():
        if exact.get(needed) not in allowed:
            wanted = " or ".join(f"{value:#x}" for value in sorted(allowed))
            raise TableError(f"{name} needs {needed} {wanted} in the match")


def _check_cycle(group: Group, groups: Mapping[int, Group]) -> None:
    seen: set[int] = set()
    waiting = list(group.refers_to)
    while waiting:
        number = waiting.pop()
        if number == group.id:
            raise TableError("the group leads back to itself")
        if number not in seen and number in groups:
            seen.add(number)
            waiting += groups[number].refers_to
