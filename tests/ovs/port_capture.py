"""What a switch sends out of one of its ports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scapy.utils import rdpcap

from ryu_vmmob.net.addresses import mac
from tests.support.controller import Site, nic_ip, nic_ip6, nic_mac

MAC, IP, IP6 = nic_mac("web", 11), nic_ip("web", 11), nic_ip6(11)


class Wire:
    """What leaves by a port, from now on."""

    def __init__(self, site: Site, port: str, file: Path, own: int = MAC) -> None:
        switch, _, number = port.partition(":")
        self._own = own
        self._device, self._file, self._ovs = site.bridges[switch].device(int(number)), file, site.ovs
        site.ovs.vsctl("set", "interface", self._device, f"options:tx_pcap={file}")

    def questions(self, kind: Any) -> list[Any]:
        """ARP requests or neighbour solicitations to the VM's MAC."""
        if not self._file.exists() or self._file.stat().st_size <= 24:
            return []
        return [row for row in rdpcap(str(self._file)) if kind in row and mac(row.dst) == self._own]

    def close(self) -> None:
        self._ovs.vsctl("remove", "interface", self._device, "options", "tx_pcap")
