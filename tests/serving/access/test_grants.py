"""What may be granted, and what a wrong name is answered with."""

from pathlib import Path

import pytest

from seqplat_resources.home import Home
from seqplat_resources.release.store import LoadedRelease, ReleaseStore
from sequence_defs.compiler.discover import discover
from sequence_defs.schema import Sequence
from serving.access.grants import CannotGrant, grant, own_grants, require_tenant
from serving.access.keys.ring import Grant
from tests.building import runtime_for
from tests.serving.access.conftest import OTHER, OTHERS, OWN, published_for_two


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedRelease:
    home = published_for_two(tmp_path_factory.mktemp("granting"))
    return ReleaseStore(Home(str(home), {})).load("dev")


def test_without_a_name_there_is_nothing_to_grant(loaded: LoadedRelease) -> None:
    assert own_grants(loaded, "grocery", [], {}, []) == {}


def test_named_sequences_columns_and_personal_data(loaded: LoadedRelease) -> None:
    assert own_grants(loaded, "grocery", [OWN], {}, []) == {OWN: Grant("grocery")}
    columns = {OWN: ["sales_value", "brand", "brand"]}
    assert own_grants(loaded, "grocery", [], columns, []) == {OWN: Grant("grocery", ("sales_value", "brand"))}
    for pii in ("age", f"{OWN}:age"):
        assert own_grants(loaded, "grocery", [], {}, [pii]) == {OWN: Grant("grocery", None, ("age",))}


@pytest.mark.parametrize(
    ("sequences", "columns", "pii", "message"),
    [
        (["household_histroy"], {}, [], "tenant 'grocery' has no sequence 'household_histroy' in the release; did you "
         "mean 'household_history'? Otherwise define a sequence of tenant 'grocery' and publish it"),
        ([OTHERS], {}, [], "sequence 'zebra_visits' belongs to tenant 'zebra_team', not to 'grocery'; make the key "
         "without it, then zebra_team grants it: seqplat keys grant ID zebra_visits"),
        ([], {OWN: ["sale_value"]}, [], "sequence 'household_history' has no column 'sale_value'; did you mean "
         "'sales_value'? Otherwise `seqplat get household_history USER` shows them"),
        ([], {OWN: ["age"]}, [], "column 'age' of household_history is personal data; grant it by name: --pii age"),
        ([], {}, ["agee"], "--pii agee: no sequence in reach has personal data in such a column; did you mean 'age'? "
         "Otherwise leave it out"),
        ([], {}, [f"{OTHERS}:age"], "--pii zebra_visits:age: 'zebra_visits' is not among 'household_history'"),
        ([], {}, [f"{OWN}:brand"], "column 'brand' of household_history is not personal data; leave out --pii brand"),
    ],
)  # fmt: skip
def test_a_wrong_name_is_refused(
    loaded: LoadedRelease, sequences: list[str], columns: dict[str, list[str]], pii: list[str], message: str
) -> None:
    with pytest.raises(CannotGrant) as caught:
        own_grants(loaded, "grocery", sequences, columns, pii)
    assert str(caught.value) == message


def test_an_owner_may_grant_to_anybody(loaded: LoadedRelease) -> None:
    assert grant(loaded, OTHERS, ["amount"], []) == Grant(OTHER, ("amount",))
    with pytest.raises(CannotGrant, match="no sequence 'zebra_visit' in the release; did you mean 'zebra_visits'"):
        grant(loaded, "zebra_visit", None, [])


def test_dropped_personal_data_cannot_be_granted(tmp_path: Path) -> None:
    found = [
        each.model_copy(update={"columns": (*each.columns, "age"), "pii": "drop"})
        if isinstance(each, Sequence)
        else each
        for each in discover("sequence_defs.definitions.demo").definitions
    ]
    with pytest.raises(CannotGrant, match="drops the personal data in 'age'; its owner would write pii='granted'"):
        grant(runtime_for(tmp_path, found).loaded, OWN, None, ["age"])


def test_a_tenant_must_exist(loaded: LoadedRelease) -> None:
    require_tenant(loaded.release, OTHER)
    with pytest.raises(CannotGrant, match="no tenant 'zebra' in the release; did you mean 'zebra_team'"):
        require_tenant(loaded.release, "zebra")
