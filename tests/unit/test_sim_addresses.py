"""The judge's own derived addresses, by the examples of the RFCs, and the product's beside them."""

from __future__ import annotations

from ipaddress import IPv6Address

from hypothesis import given
from hypothesis import strategies as st

from ryu_vmmob.flows.router import router_mac
from ryu_vmmob.net import addresses as product
from ryu_vmmob.sim import addresses
from tests.support import facts
from tests.support.commands import start
from tests.support.fabrics import two_racks

MACS, ADDRESSES = st.integers(0, 2**48 - 1), st.integers(0, 2**128 - 1)


def test_the_examples_of_the_rfcs() -> None:
    """RFC 4291, appendix A and 2.7.1; RFC 2464, 7."""
    assert IPv6Address(addresses.eui64_link_local(0x3456789ABCDE)) == IPv6Address("fe80::3656:78ff:fe9a:bcde")
    assert addresses.multicast_mac(int(IPv6Address("ff02::1:ff0e:8c6c"))) == 0x3333FF0E8C6C
    found = addresses.solicited_node(int(IPv6Address("4037::01:800:200e:8c6c")))
    assert IPv6Address(found) == IPv6Address("ff02::1:ff0e:8c6c")


@given(MACS, ADDRESSES)
def test_the_product_derives_the_same(mac: int, address: int) -> None:
    assert product.eui64_link_local(mac) == addresses.eui64_link_local(mac)
    assert product.multicast_mac(address) == addresses.multicast_mac(address)
    assert product.solicited_node(address) == addresses.solicited_node(address)


def test_so_it_is_with_the_mac_of_an_edge() -> None:
    state = start(two_racks())
    for name in state.fabric.switches:
        assert router_mac(state, name) == facts.router_mac(state, name)
