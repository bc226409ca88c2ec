"""The pure parts of the laboratory with QEMU guests: accounts of packets, archives, the order of kernel modules, batches."""

from __future__ import annotations

import pytest

from mininet_topos.qemu import account, cpio
from mininet_topos.qemu.capture import Frame
from mininet_topos.qemu.image import ImageError, module_order
from mininet_topos.qemu.late import missed
from mininet_topos.servers import port_settings
from mininet_topos.switchover import BYTES_A_CALL, FRAMES_A_CALL, Rest, batches

MS = 1_000_000


def _sent(number: int) -> list[int]:
    return [4 * MS * n for n in range(number)]


def test_packets_received_once_and_in_order_count_no_fault() -> None:
    one = account.received("a > b", _sent(100), account.runs("0-99"), (100 * MS, 120 * MS))
    assert (one.sent, one.received, one.lost, one.doubled, one.stale, one.reordered, one.missing) == (100, 100, 0, 0, 0, 0, ())
    assert one.in_pause == 6  # numbers 25 to 30, both ends included
    assert one.lost_in_pause == 0


def test_losses_are_told_apart_by_the_pause() -> None:
    one = account.received("a > b", _sent(100), account.runs("0-26,31-98"), (100 * MS, 120 * MS))
    assert one.missing == (27, 28, 29, 30, 99)
    assert (one.lost, one.lost_in_pause, one.reordered) == (5, 4, 0)


def test_frames_that_were_sent_on_are_reordered_and_not_stale() -> None:
    one = account.received("a > b", _sent(200), account.runs("0-26,31-199,27-30"), (100 * MS, 600 * MS))
    assert (one.lost, one.doubled, one.reordered, one.stale) == (0, 0, 4, 0)


def test_doubles_after_a_second_are_stale() -> None:
    one = account.received("a > b", _sent(600), account.runs("0-399,50-60,400-599"), (0, 0))
    assert (one.lost, one.doubled, one.reordered, one.stale) == (0, 11, 11, 11)
    late = account.received("a > b", _sent(600), account.runs("0-399,390-395,400-599"), (0, 0))
    assert (late.doubled, late.stale) == (6, 0)


def test_nothing_that_came_is_all_lost() -> None:
    assert account.received("a > b", _sent(5), account.runs(""), (0, 0)).lost == 5


@pytest.mark.parametrize("runs", ["0-5", "7-7", "3-2"])
def test_packets_that_were_never_sent_are_refused(runs: str) -> None:
    with pytest.raises(ValueError, match="arrived, 5 were sent"):
        account.received("a > b", _sent(5), account.runs(runs), (0, 0))


def test_an_archive_has_aligned_records_and_an_end() -> None:
    entries = [cpio.program("a", b"12345"), cpio.terminal("dev/console", 5, 1)]
    data = cpio.archive(entries)
    assert len(data) % 4 == 0
    assert data.startswith(b"070701")
    assert data.count(b"070701") == 3
    assert b"TRAILER!!!" in data
    console = data[data.index(b"dev/console") - 110 :]
    assert (console[14:22], console[78:86], console[86:94]) == (b"00002180", b"00000005", b"00000001")
    assert cpio.archive(entries) == data


def test_modules_come_after_those_they_need() -> None:
    found = {
        "virtio_net": b"\0depends=net-failover,virtio\0name=x\0",
        "net_failover": b"\0depends=failover\0",
        "failover": b"\0depends=\0",
        "virtio": b"\0depends=\0",
    }
    assert module_order(found, ("virtio_net", "virtio")) == ["failover", "net_failover", "virtio", "virtio_net"]
    with pytest.raises(ImageError, match="no module virtio_pci"):
        module_order(found, ("virtio_pci",))


def _frames(*times: int) -> list[Frame]:
    return [Frame(at * MS, bytes([at % 256])) for at in times]


@pytest.mark.parametrize(
    ("times", "under_way", "expected"),
    [
        ((), 0, ()),
        ((900, 996), 0, ()),  # all got before the stop
        ((992, 996, 1004, 1008), 3, (996, 1004, 1008)),
        ((992, 996, 1004, 1008), 4, (992, 996, 1004, 1008)),
        ((996, 1004, 1008), 1, (1004, 1008)),  # what comes after the stop the guest cannot have got
        ((500, 996, 1004), 3, (1004,)),  # nothing waits that long: the stamps are believed
        ((996, 1004), 7, (1004,)),
    ],
)
def test_which_frames_the_guest_missed(times: tuple[int, ...], under_way: int, expected: tuple[int, ...]) -> None:
    assert missed(_frames(*times), under_way, 1000 * MS) == _frames(*expected)


def test_ports_of_vnics() -> None:
    assert port_settings(110) == ("vlan_mode=access", "tag=110", "trunks=[]")
    assert port_settings(None) == ("vlan_mode=access", "tag=0", "trunks=[]")
    assert port_settings(None, 42) == ("vlan_mode=native-tagged", "tag=42", "trunks=42")
    with pytest.raises(ValueError, match="tags with 42 itself"):
        port_settings(110, 42)


def test_frames_are_sent_on_in_order_and_in_parts_that_one_call_may_carry() -> None:
    calls: list[tuple[str, object]] = []

    def post(path: str, body: object) -> dict[str, int]:
        calls.append((path, body))
        assert isinstance(body, dict)
        return {"sent": len(body["frames"])}

    small = [n.to_bytes(2, "big") * 30 for n in range(FRAMES_A_CALL + 1)]
    assert Rest("m-1", post).send_on(3, small) == len(small)
    assert [path for path, _ in calls] == ["/v1/migrations/m-1/frames"] * 2
    assert [body for _, body in calls] == [
        {"interface": 3, "frames": small[:-1]}, {"interface": 3, "frames": small[-1:]}
    ]  # fmt: skip
    large = [bytes(9000)] * (BYTES_A_CALL // 9000 + 1)
    assert [len(part) for part in batches(large)] == [BYTES_A_CALL // 9000, 1]
    assert list(batches([])) == []
