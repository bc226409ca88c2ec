"""Random fabrics: one or two data centres, racks under spines or borders, every kind of domain, link and server."""

from __future__ import annotations

from hypothesis import strategies as st

from ryu_vmmob.fabric.model import BackupPaths, DataCenter, Fabric, L2Domain, Link, PortRef, Role, Server, Switch

_RANGE = tuple(range(100, 116))


@st.composite
def fabrics(draw: st.DrawFn) -> Fabric:
    """A connected fabric of 2 to 9 switches with at least 3 servers, mostly redundant."""
    domains: dict[str, L2Domain] = {}
    switches: dict[str, Switch] = {}
    links: list[Link] = []
    servers: dict[str, Server] = {}
    ports: dict[str, int] = {}

    def port(switch: str) -> PortRef:
        ports[switch] = ports.get(switch, 0) + 1
        return PortRef(switch, ports[switch])

    def domain(name: str, data_center: str | None) -> str:
        if name not in domains:
            domains[name] = L2Domain(name, _RANGE, data_center, translate_guest_tags=draw(st.booleans()))
        return name

    def switch(name: str, role: Role, l2_domain: str, data_center: str) -> None:
        switches[name] = Switch(name, len(switches) + 1, role, l2_domain, data_center)

    def link(one: str, other: str, l2_domain: str) -> None:
        links.append(Link(port(one), port(other), l2_domain))

    centers = draw(st.integers(1, 2))
    borders = []
    for center in range(1, centers + 1):
        dc = f"dc{center}"
        core = domain(f"core{center}", dc)
        tops = draw(st.integers(1, 2))
        role = draw(st.sampled_from([Role.SPINE, Role.BORDER])) if centers == 1 else Role.BORDER
        uppers = [f"{'spine' if role is Role.SPINE else 'border'}{center}{letter}" for letter in "ab"[:tops]]
        for name in uppers:
            switch(name, role, core, dc)
        if tops == 2 and draw(st.booleans()):
            link(uppers[0], uppers[1], core)
        borders.append(uppers)
        for rack in range(draw(st.integers(1, 3))):
            tor = f"tor{center}{rack}"
            # A rack's domain may be its own, or span the whole data centre up to the border.
            own = domain(f"rack{center}{rack}", dc) if draw(st.booleans()) else core
            switch(tor, Role.TOR, own, dc)
            for name in uppers:
                # The uplinks of one ToR need not all be in one domain.
                where = core if draw(st.integers(0, 3)) else own
                for _ in range(draw(st.sampled_from([1, 1, 2]))):
                    link(tor, name, where)
            for number in range(draw(st.integers(1, 3))):
                _server(draw, servers, f"s{center}{rack}{number}", tor, own, port)
    if centers == 2:
        wan = domain("wan", None)
        pairs = [(one, other) for one in borders[0] for other in borders[1]]
        for one, other in pairs[: draw(st.integers(1, len(pairs)))]:
            link(one, other, wan)
    while len(servers) < 3:
        name = f"x{len(servers)}"
        tor = next(name for name, row in switches.items() if row.role is Role.TOR)
        _server(draw, servers, name, tor, switches[tor].l2_domain, port)
    return Fabric(
        "random", "02:00:5e:00:00:01", {f"dc{n}": DataCenter(f"dc{n}") for n in range(1, centers + 1)}, domains, switches,
        tuple(links), servers, backup_paths=draw(st.sampled_from(BackupPaths)),
    )  # fmt: skip


def _server(draw: st.DrawFn, servers: dict[str, Server], name: str, tor: str, l2_domain: str, port: object) -> None:
    kind = draw(st.sampled_from(["per_interface", "per_interface", "per_cug", "untagged"]))
    attach = tuple(port(tor) for _ in range(draw(st.sampled_from([1, 1, 1, 2]))))  # type: ignore[operator]
    # Few numbers, so that vNICs meet on a cable, and with the guests' own tags.
    own = tuple(range(96, 96 + draw(st.integers(6, 12)))) if kind == "per_interface" else ()
    servers[name] = Server(name, attach, l2_domain if kind == "per_cug" else None, own)
