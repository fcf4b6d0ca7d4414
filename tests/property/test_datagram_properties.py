"""Bytes in, value or DecodeError out; and what is encoded is decoded again."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sflow_gmetrics.datagram import Datagram, Sample, decode_datagram, decode_structure, encode_datagram, encode_sample
from sflow_gmetrics.errors import DecodeError
from sflow_gmetrics.schema import Structure
from sflow_gmetrics.structures import COUNTER_RECORDS, FLOW_RECORDS
from sflow_gmetrics.xdr import Cursor, write_fields
from tests.property.strategies import damaged, datagrams, fields_of

EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "60"))
"""Enough for a run of seconds; set it to some thousands for a search by hand."""
QUICK = settings(max_examples=EXAMPLES, suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large))
STRUCTURES = [*COUNTER_RECORDS.values(), *FLOW_RECORDS.values()]


@QUICK
@given(datagrams())
def test_datagram_survives_the_wire(datagram: Datagram) -> None:
    assert decode_datagram(encode_datagram(datagram)) == datagram


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda one: one.name)
def test_structure_survives_the_wire(structure: Structure) -> None:
    @settings(QUICK, max_examples=max(20, EXAMPLES // 4))
    @given(st.data())
    def survives(data: st.DataObject) -> None:
        fields = data.draw(fields_of(structure))
        wire = write_fields(fields, [member for member in structure.members if member[0] in fields])
        assert decode_structure(structure, Cursor(wire)) == fields

    survives()


@QUICK
@given(st.binary(max_size=300))
def test_any_bytes_give_a_value_or_a_decode_error(payload: bytes) -> None:
    _decode(payload)


@QUICK
@given(st.data())
def test_damaged_datagram_gives_a_value_or_a_decode_error(data: st.DataObject) -> None:
    whole = encode_datagram(data.draw(datagrams()))
    _decode(data.draw(damaged(whole)))


@QUICK
@given(st.data())
def test_damage_in_one_sample_leaves_the_others_alone(data: st.DataObject) -> None:
    """Bytes of a sample's body may change as they like: its neighbours stay what they are."""
    datagram = data.draw(datagrams().filter(lambda one: len(one.samples) > 1 and one.agent != ""))
    wire = bytearray(encode_datagram(datagram))
    victim = data.draw(st.integers(0, len(datagram.samples) - 1))
    start = len(wire) - sum(map(_size, datagram.samples[victim:]))
    end = start + _size(datagram.samples[victim])
    for place in data.draw(st.lists(st.integers(start + 8, max(start + 8, end - 1)), max_size=4)):
        if place < end:
            wire[place] = data.draw(st.integers(0, 255))
    found = decode_datagram(bytes(wire))
    assert found.samples[:victim] == datagram.samples[:victim]
    assert found.samples[victim + 1 :] == datagram.samples[victim + 1 :]


def _size(sample: Sample) -> int:
    return len(encode_sample(sample))


def _decode(payload: bytes) -> None:
    """Decode, look at the reasons, encode again. Any exception but DecodeError fails the test."""
    reasons: list[str] = []
    try:
        datagram = decode_datagram(payload)
    except DecodeError as error:
        reasons = [error.reason]
    else:
        reasons = [sample.malformed for sample in datagram.samples if sample.malformed]
        again = decode_datagram(encode_datagram(datagram))
        assert [sample.tag for sample in again.samples] == [sample.tag for sample in datagram.samples]
    assert {reason.split(":")[0] for reason in reasons} <= set(DecodeError.REASONS)
