"""What factory and monitoring ask of a snapshot: pure look-ups of resources and their downtimes."""

from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opengoc.base.errors import InvalidInput
from opengoc.base.interval import Interval
from opengoc.registry.downtime import Downtime, Severity
from opengoc.registry.model import VO, Facility, Resource, ResourceGroup, Service, Site
from opengoc.registry.snapshot import Registry

NOON = datetime(2026, 11, 14, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def downtime(number: int, start: int, end: int, **changes: object) -> Downtime:
    given_fields: dict[str, object] = {
        "id": str(number),
        "resource": "CE1",
        "services": ("CE",),
        "interval": Interval(NOON + start * HOUR, NOON + end * HOUR),
        "severity": Severity.OUTAGE,
    }
    return Downtime(**(given_fields | changes))  # type: ignore[arg-type]


def registry(*downtimes: Downtime) -> Registry:
    services = (Service(kind="CE"), Service(kind="Squid"))
    resource = Resource(id="1", name="CE1", group="G", site="S", fqdn="ce.example.org", services=services)
    return Registry(
        known_at=None,
        facilities={"F": Facility(id="1", name="F")},
        sites={"S": Site(id="1", name="S", facility="F"), "Empty": Site(id="2", name="Empty", facility="F")},
        groups={"G": ResourceGroup(id="1", name="G", site="S")},
        resources=MappingProxyType({"CE1": resource}),
        vos={"CMS": VO(id="1", name="CMS")},
        reporting_groups={},
        service_kinds={},
        support_centers={},
        downtimes={each.id: each for each in downtimes},
    )


def test_a_resource_leads_to_its_site_and_a_site_to_its_resources() -> None:
    known = registry()
    assert known.site_of("CE1").name == "S"
    assert [resource.name for resource in known.resources_of("S")] == ["CE1"]
    assert known.resources_of("Empty") == ()


def test_unknown_names_are_refused_with_where_to_look() -> None:
    for ask in (registry().resource, registry().site, registry().site_of, registry().resources_of):
        with pytest.raises(InvalidInput, match="goc registry show"):
            ask("nowhere")


def test_a_vo_is_found_whatever_the_case_of_its_name() -> None:
    found = registry().vo("cms")
    assert found is not None
    assert found.name == "CMS"
    assert registry().vo("atlas") is None


def test_an_outage_is_on_from_its_start_until_just_before_its_end() -> None:
    known = registry(downtime(1, 0, 2))
    assert not known.outage_at("CE1", NOON - timedelta(seconds=1))
    assert known.outage_at("CE1", NOON)
    assert not known.outage_at("CE1", NOON + 2 * HOUR)


@pytest.mark.parametrize(
    "harmless",
    [
        downtime(1, 0, 2, severity=Severity.NO_OUTAGE),
        downtime(1, 0, 2, cancelled_at=NOON),
        downtime(1, 0, 2, resource="CE2"),
        downtime(1, 0, 2, services=("Squid",)),
    ],
)
def test_risks_cancelled_downtimes_and_those_of_others_are_no_outage_of_the_ce(harmless: Downtime) -> None:
    assert not registry(harmless).outage_at("CE1", NOON, service="CE")


def test_the_outage_that_ends_last_is_the_one_that_counts() -> None:
    known = registry(downtime(1, -1, 1), downtime(2, 0, 5), downtime(3, -3, 2))
    outage = known.outage_at("CE1", NOON)
    assert outage is not None
    assert outage.id == "2"


def test_the_next_outage_is_the_first_that_has_not_begun() -> None:
    known = registry(
        downtime(1, -1, 1), downtime(2, 9, 10), downtime(3, 4, 5), downtime(4, 2, 3, cancelled_at=NOON)
    )
    assert known.next_outage_start("CE1", NOON) == NOON + 4 * HOUR
    assert known.next_outage_start("CE1", NOON + 9 * HOUR) is None


def test_downtimes_of_a_resource_come_by_start_and_only_where_they_overlap() -> None:
    known = registry(downtime(1, 3, 4), downtime(2, 0, 1), downtime(3, 8, 9))
    assert [each.id for each in known.downtimes_of("CE1")] == ["2", "1", "3"]
    # Half-open: the one that starts where the interval ends is outside.
    within = Interval(NOON, NOON + 3 * HOUR)
    assert [each.id for each in known.downtimes_of("CE1", within)] == ["2"]


def test_a_resource_that_is_gone_keeps_its_past_downtimes() -> None:
    assert [each.id for each in registry(downtime(1, 0, 1, resource="Gone")).downtimes_of("Gone")] == ["1"]


_spans = st.lists(
    st.tuples(st.integers(-20, 20), st.integers(1, 10), st.booleans()).map(
        lambda span: (span[0], span[0] + span[1], span[2])
    ),
    max_size=8,
)


@given(_spans)
def test_an_hour_is_in_outage_exactly_when_a_downtime_that_stands_holds_it(
    spans: list[tuple[int, int, bool]],
) -> None:
    known = registry(
        *(
            downtime(number, start, end, cancelled_at=NOON if cancelled else None)
            for number, (start, end, cancelled) in enumerate(spans)
        )
    )
    for hour in range(-10, 10):
        moment = NOON + hour * HOUR
        expected = any(start <= hour < end for start, end, cancelled in spans if not cancelled)
        assert (known.outage_at("CE1", moment) is not None) is expected
