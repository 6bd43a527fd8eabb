"""How the containers' way out is closed, with an iptables that only keeps rules."""

import pytest

from labhelpers.cluster import uplink
from labhelpers.cluster.engine_record import Record
from labhelpers.errors import LabError
from tests.unit.engines import linux, recorded


@pytest.fixture(autouse=True)
def own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("PODLAB_STATE", str(tmp_path))


ROUTES = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
wlan0\t00000000\t0100A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0
"""
ROUTES_6 = f"""fd{"0" * 30} 40 {"0" * 32} 00 {"0" * 32} 00000100 00000001 00000000 00000001     eth1
{"0" * 32} 00 {"0" * 32} 00 fd{"0" * 29}1 00000400 00000002 00000000 00000003     eth0
{"0" * 32} 00 {"0" * 32} 00 {"0" * 32} ffffffff 00000001 00000000 00200200       lo
"""


def test_the_uplinks_are_the_devices_of_default_routes():
    assert uplink.uplinks(ROUTES, ROUTES_6) == (["eth0", "wlan0"], ["eth0"])
    assert uplink.uplinks("", "") == ([], [])


class Tables:
    """iptables as far as it is used here."""

    def __init__(self):
        self.rules, self.packets = [], 0

    def __call__(self, tool, *words, check=True):
        match words:
            case ["-v", "-S", chain]:
                return "".join(
                    f"-A {chain} {' '.join(rule[2:4])} -c {self.packets} 0 -j DROP\n"
                    for rule in self.rules
                    if rule[:2] == (tool, chain)
                )
            case ["-I", chain, *rest]:
                self.rules.insert(0, (tool, chain, *rest))
            case ["-D", chain, *rest]:
                self.rules.remove((tool, chain, *rest))
        return ""


@linux
def test_the_uplink_is_closed_once_and_its_counter_read(monkeypatch, sleeper):
    tables = Tables()
    monkeypatch.setattr(uplink, "iptables", tables)
    monkeypatch.setattr(
        uplink,
        "_wanted_rules",
        lambda: [("iptables", "DOCKER-USER", "eth0"), ("ip6tables", "FORWARD", "eth0")],
    )
    recorded(sleeper).write()
    with pytest.raises(LabError, match="access is not blocked"):
        uplink.packets_dropped()
    uplink.close()
    uplink.close()
    assert len(tables.rules) == 2
    assert set(Record.read().closed) == {
        ("iptables", "DOCKER-USER", "eth0"),
        ("ip6tables", "FORWARD", "eth0"),
    }
    tables.packets = 3
    assert uplink.packets_dropped() == 6


@linux
def test_the_uplink_of_a_strange_engine_is_not_closed(monkeypatch):
    monkeypatch.setattr(uplink, "iptables", lambda *_, **__: pytest.fail("a rule was read"))
    with pytest.raises(LabError, match="podlab didn't start that"):
        uplink.close()
