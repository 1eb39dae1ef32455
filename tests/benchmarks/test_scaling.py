"""The scaling plan, by numbers that are computed by hand."""

import pytest

from benchmarks import scaling
from benchmarks.scaling import POD, largest, row


def test_a_host(monkeypatch):
    monkeypatch.setattr(scaling, 'EXCHANGED', 100e6)
    one = row(8, cycles=60e6, per_core=50, clip=250e3)
    assert one.compute == pytest.approx(0.04)  # at 1.5 GHz
    assert one.step == pytest.approx(0.04 + 2 * 7 / 8 * 100e6 / 200e9)
    assert one.clips == pytest.approx(64 / 0.040875)
    assert one.cores == pytest.approx(one.clips / 50) and one.host == one.bucket == pytest.approx(one.clips * 250e3)
    assert one.busy == pytest.approx(0.04 / 0.040875)


def test_of_two_pods_chips_exchange_parts_by_their_hosts(monkeypatch):
    monkeypatch.setattr(scaling, 'EXCHANGED', 100e6)
    one, two = (row(chips, 60e6, 50, 250e3) for chips in (256, 512))
    assert two.step - one.step == pytest.approx(100e6 / 256 / (12.5e9 / 8))
    assert two.cores == pytest.approx(one.cores * one.step / two.step)


def test_what_binds():
    """25 GB/s of a bucket are 25,000 clips of 1 MB: fifteen times what a host asks for at 1,640 clips a second."""
    of = row(256, 57e6, per_core=150, clip=1e6)
    assert max(of.shares, key=of.shares.get) == 'bandwidth of the bucket'
    assert of.busy == pytest.approx(of.compute / of.step * POD.bucket / of.bucket)
    most = largest(57e6, 150, 1e6)
    assert row(most, 57e6, 150, 1e6).bucket <= POD.bucket < row(most + 8, 57e6, 150, 1e6).bucket and most == 120
    assert largest(57e6, per_core=5, clip=1e6) == 0
    assert max(row(8, 57e6, 5, 1e6).shares.items(), key=lambda item: item[1])[0] == 'decoding cores'


def test_the_table_is_made_of_the_records():
    lines = list(scaling.section())
    assert sum(line.startswith('| 256 |') for line in lines) == 3
    assert sum('chips never wait for clips; then the' in line for line in lines) == 3
