"""A fix that is followed leaves no finding: for every rule, and mechanically wherever its words name the edit."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from sequence_defs.analysis.diagnostics import RULES, Diagnostic
from tests.sequence_defs.following import CannotFollow, followed
from tests.sequence_defs.test_rules import CASES, Case, broken

Check = Callable[[str], list[Diagnostic]]
Edits = tuple[tuple[str, str], ...]

# Each step mends one thing; what was hidden behind a name that did not resolve comes up after it.
MOST_STEPS = 4

# Of rules whose fix is a decision: what a reader of it may write, in the first case of the rule that this fits.
BY_HAND: dict[str, Edits] = {
    "SP101": (("again = Tenant(name='shop', tenant='shop')\n", ""),),
    "SP108": (('"old_views",\n    tenant="mall",\n    shared_with=("shop",)', '"old_views",\n    tenant="shop"'),),
    "SP110": (('name="orders",\n    tenant="shop"', 'name="orders",\n    shared_with=("mall",),\n    tenant="shop"'),),
    "SP123": (('Column(name="town", dtype="string")', 'Column(name="town", dtype="string", sql="city")'),),
    "SP127": (('name="offset"', 'name="offset_value"'),),
    "SP128": (('"event_time",\n        "spent",\n', '"event_time",\n'),),
    "SP132": ((", quote=\"'\")", ")"), ("delimiter=\"'\"", "delimiter=';'")),
    "SP133": (('Column(name="day", dtype="int64")', 'Column(name="catalogue_day", field="day", dtype="int64")'),
              ('key=("day",)', 'key=("catalogue_day",)'), ('on={"day": "item"}', 'on={"catalogue_day": "item"}')),
    "SP201": (("dwell_s >", "dwell_s > 2"),),
    "SP203": (("member > 1", "TRY_CAST(member AS BIGINT) > 1"),),
    "SP204": (("ts < NOW()", "ts < received_at"),),
    "SP205": (('filter="sku"', 'filter="sku > 0"'),),
    "SP206": (('sql="sku / 2"', 'sql="TRY_CAST(sku / 2 AS BIGINT)"'),),
    "SP207": (("price - SUM(price)", "price - SUM(price) OVER (PARTITION BY user_id ORDER BY event_time)"),),
    "SP208": (("PARTITION BY city ORDER", "PARTITION BY user_id, city ORDER"),),
    "SP209": ((', sql="1.0")', ")"),),
    "SP210": (("vector[float16,64]", "vector[float16,32]"), ("vector[float32,64]", "vector[float32,32]")),
    "SP222": (('on={"sku": "view_id"}', 'on={"sku": "item"}'),),
    "SP223": (('name="member", dtype="int64"', 'name="member", dtype="string"'),),
    "SP224": (('"order": "city"}', '"order": "sku"}'),),
    "SP225": (('sql="vector"', 'sql="vector", model="item2vec-3"'),),
    "SP228": (('{"brand": 7}', '{"brand": "7"}'),),
    "SP230": (('order="dwell_s"', 'order="sku"'),),
    "SP231": (("default=7", 'default="Rome"'),),
    "SP241": (('Time(sql="member")', "Time(sql=\"STRPTIME(member, '%Y-%m-%d %H:%M:%S')\")"),),
    "SP243": (('Time(sql="changed", epoch_unit="ms")', 'Time(sql="changed", epoch_unit="s")'),),
    "SP245": (("'yyyy-MM-dd'", "'%Y-%m-%d %H:%M:%S'"),),
    "SP251": (('"member",\n    retention', '"member",\n    start=dt.date(2024, 1, 1),\n    retention'),),
    "SP252": (("start=dt.date(2025, 2, 1)", "start=dt.date(2024, 2, 1)"),),
    "SP253": (("start=dt.date(2023, 2, 1)", "start=dt.date(2024, 1, 1)"),),
    "SP254": (('    no_file_on="any",\n', ""),),
    "SP302": (('    id_field="order_no",\n', ""),),
    "SP304": (('natural_key=("order_no", "paid")', 'natural_key=("order_no", "line_no")'),),
    "SP306": ((', sql="CAST(received_at AS VARCHAR)"', ""), (', sql="CAST(received_at AS TEXT)"', "")),
    "SP313": (('    topic="catalogue",\n', ""),),
    "SP314": (('    location="orders.csv",\n    topic="log",\n', '    location="orders.csv",\n'),),
    "SP401": (("    window_days=365,", "    length=512,\n    window_days=365,"),),
    "SP404": (("    valid_from=", "    max_age_days=365,\n    valid_from="),),
    "SP502": (('    url="https://risk', '    description="Fraud score.",\n    url="https://risk'),),
    "SP503": (("    start=dt.date(2024, 2, 1)", "    retention_days=365,\n    start=dt.date(2024, 2, 1)"),),
    "SP508": (('    lifecycle="draft",\n', ""),),
    "SP602": (("?v=2&api_key=abc", '?v=2",\n    secret_env="RISK_KEY'),),
    "SP702": (('unit="USD", sql="price"', 'unit="seconds", sql="price * 2.0"'),),
    "SP704": (('scope="dwell"', 'scope="brand"'),),
    "SP705": (('name="actions"', 'name="actions_value"'),),
    "SP707": (('action="brand"', 'action="brand",\n    actions=("acme",)'),),
    "SP712": ((', action="spent"', ""),),
    "SP713": (('name="events"', 'name="events_value"'),),
    "SP716": (('    collapse=Collapse(by=("item",), within_s=3600, actions=("view",)),\n', ""),),
    "SP802": (('    op="id",\n', ""),),
    "SP805": (('    lifecycle="shadow",\n', ""),),
    "SP806": ((', replay="views"', ""),),
    "SP807": (("        replay=_AGAIN,", ""),),
    "SP812": (('name="article", dtype="string"', 'name="article", dtype="int32"'),),
    "SP813": (("Compared(relative=1e-6)", "Compared(absolute=1e-6)"),),
    "SP814": (("until=dt.date(2024, 1, 31)", "until=dt.date(2024, 12, 31)"),),
    "SP815": (('because="Waits."', 'because="Waits.", at_most=0.01'),),
    "SP832": (('            "embedding": Compared(field="vector_32", cosine=0.999),\n', ""),),
    "SP833": (("view__legacy", "bought"),),
    "SP834": (('Column(name="item", dtype="int64"', 'Column(name="item", pii=True, dtype="int64"'),),
    "SP841": (('event_id="id",\n        columns', 'event_id="id",\n        serve=True,\n        columns'),
              ('            "embedding": Compared(field="vector_32", cosine=0.999),\n', "")),
    "SP844": (("UserMetric(name='m', event_type='order')", "UserMetric(name='n', event_type='order')"),),
}  # fmt: skip


def _mechanically(check: Check, text: str) -> bool:
    for _ in range(MOST_STEPS):
        findings = check(text)
        if not findings:
            return True
        try:
            text = followed(text, findings[0])
        except (CannotFollow, SyntaxError):
            return False
    return not check(text)


def _by_hand(check: Check, text: str, edits: Edits) -> bool:
    changed = text
    for old, new in edits:
        changed = changed.replace(old, new)
    return changed != text and not check(changed)


def _cases(rule: str) -> list[Case]:
    return [case for case in CASES if case.rule == rule]


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_fix_that_is_followed_leaves_no_finding(check: Check, shop_text: str, rule: str) -> None:
    texts = [broken(shop_text, case) for case in _cases(rule)]
    edits = BY_HAND.get(rule)
    if edits is None:
        assert any(_mechanically(check, text) for text in texts)
    else:
        assert any(_by_hand(check, text, edits) for text in texts)


def test_what_follows_mechanically_is_not_followed_by_hand() -> None:
    """Rules are in their order, so that a new one is easily seen to be missing."""
    assert all(first < second for first, second in pairwise(BY_HAND))
    assert set(BY_HAND) <= set(RULES)
