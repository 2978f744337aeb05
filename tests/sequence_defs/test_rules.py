"""Every rule fires on what it is for, alone, at the line that is wrong, with words that help."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from sequence_defs.analysis.diagnostics import RULES, Diagnostic

Check = Callable[[str], list[Diagnostic]]


@dataclass(frozen=True)
class Case:
    """``old`` becomes ``new`` in the shop, and ``more`` likewise; the finding is on the line where ``at`` begins."""

    rule: str
    old: str
    new: str
    at: str
    message: str
    fix: str
    more: tuple[tuple[str, str], ...] = ()
    count: int = 1

    def __str__(self) -> str:
        return f"{self.rule}: {self.new.strip()[:40]}"


_NO_VECTOR = (('            "embedding": Compared(field="vector_32", cosine=0.999),\n', ""),)

_ORDERS = "orders = Source("
_REPLAY = '_AGAIN = Blobs(location="PLACE", user_id="uid", events="state")\n\norders = Source('
_AGAIN = """again = Source(
    name="again",
    tenant="shop",
    owner="team:shop",
    description="Page views as a second run of the nightly job wrote them.",
    location="PLACE",
    format="ndjson",
    columns=(
        Column(name="seen_at", dtype="int64"),
        Column(name="who", dtype="string", nullable=False),
        Column(name="id", dtype="string"),
        Column(name="article", dtype="int64"),
    ),
    event_time=Time(sql="seen_at", epoch_unit="s"),
    user_id="who",
    retention_days=730,
)

orders = Source("""

_EXPERIMENT = (
    ("    EventType,\n    Explained,", "    EventType,\n    Experiment,\n    Explained,"),
    ("    LegacySequence,\n    ObjectView,", "    LegacySequence,\n    UserMetric,\n    ObjectView,"),
)
_SERVED = (
    *_EXPERIMENT,
    *_NO_VECTOR,
    ('event_id="id",\n        columns', 'event_id="id",\n        serve=True,\n        columns'),
)


def _measured(metrics: str) -> tuple[str, str]:
    """What becomes what, so that views have an experiment."""
    old = '    legacy=Legacy(\n        source="old_views",'
    return old, f"    experiment=Experiment(metrics=({metrics},)),\n{old}"


_TRAINING = """buyers = TrainingSet(
    name="buyers",
    tenant="shop",
    owner="team:shop",
    description="Who looks, and whether they buy.",
    sequence="activity",
    moments=Moments(events="view", where="dwell > 1.0"),
    outcomes=(
        Followed(name="bought", events="order", within_h=168),
        Followed(name="dwelt", events="view", within_h=24, kind="sum", column="dwell"),
    ),
    negatives=FewNegatives(outcome="bought", cap=3),
    columns=("item", "brand"),
    start=dt.date(2024, 1, 1),
)

article = ObjectView("""


def _of_training(rule: str, old: str, new: str, at: str, message: str, fix: str) -> Case:
    """The shop has a training set as well, in which ``old`` is ``new``."""
    assert old in _TRAINING
    imports = tuple(
        (f"    {before},\n", f"    {before},\n" + "".join(f"    {name},\n" for name in names))
        for before, *names in (("Explained", "FewNegatives", "Followed", "Moments"), ("Time", "TrainingSet"))
    )
    return Case(rule, "article = ObjectView(", _TRAINING.replace(old, new), at, message, fix, more=imports)


_ITEMS = """items = Sequence(
    name="items",
    tenant="shop",
    owner="team:shop",
    description="What a member did with each item.",
    event_types=("view", "order"),
    columns=(
        "embedding",
        "spent",
        Pick(name="item", columns={"view": "item", "order": "sku"}),
        Pick(name="brand", columns={"view": "brand", "order": "product_brand"}),
    ),
    length=512,
    window_days=365,
    collapse=Collapse(by=("item",), within_s=3600, actions=("view", "order")),
)

article = ObjectView("""


def _of_items(rule: str, old: str, new: str, at: str, message: str, fix: str) -> Case:
    """The shop has a sequence with a row for each item as well, in which ``old`` is ``new``."""
    assert old in _ITEMS
    imports = (("    Blobs,\n", "    Blobs,\n    Collapse,\n"),)
    return Case(rule, "article = ObjectView(", _ITEMS.replace(old, new), at, message, fix, more=imports)


# fmt: off
CASES = [
    # collapse
    _of_items("SP711", 'by=("item",)', 'by=("itme",)', "collapse=Collapse",
              "by of collapse names 'itme', which is no column of sequence 'items'", "did you mean 'item'?"),
    _of_items("SP711", 'by=("item",)', 'by=("item",), action="brnd"', "collapse=Collapse",
              "action of collapse names 'brnd', which is no column of sequence 'items'", "did you mean 'brand'?"),
    _of_items("SP711", ', "order": "sku"}', "}", "collapse=Collapse",
              "by of collapse names 'item', which events of 'order' do not have",
              "take a column that all of them have"),
    _of_items("SP712", 'by=("item",)', 'by=("item",), action="spent"', "collapse=Collapse",
              "action of collapse names 'spent', which is float64", "use one of type string, bool"),
    _of_items("SP713", '"view": "item", "order": "sku"}),', '"view": "item", "order": "sku"}),\n'
              '        Pick(name="events", columns={"order": "sku"}),', 'Pick(name="events"',
              "column 'events' of sequence 'items' has the name of a column of collapsed rows",
              "Pick(name='events_value'"),
    _of_items("SP714", 'actions=("view", "order")', 'actions=("view", "ordr")', "collapse=Collapse",
              "actions of collapse name 'ordr', which is no event type of sequence 'items'", "did you mean 'order'?"),
    _of_items("SP714", 'actions=("view", "order")', 'actions=("view", "view")', "collapse=Collapse",
              "actions of collapse name 'view' 2 times", "keep one of them"),
    _of_items("SP715", "window_days=365,\n    collapse=Collapse(by=(\"item\",), within_s=3600",
              "window_days=1,\n    collapse=Collapse(by=(\"item\",), within_s=172800", "collapse=Collapse",
              "collapse puts together what happened within 172800 s, and sequence 'items' has a window of 1 day(s)",
              "write within_s=86400 or less"),
    _of_items("SP716", "    window_days=365,", "    window_days=365,\n    answers_recorded=0.5,", "collapse=Collapse",
              "answers of sequence 'items' are recorded event by event, and it collapses events",
              "drop `answers_recorded`"),
    Case("SP716", "    window_days=365,", "    window_days=365,\n"
         '    collapse=Collapse(by=("item",), within_s=3600, actions=("view",)),', "collapse=Collapse",
         "sequence 'activity' is compared with legacy's lists of events, and collapses its own",
         "declare another sequence", more=(("    Blobs,\n", "    Blobs,\n    Collapse,\n"),)),
    # training sets
    _of_training("SP721", 'sequence="activity"', 'sequence="activty"', "buyers = TrainingSet",
         "training set 'buyers' takes sequence 'activty', which is not defined", "did you mean 'activity'?"),
    _of_training("SP721", 'events="order"', 'events="ordr"', "buyers = TrainingSet",
         "labels of training set 'buyers' are made of 'ordr', which is not defined", "did you mean 'order'?"),
    _of_training("SP721", 'events="view", where="dwell > 1.0"', 'events="sessions_vist"', "buyers = TrainingSet",
         "labels of training set 'buyers' are made of 'sessions_vist', which is not", "did you mean 'sessions_visit'?"),
    _of_training("SP722", '"item", "brand"', '"itme", "brand"', "buyers = TrainingSet",
         "training set 'buyers' asks for column 'itme', which sequence 'activity' has not", "did you mean 'item'?"),
    _of_training("SP722", 'name="dwelt", events', 'name="brand", events', "buyers = TrainingSet",
         "labels of training set 'buyers' and sequence 'activity' both have column 'brand'", "write prefix='seq_'"),
    _of_training("SP722", 'kind="sum", column="dwell"', 'kind="sum", column="dwel"', 'Followed(name="dwelt"',
         "outcome 'dwelt' of training set 'buyers' sums 'dwel', which event type 'view' has not",
         "did you mean 'dwell'?"),
    _of_training("SP722", ', kind="sum", column="dwell"', ', kind="sum"', 'Followed(name="dwelt"',
         "outcome 'dwelt' of training set 'buyers' sums nothing", "write column=<name>, or kind='count'"),
    _of_training("SP722", 'kind="sum", column="dwell"', 'kind="did", column="dwell"', 'Followed(name="dwelt"',
         "outcome 'dwelt' of training set 'buyers' is 'did' and takes no column", "drop `column`"),
    _of_training("SP723", 'sequence="activity",', 'sequence="activity",\n    labels="buyers.parquet",',
         "buyers = TrainingSet", "labels of training set 'buyers' come both from labels= and from moments=",
         "drop `labels`"),
    _of_training("SP723", 'outcome="bought"', 'outcome="bougt"', "negatives=FewNegatives",
         "negatives of training set 'buyers' are of outcome 'bougt', which it has not", "did you mean 'bought'?"),
    _of_training("SP723", 'name="dwelt"', 'name="request"', 'Followed(name="request"',
         "outcome 'request' of training set 'buyers' has the name of a column that every label", "'request_value'"),
    _of_training("SP723", "start=dt.date(2024, 1, 1),", "start=dt.date(2024, 1, 1),\n    end=dt.date(2023, 1, 1),",
         "buyers = TrainingSet", "training set 'buyers' ends on 2023-01-01, before its first day", "drop `end`"),
    _of_training("SP205", 'where="dwell > 1.0"', 'where="dwell"', "moments=Moments",
         "condition of moments of training set 'buyers' is float64, not bool", "compare it with something"),
    # views
    Case("SP106", 'event_types=("view",),\n    key', 'event_types=("veiw",),\n    key',
         "article = ObjectView", "object view 'article' takes events of type 'veiw', which is not defined",
         "did you mean 'view'?"),
    Case("SP701", 'scope="brand"', 'scope="town"', "visit = SessionView",
         "scope of session view 'visit' is column 'town', which none of its event types has", "use one of"),
    Case("SP701", 'kind="max", column="dwell"', 'kind="max", column="dwel"', 'columns=(Aggregate(name="longest"',
         "column 'longest' of object view 'article' is the max of 'dwel', which none of its event types has",
         "did you mean 'dwell'?"),
    Case("SP702", 'event_types=("view",),\n    key', 'event_types=("view", "order"),\n    key', "article = ObjectView",
         "column 'dwell' of object view 'article' has unit 'seconds' in event type 'view' but 'USD' in 'order'",
         "give both the same unit", more=(('Column(name="city", dtype="string"),\n    ),\n    enrichments',
         'Column(name="dwell", dtype="float64", unit="USD", sql="price"),\n        '
         'Column(name="city", dtype="string"),\n    ),\n    enrichments'),)),
    Case("SP703", 'kind="sum", column="dwell", ', 'kind="sum", ', 'Aggregate(name="dwelt"',
         "column 'dwelt' of session view 'visit' is the sum of nothing", "write column=<name>, or kind='count'"),
    Case("SP703", 'kind="sum", column="dwell", ', 'kind="sum", column="view_id", ', 'Aggregate(name="dwelt"',
         "column 'dwelt' of session view 'visit' is the sum of 'view_id', which is string", "set kind='count', or"),
    Case("SP703", 'event_types=("view",), where', 'event_types=("veiw",), where', 'Aggregate(name="dwelt"',
         "column 'dwelt' of session view 'visit' is of event type 'veiw', which is not in the view",
         "did you mean 'view'?"),
    Case("SP704", 'scope="brand"', 'scope="dwell"', "visit = SessionView",
         "scope of session view 'visit' is column 'dwell', which is float64", "use one of type string, bool"),
    Case("SP705", 'Aggregate(name="longest"', 'Aggregate(name="actions"', 'columns=(Aggregate(name="actions"',
         "column 'actions' of object view 'article' has the name of a column of its table", "'actions_value'"),
    Case("SP706", 'scope="brand",', 'scope="brand",\n    cap_s=60,', "visit = SessionView",
         "sessions of session view 'visit' end after 60 s, before a pause of 1800 s is over", "write cap_s=86400"),
    Case("SP707", '    actions=("acme", "other"),\n', "", "article = ObjectView",
         "object view 'article' tells actions by column 'brand', but names none of them", "write actions=(<value>"),
    Case("SP707", 'actions=("acme", "other")', 'actions=("acme", "acme")', "article = ObjectView",
         "actions of object view 'article' name 'acme' 2 times", "keep one of them"),
    Case("SP201", "event_type = 'view' AND dwell > 1000.0", "event_type = 'view' AND", "visit = SessionView",
         "boundary of session view 'visit' is not an SQL expression", ""),
    Case("SP205", 'where="dwell > 1.5"', 'where="dwell"', 'Aggregate(name="dwelt"',
         "condition of column 'dwelt' of session view 'visit' is float64, not bool", "compare it with something"),
    # logs
    Case("SP311", '    location="views/*.parquet",\n', "", "views = Source",
         "source 'views' names neither files nor a topic", "write location='<path or glob>', topic='<name>', or both"),
    Case("SP312", '    location="views/*.parquet",\n', '    topic="page views",\n', "views = Source",
         "topic 'page views' of source 'views' is no name that a log takes", "write topic='page-views'"),
    Case("SP313", '    location="catalogue.parquet",\n', '    location="catalogue.parquet",\n    topic="catalogue",\n',
         "catalogue = Source", "source 'catalogue' has a topic, but no event_time and user_id", "state both"),
    Case("SP314", '    location="views/*.parquet",\n', '    topic="log",\n', "orders = Source",
         "topic 'log' of source 'orders' is already that of source 'views'", "make the event types from source 'views'",
         more=(('    location="orders.csv",\n', '    location="orders.csv",\n    topic="log",\n'),)),
    Case("SP315", '    location="views/*.parquet",\n',
         '    location="views/*.parquet",\n    message_format="confluent",\n', "views = Source",
         "source 'views' says message_format='confluent', but it has no topic", "write topic='<name>', or drop"),
    # names of definitions
    Case("SP101", "risk = Service(", "again = Tenant(name='shop', tenant='shop')\nrisk = Service(",
         "again = Tenant", "tenant 'shop' is already defined at ", "rename one of them"),
    Case("SP102", 'shop = Tenant(name="shop", tenant="shop")', 'shop = Tenant(name="shop", tenant="shops")',
         "shop = Tenant", "tenant 'shop' says that its tenant is 'shops'", "write tenant='shop'"),
    Case("SP102", 'name="view",\n    tenant="shop"', 'name="view",\n    tenant="shp"',
         "view = EventType", "tenant 'shp' of event type 'view' is not defined", "did you mean 'shop'?"),
    Case("SP108", 'shop = Tenant(name="shop", tenant="shop")',
         'shop = Tenant(name="shop", tenant="shop")\nmall = Tenant(name="mall", tenant="mall")', "view = EventType",
         "event type 'view' of tenant 'mall' is made from source 'views', which tenant 'shop' does not share",
         "its owner writes shared_with=('mall',) at ",
         more=(('name="view",\n    tenant="shop"', 'name="view",\n    tenant="mall"'),), count=7),
    Case("SP109", 'name="view",\n    tenant="shop"', 'name="view",\n    shared_with=("shp",),\n    tenant="shop"',
         "view = EventType", "event type 'view' is shared with tenant 'shp', which is not defined",
         "did you mean 'shop'?"),
    Case("SP110", "risk = Service(", 'mall = Tenant(name="mall", tenant="mall")\n'
         'search = Source(name="search", tenant="mall", owner="team:mall", location="./s*s.csv", format="csv",\n'
         '    description="Searches.", lifecycle="draft", columns=())\nrisk = Service(',
         "search = Source", "'search' of tenant 'mall' reads './s*s.csv', which source 'orders' of tenant 'shop' reads",
         "make its event types from what its owner shares"),
    Case("SP103", 'source="orders",\n    natural', 'source="ordrs",\n    natural',
         "order = EventType", "source 'ordrs' of event type 'order' is not defined", "did you mean 'orders'?"),
    Case("SP104", 'filter="dwell_s > 1"', 'executor="declarativ"',
         "view = EventType", "executor 'declarativ' of event type 'view' is not installed",
         "did you mean 'declarative'?"),
    Case("SP105", 'Enrich(enrichment="spend")', 'Enrich(enrichment="spent")',
         'Enrich(enrichment="spent")', "event type 'order' attaches enrichment 'spent', which is not defined",
         "did you mean 'spend'?"),
    Case("SP106", 'event_types=("view", "order")', 'event_types=("view", "order", "ordr")',
         "activity = Sequence", "sequence 'activity' takes events of type 'ordr', which is not defined",
         "did you mean 'order'?"),
    Case("SP106", '{"view": "item", "order": "sku"}', '{"view": "item", "orders": "sku"}',
         'Pick(name="item"', "column 'item' of sequence 'activity' picks from event type 'orders', which is not in",
         "did you mean 'order'?"),
    Case("SP107", "risk = Service(", 'search = Source(name="search", tenant="shop", owner="team:shop",\n'
         '    description="Searches.", location="s", columns=())\nrisk = Service(',
         "search = Source", "source 'search' is live but nothing is made from it", "set lifecycle='draft'"),
    Case("SP107", 'Enrich(enrichment="risk"),', "",
         "risk = Service", "enrichment 'risk' is live but nothing is made from it", "set lifecycle='draft'"),
    # names of columns
    Case("SP121", 'user_id="member",\n    rev', 'user_id="membr",\n    rev',
         "views = Source", "user_id 'membr' is not a column of source 'views'", "did you mean 'member'?"),
    Case("SP121", 'on=("store",)', 'on=("shop_no",)',
         "joins=(Join", "join key 'shop_no' is not a column of source 'orders'", "declare Column(name='shop_no', ...)"),
    Case("SP121", 'columns=("city",)', 'columns=("city", "citi")',
         "joins=(Join", "join column 'citi' is not a column of source 'orders'", "did you mean 'city'?"),
    Case("SP121", 'columns=("city",)', 'columns=("city", "store")',
         "joins=(Join", "join column 'store' of source 'orders' is a key of the join", "leave 'store' out of columns"),
    Case("SP121", 'columns=("city",)', 'columns=("city", "city")',
         "joins=(Join", "join column 'city' of source 'orders' is joined twice", "take 'city' from one file only"),
    Case("SP122", 'key=("sku",),\n    day', 'key=("skuu",),\n    day',
         "shelf = Snapshot", "key 'skuu' of enrichment 'shelf' is not a column of source 'catalogue'",
         "did you mean 'sku'?"),
    Case("SP122", 'missing={"brand": "unknown"}', 'missing={"brnd": "unknown"}',
         "product = Versioned", "`missing` of enrichment 'product' names 'brnd'", "did you mean 'brand'?"),
    Case("SP123", 'Column(name="city", dtype="string"),\n    ),\n    enrichments',
         'Column(name="town", dtype="string"),\n    ),\n    enrichments',
         'name="town"', "column 'town' of event type 'order' is not a column of source 'orders'",
         "compute it with sql=..."),
    Case("SP124", 'Enrich(enrichment="shelf", on={"sku": "item"})', 'Enrich(enrichment="shelf")',
         'enrichment="shelf")', "key 'sku' of enrichment 'shelf' is to be 'sku', which event type 'view' lacks",
         "map the key with on={'sku': <event column>}"),
    Case("SP124", 'enrichment="shelf", on={"sku": "item"}', 'enrichment="shelf", on={"sku": "item", "sk": "item"}',
         'enrichment="shelf"', "event type 'view' maps 'sk', which is not a key of enrichment 'shelf'",
         "did you mean 'sku'?"),
    Case("SP124", 'enrichment="spend")', 'enrichment="spend", on={"sku": "sku"})',
         'enrichment="spend"', "event type 'order' gives keys for enrichment 'spend', which is derived and has none",
         "drop `on`"),
    Case("SP125", '"embedding": "embedding"}', '"embedding": "embeding"}',
         'columns={"product_brand"', "takes 'embedding' from column 'embeding', which enrichment 'product' lacks",
         "did you mean 'embedding'?"),
    Case("SP126", '"spent",\n        "event', '"spend",\n        "event',
         "activity = Sequence", "no event type of sequence 'activity' has a column 'spend'", "did you mean 'spent'?"),
    Case("SP126", '"order": "product_brand"', '"order": "brand"',
         'Pick(name="brand"', "column 'brand' of sequence 'activity' picks 'brand', which event type 'order' lacks",
         "did you mean 'product_brand'?"),
    Case("SP127", 'Column(name="city", dtype="string"),\n    ),\n    enrichments',
         'Column(name="offset", dtype="string", sql="city"),\n    ),\n    enrichments',
         'name="offset"', "column 'offset' of event type 'order' has the name of a system column",
         "give it another name, e.g. 'offset_value'"),
    Case("SP127", 'Enrich(enrichment="shelf", on={"sku": "item"})',
         'Enrich(enrichment="shelf", on={"sku": "item"}, columns={"email": "shelf"})',
         'enrichment="shelf", on', "column 'email' of enrichment 'shelf' on event type 'view' has the name of a column "
         "of the event", "Enrich(columns={new: 'email'})"),
    Case("SP127", 'Column(name="shelf", dtype="string", sql="LOWER(brand)")', 'Column(name="sku", dtype="int64")',
         'columns=(Column(name="sku"', "column 'sku' of enrichment 'shelf' has the name of its key", "another name"),
    Case("SP127", '"event_time",\n', '"event_time",\n        Pick(name="length", columns={"view": "dwell"}),\n',
         'name="length"', "column 'length' of sequence 'activity' has the name of a column of its table",
         "'length_value'"),
    Case("SP128", '"event_time",\n', '"event_time",\n        "spent",\n',
         "activity = Sequence", "columns of sequence 'activity' names 'spent' 2 times", "keep one of them"),
    Case("SP128", 'Column(name="city", dtype="string"),\n    ),\n    event_time',
         'Column(name="city", dtype="string"),\n        Column(name="city", dtype="string", unit=""),\n    ),\n'
         '    event_time',
         'name="city", dtype="string", unit', "columns of source 'orders' names 'city' 2 times", "keep one of them"),
    # fields of sources
    Case("SP130", 'Column(name="item", dtype="int64", sql="sku")',
         'Column(name="item", dtype="int64", sql="sku", field="sku")',
         'name="item", dtype', "column 'item' of event type 'view' names the field 'sku', which nothing reads",
         "write it in the source's column; sql="),
    Case("SP130", 'Column(name="store", dtype="int32"),\n        Column(name="city", dtype="string")',
         'Column(name="store", dtype="int32"),\n        Column(name="city", dtype="string", field="town")',
         'name="city", dtype="string", field', "names the field 'town', but it is read from a joined file",
         "drop field="),
    Case("SP130", 'Column(name="price", dtype="float64", unit="USD"),\n        Column(name="store"',
         'Column(name="price", dtype="float64", unit="USD", field="p", sql="sku * 0.5"),\n        Column(name="store"',
         'name="price", dtype="float64", unit="USD", f', "of source 'orders' names the field 'p', but it is computed",
         "drop field="),
    Case("SP131", 'Column(name="dwell_s", dtype="float64", unit="seconds")',
         'Column(name="dwell_s", dtype="float64", unit="seconds", field="page..dwell")',
         'name="dwell_s"', "field 'page..dwell' of column 'dwell_s' of source 'views' is no path: a name is expected "
         "at '.dwell'", "if the field is called so, write field='\"page..dwell\"'"),
    Case("SP132", '    location="views/*.parquet",\n', '    location="views/*.parquet",\n    csv=Csv(quote="|"),\n',
         "csv=Csv", "source 'views' says how CSV is written, but its files are parquet", "write format='csv', or drop ",
         more=(("    Column,\n", "    Column,\n    Csv,\n"),)),
    Case("SP132", '    format="csv",\n', '    format="csv",\n    csv=Csv(delimiter="\'", quote="\'"),\n',
         "csv=Csv", "delimiter \"'\" and quote \"'\" of source 'orders' cannot be told apart", "two printable ASCII",
         more=(("    Column,\n", "    Column,\n    Csv,\n"),)),
    Case("SP134", '    location="views/*.parquet",\n', '    location="views/{day}",\n    format="delta",\n',
         "views = Source", "location 'views/{day}' of source 'views' is not that of a Delta table", "/<column>={day}'"),
    Case("SP133", 'key=("sku",),\n    day', 'key=("day",),\n    day',
         "shelf = Snapshot", "key 'day' of enrichment 'shelf' has the name of the column its table is kept by",
         "Column(name='catalogue_day', field='day', ...)",
         more=(('Column(name="vector", ', 'Column(name="day", dtype="int64"),\n        Column(name="vector", '),
               ('Enrich(enrichment="shelf", on={"sku": "item"})', 'Enrich(enrichment="shelf", on={"day": "item"})'))),
    Case("SP121", 'Column(name="store", dtype="int32")', 'Column(name="store", dtype="int32", sql="line_no")',
         "joins=(Join", "join with 'stores.csv' of source 'orders' uses 'store', which is computed after it",
         "join on a column that is read"),
    # SQL text
    Case("SP201", "dwell_s > 1", "dwell_s >",
         "view = EventType", "filter of event type 'view' is not an SQL expression: 'dwell_s >': ",
         "write one expression"),
    Case("SP201", "LOWER(brand)", "LOWR(brand)",
         'name="shelf", dtype', "column 'shelf' of enrichment 'shelf' is not an SQL expression: 'LOWR(brand)': "
         "unsupported function 'lowr'", "write one expression"),
    Case("SP201", "dwell_s > 1", "sku IN (SELECT sku FROM catalogue)",
         "view = EventType", "a query inside an expression is not possible", "write one expression"),
    Case("SP202", "dwell_s > 1", "dwel_s > 1",
         "view = EventType", "filter of event type 'view' reads column 'dwel_s', which is not there: 'dwel_s > 1'",
         "did you mean 'dwell_s'?"),
    Case("SP202", "COALESCE(price, 0.0)", "COALESCE(prize, 0.0)",
         'name="amount"', "column 'amount' of enrichment 'spend' on event type 'order' reads column 'prize'",
         "did you mean 'price'?"),
    Case("SP203", "dwell_s > 1", "member > 1",
         "view = EventType", "filter of event type 'view' cannot be typed: 'member > 1': cannot compare string with",
         "member is string"),
    Case("SP203", "dwell_s > 1", "CAST(email AS TIMESTAMP) > ts",
         "view = EventType", "filter of event type 'view' cannot be typed: 'CAST(email AS TIMESTAMP) > ts': ",
         "cast one side with TRY_CAST"),
    Case("SP203", "dwell_s > 1", "CAST(email AS DATE) > DATE '2024-01-01'",
         "view = EventType", "casting from string to date is not supported", "STRPTIME(<column>, '%Y-%m-%d %H:%M:%S')"),
    Case("SP203", 'event_time=Time(sql="ts")', 'event_time=Time(sql="TRY_CAST(email AS TIMESTAMP)")',
         "event_time=Time(sql=\"TRY", "casting from string to datetime is not supported", "STRPTIME(<column>, "),
    Case("SP203", 'unit="seconds", sql="dwell_s"', 'unit="seconds", sql="dwell_s::DECIMAL(99,98)::DOUBLE"',
         'name="dwell"', "column 'dwell' of event type 'view' cannot be typed: ", "cast one side with TRY_CAST"),
    Case("SP204", "dwell_s > 1", "ts < NOW()",
         "view = EventType", "filter of event type 'view' gives another value at every run: 'ts < NOW()': 'NOW'",
         "use a time or an id that the event carries"),
    Case("SP205", "dwell_s > 1", "sku",
         "view = EventType", "filter of event type 'view' is int64, not bool: 'sku'", "sku IS NOT NULL"),
    Case("SP206", 'Column(name="item", dtype="int64", sql="sku")', 'Column(name="item", dtype="int64", sql="sku / 2")',
         'name="item", dtype', "column 'item' of event type 'view' is declared int64, but its SQL gives float64: "
         "'sku / 2'", "declare dtype='float64', or write TRY_CAST(sku / 2 AS BIGINT)"),
    Case("SP207", 'unit="seconds", sql="dwell_s"', 'unit="seconds", sql="dwell_s - AVG(dwell_s)"',
         "AVG(dwell_s)", "column 'dwell' of event type 'view' depends on which rows share a batch, or gives several "
         "values: 'dwell_s - AVG(dwell_s)'", "move it to a Derived enrichment"),
    Case("SP207", 'sql="COALESCE(price, 0.0)"', 'sql="price - SUM(price)"',
         'name="amount"', "column 'amount' of enrichment 'spend' on event type 'order' depends on which rows",
         "put the aggregate in a window: OVER (PARTITION BY user_id ...)"),
    Case("SP208", "PARTITION BY user_id ORDER", "PARTITION BY city ORDER",
         'Column(\n            name="spent"', "looks across users: its window is partitioned by city",
         "add user_id to PARTITION BY"),
    Case("SP208", "PARTITION BY user_id ORDER BY event_time", "ORDER BY event_time",
         'Column(\n            name="spent"', "looks across users: its window names no column in PARTITION BY",
         "add user_id to PARTITION BY"),
    Case("SP209", 'Column(name="score", dtype="float32")', 'Column(name="score", dtype="float32", sql="1.0")',
         'name="score"', "column 'score' of enrichment 'risk' has SQL, which nothing runs",
         "compute it in a Derived enrichment after this one"),
    Case("SP209", ', sql="COALESCE(price, 0.0)"', "",
         'name="amount"', "column 'amount' of enrichment 'spend' is derived but has no SQL", "write sql=..."),
    Case("SP210", 'Column(name="embedding", dtype="vector[float16,32]"',
         'Column(name="embedding", dtype="vector[float16,64]"',
         'name="embedding", dtype', "column 'embedding' of enrichment 'product' is declared vector[float16,64], but "
         "'vector' is vector[float16,32]", "declare dtype='vector[float16,32]'",
         more=(("vector[float32,32]", "vector[float32,64]"),)),
    # types that meet
    Case("SP221", 'Column(name="sku", dtype="int64"),\n        Column(name="price", dtype="float64", unit="USD"),\n'
         '        Column(name="city"', 'Column(name="sku", dtype="int64"),\n'
         '        Column(name="price", dtype="float32", unit="USD"),\n        Column(name="city"',
         'name="price", dtype="float32"', "column 'price' of event type 'order' is declared float32, but source "
         "'orders' has float64", "declare dtype='float64', or write sql='TRY_CAST(price AS REAL)'"),
    Case("SP222", 'enrichment="shelf", on={"sku": "item"}', 'enrichment="shelf", on={"sku": "view_id"}',
         'on={"sku": "view_id"}', "key 'sku' of enrichment 'shelf' is int64, but column 'view_id' of event type 'view' "
         "is string", "declare both 'int64'"),
    Case("SP223", 'Column(name="member", dtype="string", nullable=False),\n        Column(name="order_no"',
         'Column(name="member", dtype="int64", nullable=False),\n        Column(name="order_no"',
         "activity = Sequence", "user_id of sequence 'activity' is string in event type 'view' but int64 in event "
         "type 'order'", "declare the same type in sources 'views' and 'orders'"),
    Case("SP224", '{"view": "item", "order": "sku"}', '{"view": "item", "order": "city"}',
         'Pick(name="item"', "column 'item' of sequence 'activity' has dtype 'int64' from event type 'view' but "
         "'string' from 'order'", "give both the same dtype, or split it with Pick("),
    Case("SP224", '"event_time",\n',
         '"event_time",\n        Pick(name="much", columns={"view": "dwell", "order": "price"}),\n',
         'name="much"', "has unit 'seconds' from event type 'view' but 'USD' from 'order'", "give both the same unit"),
    Case("SP225", 'model="item2vec-3", sql="vector"', 'sql="vector"',
         'name="embedding", dtype', "column 'embedding' of enrichment 'product' is vector[float16,32] but names no "
         "model", "model='item2vec-2024-05'"),
    Case("SP226", 'Column(name="city", dtype="string"),\n    ),\n    enrichments', 'Column(name="city", '
         'dtype="string"),\n        Column(name="mine", dtype="vector[float16,32]", model="mine-1", sql="NULL"),\n'
         '    ),\n    enrichments',
         'name="near"', "column 'near' of sequence 'activity' mixes embedding spaces: 'item2vec-3' from event type "
         "'view', 'mine-1' from 'order'", "serve each model as a column of its own",
         more=(('"event_time",\n', 'Pick(name="near", columns={"view": "embedding", "order": "mine"}),\n'),)),
    Case("SP226", 'sql="LOWER(brand)"),)', 'sql="LOWER(brand)"),\n'
         '    Column(name="vector", dtype="vector[float16,32]", model="other-1"))',
         'model="other-1"', "column 'vector' of enrichment 'shelf' names model 'other-1', but source 'catalogue' has "
         "'item2vec-3'", "write model='item2vec-3'"),
    Case("SP227", 'Column(name="revision", dtype="int64")', 'Column(name="revision", dtype="float64")',
         'name="revision"', "rev 'revision' of source 'views' is float64, but it must be an integer",
         "declare it 'int64'"),
    Case("SP230", 'rev="revision"', 'order="dwell_s", rev="revision"',
         'name="dwell_s"', "order 'dwell_s' of source 'views' is float64, whose values have no order of their own",
         "declare it as one of int8, int16"),
    Case("SP228", 'missing={"brand": "unknown"}', 'missing={"brand": 7}',
         "product = Versioned", "`missing` of enrichment 'product' gives 7 for column 'brand', which is string",
         "write a value of type string"),
    Case("SP228", 'missing={"brand": "unknown"}', 'missing={"brand": True}',
         "product = Versioned", "gives True for column 'brand', which is string", "write a value of type string"),
    Case("SP231", 'Column(name="city", dtype="string"),\n    ),\n    enrichments',
         'Column(name="city", dtype="string", nullable=False, default=7),\n    ),\n    enrichments', "default=7",
         "column 'city' of event type 'order' has the default 7, which is no string", "write a value of type string"),
    Case("SP231", 'Column(name="city", dtype="string"),\n    ),\n    enrichments',
         'Column(name="city", dtype="string", default="Rome"),\n    ),\n    enrichments', 'default="Rome"',
         "has the default 'Rome', and may be null", "declare nullable=False"),
    *(Case("SP231", 'Column(name="city", dtype="string"),\n    ),\n    enrich',
           f'Column(name="city", dtype="{dtype}", nullable=False, default={value}, sql="{sql}"),\n    ),\n    enrich',
           f"default={value}", f"which is no {dtype}", f"write a value of type {dtype}")
      for dtype, value, sql in [
          ("bool", '"true"', "TRUE"), ("float64", '"NaN"', "1.5"), ("float64", "1e999", "1.5"),
          ("float64", "1" + 400 * "0", "1.5"), ("int64", "2.0", "1"), ("int64", "True", "1"),
          ("int8", "128", "CAST(1 AS TINYINT)"),
          ("string", "0", "'x'")]),
    Case("SP231", 'columns=(\n        Column(name="order_no", dtype="int64", nullable=False)',
         'columns=(\n        Column(name="order_no", dtype="int64", nullable=False, default=7)', "default=7",
         "has the default 7, and says which event it is", "leave it out"),
    Case("SP229", 'name="price", dtype="float64", unit="USD"),\n        Column(name="city"',
         'name="price", dtype="float64", unit="cents"),\n        Column(name="city"',
         'name="price", dtype="float64", unit="cents"', "column 'price' of event type 'order' is in 'cents', but "
         "'price', which it takes over, is in 'USD'", "write unit='USD', or convert it in sql="),
    Case("SP229", 'unit="seconds", sql="dwell_s"', 'unit="ms", sql=\'("dwell_s")\'',
         'name="dwell"', "column 'dwell' of event type 'view' is in 'ms', but 'dwell_s', which it takes over, is in "
         "'seconds'", "sql='dwell_s / 100.0'", more=(('dtype="float32", unit="seconds"', 'dtype="float32"'),)),
    Case("SP229", 'Column(name="amount", dtype="float64", sql="COALESCE(price, 0.0)")',
         'Column(name="amount", dtype="float64", sql="price", unit="EUR")',
         'name="amount"', "column 'amount' of enrichment 'spend' on event type 'order' is in 'EUR'",
         "write unit='USD'"),
    # times and days
    Case("SP241", 'event_time=Time(sql="ts")', 'event_time=Time(sql="member")',
         'event_time=Time(sql="member")', "event_time of source 'views' is string, not a time: 'member'",
         "STRPTIME(member, "),
    Case("SP242", 'timezone="America/New_York"', 'timezone="America/NewYork"',
         'timezone="America/NewYork"', "event_time of source 'orders' is told in time zone 'America/NewYork'",
         "did you mean 'America/New_York'?"),
    Case("SP242", 'timezone="America/New_York"', 'timezone="+01:00"',
         'timezone="+01:00"', "told in time zone '+01:00', which does not exist", "write an IANA name"),
    Case("SP242", 'timezone="America/New_York"', 'timezone_column="sku"',
         'timezone_column="sku"', "event_time of source 'orders' is told in the time zone of column 'sku', which is no "
         "column of text", "name a string column"),
    Case("SP242", 'timezone="America/New_York"', 'timezone="America/New_York", timezone_column="city"',
         'timezone="America/New_York", t', "in the time zone of column 'city', and in another", "leave timezone= out"),
    Case("SP243", 'Column(name="changed", dtype="int64"', 'Column(name="changed", dtype="int32"',
         "valid_from=Time", "valid_from of enrichment 'product' counts ms in int32, which ends on 1970-01-25: "
         "'changed'", "write epoch_unit='s'", count=2),
    Case("SP244", 'event_time=Time(sql="ts")', 'event_time=Time(sql="ts", timezone="Europe/Berlin")',
         'timezone="Europe/Berlin"', "event_time of source 'views' states time zone 'Europe/Berlin', but 'ts' is in "
         "UTC already", "sql='CAST(ts AS TIMESTAMP)'"),
    Case("SP244", 'event_time=Time(sql="ts")', 'event_time=Time(sql="ts", timezone_column="email")',
         'timezone_column="email"', "states the time zone of 'email', but 'ts' is in UTC already", "drop it"),
    Case("SP245", 'event_time=Time(sql="ts")', 'event_time=Time(sql="STRPTIME(email, \'yyyy-MM-dd\')")',
         "event_time=Time(sql=\"STR", "event_time of source 'views' reads texts by 'yyyy-MM-dd', which says no year",
         "'%Y-%m-%d %H:%M:%S'"),
    Case("SP245", "dwell_s > 1", "STRPTIME(email, '%Y-%m-%d %H:%M:%S.%f') > CAST(ts AS TIMESTAMP)",
         "view = EventType", "reads the fraction of a second as a count of nanoseconds: '%Y-%m-%d %H:%M:%S.%f'",
         "write %.f"),
    Case("SP245", "dwell_s > 1", "STRPTIME(email, '%Y-%m-%d %H:%M:%S %Z') > CAST(ts AS TIMESTAMP)",
         "view = EventType", "reads texts by '%Y-%m-%d %H:%M:%S %Z', and what %Z stands for is passed over",
         "write %z for an offset"),
    Case("SP202", 'Column(name="revision", dtype="int64")', 'Column(name="revision", dtype="int64", sql="revison + 1")',
         'name="revision"', "column 'revision' of source 'views' reads column 'revison'", "use one of"),
    Case("SP205", '    user_id="member",\n    rev', '    filter="sku",\n    user_id="member",\n    rev',
         "views = Source", "filter of source 'views' is int64, not bool", "sku IS NOT NULL"),
    Case("SP251", 'start=dt.date(2024, 1, 1),\n    retention', "retention",
         "order = EventType", "neither event type 'order' nor source 'orders' states a start",
         "write start=dt.date(<year>, <month>, <day>) in the source"),
    Case("SP252", "start=dt.date(2024, 2, 1)", "start=dt.date(2025, 2, 1)",
         "view = EventType", "event type 'view' starts on 2025-02-01, after the data of source 'views', which ends on "
         "2025-01-01", "write an earlier start"),
    Case("SP252", "start=dt.date(2024, 2, 1)", "start=dt.date(2024, 2, 1),\n    end=dt.date(2024, 2, 1)",
         "view = EventType", "event type 'view' starts on 2024-02-01 but ends on 2024-02-01", "an end after the start"),
    Case("SP253", "start=dt.date(2024, 2, 1)", "start=dt.date(2023, 2, 1)",
         "view = EventType", "event type 'view' starts on 2023-02-01, but source 'views' has data from 2024-01-01",
         "start it on 2024-01-01"),
    Case("SP254", 'location="views/*.parquet",', 'location="views/*.parquet",\n    no_file_on="any",',
         "views = Source", "source 'views' states no_file_on, but has no {day} in its location", "write {day} where"),
    # identity
    Case("SP301", 'event_time=Time(sql="ts"),\n', "",
         "views = Source", "source 'views' feeds event type 'view' but states no event_time", "event_time=Time("),
    Case("SP302", 'natural_key=("order_no", "line_no"),\n', "",
         "order = EventType", "event type 'order' has no identity, so a row that arrives twice counts twice",
         "natural_key=(...)"),
    Case("SP302", 'natural_key=("order_no", "line_no")', 'id_field="order_no",\n    natural_key=("line_no",)',
         "order = EventType", "event type 'order' has two identities: id_field='order_no' and natural_key=('line_no',)",
         "keep id_field if"),
    Case("SP303", 'natural_key=("order_no", "line_no")', 'natural_key=("order_no", "line_n")',
         "order = EventType", "identity of event type 'order' names 'line_n', which is not one of its columns",
         "did you mean 'line_no'?"),
    Case("SP303", 'natural_key=("order_no", "line_no")', 'natural_key=("user_id", "line_no")',
         "order = EventType", "identity of event type 'order' names 'user_id'", "identities are unique within a user"),
    Case("SP304", 'natural_key=("order_no", "line_no"),\n    columns=(', 'natural_key=("order_no", "paid"),\n'
         '    columns=(\n        Column(name="paid", dtype="string", nullable=False, sql="CAST(price AS VARCHAR)"),',
         'name="paid"', "identity of event type 'order' uses 'paid', computed from 'price', which is float64",
         "use an integer or a string that the producer wrote"),
    Case("SP304", 'Column(name="member", dtype="string"', 'Column(name="member", dtype="float64"',
         'name="member", dtype="float64", nullable=False),\n        Column(name="view_id"',
         "user_id 'member' of source 'views' is float64", "declare it as an integer or a string", count=3,
         more=(('name="who", dtype="string"', 'name="who", dtype="float64"'),)),
    Case("SP305", 'Column(name="line_no", dtype="int64", nullable=False)', 'Column(name="line_no", dtype="int64")',
         'name="line_no", dtype="int64")', "identity of event type 'order' uses 'line_no', which may be null",
         "declare nullable=False"),
    Case("SP306", 'Column(name="view_id", dtype="string", nullable=False),\n        Column(name="item"',
         'Column(name="view_id", dtype="string", nullable=False, sql="CAST(received_at AS VARCHAR)"),\n'
         '        Column(name="item"',
         "CAST(received_at", "identity of event type 'view' uses 'view_id', made of 'received_at', the receipt time",
         "use what the producer wrote"),
    # cost
    Case("SP401", "length=512,\n", "",
         "activity = Sequence", "sequence 'activity' has no length", "write length=<events>"),
    Case("SP402", "length=512", "length=65537",
         "activity = Sequence", "sequence 'activity' asks for 65537 events, more than 65536",
         "write length=65536 or less", more=(("vector[float16,32]", "vector[int8,32]"), *_NO_VECTOR)),
    Case("SP403", "vector[float16,32]", "vector[float16,8192]",
         "activity = Sequence", "sequence 'activity' answers with up to 8.0 MiB of vectors: 'embedding' at length 512",
         "write length=256 or less",
         more=(("vector[float32,32]", "vector[float32,8192]"),)),
    Case("SP404", "max_age_days=365,\n", "",
         "product = Versioned", "enrichment 'product' has neither max_age_days nor valid_to", "max_age_days=<days>"),
    # care
    Case("SP501", 'name="risk",\n    tenant="shop",\n    owner="team:shop"', 'name="risk",\n    tenant="shop"',
         "risk = Service", "enrichment 'risk' has no owner", "write owner='team:shop'"),
    Case("SP501", 'name="risk",\n    tenant="shop",\n    owner="team:shop"',
         'name="risk",\n    tenant="shop",\n    owner="the shop"',
         "risk = Service", "owner 'the shop' of enrichment 'risk' is neither team:<name> nor an e-mail address",
         "write owner='team:the-shop'"),
    Case("SP502", '    description="Fraud score of an order.",\n', "",
         "risk = Service", "enrichment 'risk' has no description", "say in a sentence"),
    Case("SP503", "start=dt.date(2024, 2, 1),\n    retention_days=365", "start=dt.date(2024, 2, 1)",
         "view = EventType", "event type 'view' holds events but states no retention_days", "retention_days=<days>"),
    Case("SP504", "start=dt.date(2024, 2, 1),\n    retention_days=365",
         "start=dt.date(2024, 2, 1),\n    retention_days=900",
         "view = EventType", "event type 'view' is kept 900 days, but source 'views' only 730",
         "write retention_days=730 or less"),
    Case("SP504", "product = Versioned(\n", "product = Versioned(\n    retention_days=100,\n",
         'Enrich(enrichment="product", on={"sku": "item"})',
         "event type 'view' is kept 365 days, but enrichment 'product' only 100",
         "write retention_days=365 in enrichment 'product'", count=2),
    Case("SP505", "window_days=365", "window_days=400",
         "activity = Sequence", "sequence 'activity' looks back 400 days, but event type 'order' keeps 365",
         "write window_days=365, or retention_days=400 in event type 'order'", count=2),
    Case("SP506", 'pii="granted",\n', "",
         "activity = Sequence", "sequence 'activity' has personal data in 'item' but no pii policy",
         "write pii='granted'", more=(('{"view": "item", "order": "sku"}', '{"view": "email", "order": "city"}'),)),
    Case("SP507", 'Column(name="email", dtype="string", pii=True),\n    ),\n    enrichments',
         'Column(name="email", dtype="string"),\n    ),\n    enrichments',
         'name="email", dtype="string")', "column 'email' of event type 'view' is not marked as personal data, but in "
         "source 'views' it is", "declare pii=True"),
    Case("SP508", 'description="Fraud score of an order.",', 'description="Fraud.",\n    lifecycle="draft",',
         'Enrich(enrichment="risk")', "event type 'order' is live but uses enrichment 'risk', which is draft",
         "set lifecycle='live' in enrichment 'risk' at "),
    # services
    Case("SP601", "https://risk.example/score", "risk.example/score",
         "risk = Service", "url of enrichment 'risk' is not an http(s) address: 'risk.example/score'",
         "write url='https://<host>/<path>'"),
    Case("SP601", "https://risk.example/score", "ftp://me:pw@risk.example/score?token=x",
         "risk = Service", "is not an http(s) address: 'risk.example/score'", "write url='https://<host>/<path>'"),
    Case("SP602", "https://risk.example/score", "https://me:pw@risk.example/score",
         "risk = Service", "url of enrichment 'risk' holds a user, which look(s) like a secret", "secret_env='...'"),
    Case("SP602", "https://risk.example/score", "https://risk.example/score?v=2&api_key=abc",
         "risk = Service", "url of enrichment 'risk' holds parameter(s) 'api_key', which", "secret_env='...'"),
    Case("SP603", 'url="https://risk.example/score"', 'url="http://risk.example/score",\n    secret_env="RISK_TOKEN"',
         "risk = Service", "enrichment 'risk' sends the secret in RISK_TOKEN over plain HTTP", "url='https://...'"),
    Case("SP604", 'url="https://risk.example/score"', 'url="https://risk.example/score",\n    deadline_ms=60000',
         "risk = Service", "enrichment 'risk' has deadline_ms=60000", "write deadline_ms=5000; what takes longer"),
    Case("SP604", 'url="https://risk.example/score"', 'url="https://risk.example/score",\n    deadline_ms=1',
         "risk = Service", "enrichment 'risk' has deadline_ms=1", "write deadline_ms=5;"),
    Case("SP601", 'Blobs(location="blobs/{day}.parquet", user_id="uid", events="state")', 'Http(url="old.example")',
         "at=Http", "url of legacy of sequence 'activity' is not an http(s) address: 'old.example'", "https://<host>",
         more=(("    Explained,\n", "    Explained,\n    Http,\n"),)),
    # what definitions are compared with
    Case("SP108", 'name="old_views",\n    tenant="shop"',
         'name="old_views",\n    tenant="mall",\n    shared_with=("shop",)', "view = EventType",
         "takes column 'article' of source 'old_views', personal data, which tenant 'mall' does not",
         "leave it out", more=(('shop = Tenant(name="shop", tenant="shop")',
                                'shop = Tenant(name="shop", tenant="shop")\nmall = Tenant(name="mall", tenant="mall")'),
                               ('name="article", dtype="int32"', 'name="article", dtype="int32", pii=True'))),
    Case("SP110", "risk = Service(", 'mall = Tenant(name="mall", tenant="mall")\n'
         'search = Source(name="search", tenant="mall", owner="team:mall", location="blobs/*.parquet",\n'
         '    description="Searches.", lifecycle="draft", columns=())\nrisk = Service(',
         "activity = Sequence",
         "sequence 'activity' of tenant 'shop' reads 'blobs/{day}.parquet', which source 'search'",
         "whose files they are"),
    Case("SP131", 'field="meta.kind"', 'field="meta..kind"', 'name="kind"',
         "field 'meta..kind' of column 'kind' of legacy of sequence 'activity' is no path", "write a.b"),
    Case("SP202", "dwell <= 2", "dwelt <= 2", 'Explained(cause="filter"',
         "explained difference of legacy of event type 'view' reads column 'dwelt'", "did you mean 'dwell'?"),
    Case("SP203", "legacy_brand = 'x'", "legacy_brand = 7", 'Explained(cause="late"',
         "explained difference of legacy of sequence 'activity' cannot be typed", "legacy_brand is string"),
    Case("SP205", 'where="dwell <= 2"', 'where="legacy_dwell - dwell"', 'Explained(cause="filter"',
         "explained difference of legacy of event type 'view' is float64, not bool", "IS NOT NULL"),
    Case("SP241", 'sql="clock", epoch_unit="ms"', 'sql="label"', 'event_time=Time(sql="label")',
         "event_time of legacy of sequence 'activity' is string, not a time", "STRPTIME(label"),
    Case("SP801", 'source="old_views"', 'source="old_view"', "legacy=Legacy(",
         "legacy source 'old_view' of event type 'view' is not defined", "did you mean 'old_views'?"),
    Case("SP801", 'source="old_views"', 'source="views"', "legacy=Legacy(",
         "event type 'view' is compared with source 'views', which it is made from: with itself", "older pipeline",
         more=(('name="old_views",\n', 'name="old_views",\n    lifecycle="draft",\n'),)),
    Case("SP802", 'user_id="who",\n', "", "legacy=Legacy(",
         "legacy source 'old_views' of event type 'view' states no user_id", "state it in the source"),
    Case("SP802", 'user_id="who",\n', 'user_id="who",\n    topic="old",\n', "legacy=Legacy(",
         "legacy source 'old_views' of event type 'view' has a topic, but only files are compared", "drop topic="),
    Case("SP802", 'user_id="who",\n', 'user_id="who",\n    op="id",\n', "legacy=Legacy(",
         "legacy source 'old_views' of event type 'view' states op='id'", "drop op="),
    Case("SP802", 'name="who", dtype="string"', 'name="who", dtype="int64"', "legacy=Legacy(",
         "users of legacy source 'old_views' of event type 'view' are int64, but string in source 'views'",
         "declare column 'who' 'string' in source 'old_views'"),
    Case("SP803", 'event_id="id",\n        columns', "columns", "legacy=Legacy(",
         "legacy of event type 'view' states neither event_id nor natural_key", "keep event_id if"),
    Case("SP803", 'event_id="id",\n        columns', 'event_id="id",\n        natural_key=("item",),\n        columns',
         "legacy=Legacy(", "legacy of event type 'view' states event_id and natural_key", "keep event_id if"),
    Case("SP803", 'event_id="id",\n        columns', 'event_id="iid",\n        columns', "legacy=Legacy(",
         "event_id 'iid' of legacy of event type 'view' is not a column of source 'old_views'", "did you mean 'id'?"),
    Case("SP803", 'event_id="id",\n        columns', 'event_id="seconds",\n        columns', "legacy=Legacy(",
         "event_id 'seconds' of legacy of event type 'view' is float32, which has no one text", "string or int64"),
    Case("SP803", 'event_id="id",\n        columns', 'event_id="id",\n        within_s=2,\n        columns',
         "legacy=Legacy(", "within_s=2 of legacy of event type 'view' counts for a natural_key only", "drop within_s="),
    Case("SP804", 'event_id="id",\n        columns', 'natural_key=("itm",),\n        columns', "legacy=Legacy(",
         "natural_key 'itm' of legacy of event type 'view' is not a column of the event type", "did you mean 'item'?"),
    Case("SP804", 'event_id="id",\n        columns', 'natural_key=("brand",),\n        columns', "legacy=Legacy(",
         "natural_key 'brand' of legacy of event type 'view' is to be 'brand', which source 'old_views' lacks",
         "columns={'brand': Compared(field=<its column>)}"),
    Case("SP804", 'event_id="id",\n        columns', 'natural_key=("dwell",),\n        columns', "legacy=Legacy(",
         "natural_key 'dwell' of legacy of event type 'view' is float64, and float32 in source 'old_views'",
         "integers"),
    Case("SP804", '"item": Compared(', '"item": Compared(absolute=1, ', '"item": Compared(',
         "natural_key 'item' of legacy of event type 'view' is part of a key, but states a tolerance", "within_s=",
         more=(('event_id="id",\n        columns', 'natural_key=("item",),\n        columns'),)),
    Case("SP805", 'source="orders",\n    natural', 'source="orders",\n    lifecycle="shadow",\n    natural',
         "order = EventType", "event type 'order' is in stage shadow, but does not say what it is compared with",
         "write legacy=Legacy("),
    Case("SP806", 'source="old_views"', 'source="old_views", replay="old_view"', "legacy=Legacy(",
         "replay 'old_view' of legacy of event type 'view' is not defined", "did you mean 'old_views'?"),
    Case("SP806", 'source="old_views"', 'source="old_views", replay="old_views"', "legacy=Legacy(",
         "replay 'old_views' of legacy of event type 'view' is source 'old_views' itself", "a second time"),
    Case("SP806", 'source="old_views"', 'source="old_views", replay="views"', "legacy=Legacy(",
         "replay 'views' of legacy of event type 'view' is source 'views' itself", "a second time"),
    Case("SP806", 'source="old_views"', 'source="old_views", replay="again"', "legacy=Legacy(",
         "replay 'again' of legacy of event type 'view' is read from 'old/{day}.ndjson', as source 'old_views' is",
         "a second time", more=((_ORDERS, _AGAIN.replace("PLACE", "old/{day}.ndjson")),)),
    Case("SP806", 'source="old_views"', 'source="old_views", replay="again"', "legacy=Legacy(",
         "replay 'again' of legacy of event type 'view' lacks 'article', 'seconds', 'vector_32', or has",
         "in it as in source 'old_views'", more=((_ORDERS, _AGAIN.replace("PLACE", "again/{day}.ndjson")),)),
    Case("SP807", 'user_id="uid", events="state"),', 'user_id="uid", events="state"),\n        replay=_AGAIN,',
         "_AGAIN = Blobs", "replay of legacy of sequence 'activity' cannot be compared day by day", "drop replay=",
         more=((_ORDERS, _REPLAY.replace("PLACE", "again.parquet")),)),
    Case("SP807", 'user_id="uid", events="state"),', 'user_id="uid", events="state"),\n        replay=_AGAIN,',
         "_AGAIN = Blobs", "replay of legacy of sequence 'activity' is read from 'blobs/{day}.parquet', as legacy it",
         "a second time", more=((_ORDERS, _REPLAY.replace("PLACE", "blobs/{day}.parquet")),)),
    Case("SP811", '"dwell": Compared(field="seconds", absolute', '"dwel": Compared(field="seconds", absolute', '"dwel"',
         "compared column 'dwel' of event type 'view' is none of its columns", "did you mean 'dwell'?"),
    Case("SP811", 'Compared(field="label")', 'Compared(field="labl")', 'columns={"brand"',
         "compared column 'brand' of sequence 'activity' is to be 'labl', which `fields` lacks",
         "did you mean 'label'?"),
    Case("SP811", '"event_time": Compared(', '"event_time": Compared(field="seen_at", ', '"event_time": Comp',
         "compared column 'event_time' of event type 'view' names a field", "drop field="),
    Case("SP812", 'name="article", dtype="int32"', 'name="article", dtype="string"', '"item": Compared(',
         "compared column 'item' of event type 'view' is int64, but 'article' of legacy is string", "with sql="),
    Case("SP812", 'dtype="float32", unit="seconds"', 'dtype="float32", unit="ms"', '"dwell": Compared(',
         "compared column 'dwell' of event type 'view' has unit 'seconds', but 'seconds' of legacy has 'ms'", "sql="),
    Case("SP812", "vector[float32,32]", "vector[float32,16]", '"embedding": Compared(',
         "compared column 'embedding' of event type 'view' is vector[float16,32], but 'vector_32' of legacy",
         "sql="),
    Case("SP812", 'field="vector_32", cosine=0.999', 'field="vector_32"', '"embedding": Compared(',
         "is vector[float16,32], but 'vector_32' of legacy is vector[float32,32]", "with sql="),
    Case("SP813", '"item": Compared(', '"item": Compared(cosine=0.9, ', '"item": Compared(',
         "compared column 'item' of event type 'view' is int64, which has no cosine=", "write absolute= or relative="),
    Case("SP813", '"event_time": Compared(absolute=1)', '"event_time": Compared(relative=1e-6)', '"event_time": Comp',
         "compared column 'event_time' of event type 'view' is timestamp, which has no relative=", "write absolute="),
    Case("SP813", 'Compared(field="label")', 'Compared(field="label", as_set=True)', 'columns={"brand"',
         "compared column 'brand' of sequence 'activity' is string, which has no as_set=", "drop it"),
    Case("SP814", "until=dt.date(2025, 6, 1)", "until=dt.date(2024, 1, 31)", 'Explained(cause="filter"',
         "explained difference of legacy of event type 'view' ends on 2024-01-31, before the first day, 2024-02-01",
         "write a later until="),
    Case("SP815", ", at_most=0.01", "", 'Explained(cause="late"',
         "explained difference of legacy of sequence 'activity' has neither an end nor a cap", "write until="),
    Case("SP831", 'event_id="id",\n        columns', 'natural_key=("item",),\n        serve=True,\n        columns',
         "legacy=Legacy(", "legacy of event type 'view' is served, but has no event_id", "or drop serve=True",
         more=_NO_VECTOR),
    Case("SP832", 'event_id="id",\n        columns', 'event_id="id",\n        serve=True,\n        columns',
         '"embedding": Compared(', "column 'embedding' of event type 'view' is vector[float16,32], and is served from "
         "'vector_32' of legacy, which is vector[float32,32]", "with sql="),
    Case("SP834", 'event_id="id",\n        columns', 'event_id="id",\n        serve=True,\n        columns',
         '"item": Compared(', "column 'item' of event type 'view' is not marked as personal data, but is served from "
         "'article' of legacy, which is", "declare pii=True in column 'item'",
         more=(*_NO_VECTOR, ('name="article", dtype="int32"', 'name="article", dtype="int32", pii=True'))),
    Case("SP833", 'event_id="id",\n        columns', 'event_id="id",\n        serve=True,\n        columns',
         "order = EventType", "'view__legacy' is the name under which legacy of event type 'view' is served", "rename",
         more=(*_NO_VECTOR, ('name="order"', 'name="view__legacy"'), ('("view", "order")', '("view", "view__legacy")'),
               ('"order": "sku"', '"view__legacy": "sku"'), ('"order": "product', '"view__legacy": "product'))),
    Case("SP841", *_measured("UserMetric(name='orders', event_type='order')"), "experiment=Experiment(",
         "event type 'view' has an experiment, but a legacy that is not served: all users are answered alike",
         "write serve=True in legacy=", more=_EXPERIMENT),
    Case("SP842", *_measured("UserMetric(name='orders', event_type='ordr')"), "metrics=(UserMetric(",
         "metric 'orders' of event type 'view' counts events of type 'ordr', which is not defined",
         "did you mean 'order'?", more=_SERVED),
    Case("SP843", *_measured("UserMetric(name='spent', event_type='order', kind='sum')"), "metrics=(UserMetric(",
         "metric 'spent' of event type 'view' is a sum of nothing", "name a column of numbers", more=_SERVED),
    Case("SP843", *_measured("UserMetric(name='dwell', event_type='view', column='dwell')"), "metrics=(UserMetric(",
         "metric 'dwell' of event type 'view' says column=, which has no meaning for 'converted'", "kind='sum'",
         more=_SERVED),
    Case("SP843", *_measured("UserMetric(name='dwell', event_type='view', kind='sum', column='dwel')"),
         "metrics=(UserMetric(", "column 'dwel' of metric 'dwell' of event type 'view' is not one of event type 'view'",
         "did you mean 'dwell'?", more=_SERVED),
    Case("SP843", *_measured("UserMetric(name='dwell', event_type='view', kind='ratio', column='dwell', per='brand')"),
         "metrics=(UserMetric(", "column 'brand' of metric 'dwell' of event type 'view' is string, and no number",
         "take another one", more=_SERVED),
    Case("SP843", *_measured("UserMetric(name='dwell', event_type='view', kind='sum', column='dwell')"),
         "metrics=(UserMetric(", "column 'dwell' of metric 'dwell' of event type 'view' is personal data",
         "take another one",
         more=(*_SERVED, ('Column(name="dwell", dtype="float64",', 'Column(name="dwell", pii=True, dtype="float64",'))),
    Case("SP844", *_measured("UserMetric(name='m', event_type='view'), UserMetric(name='m', event_type='order')"),
         "experiment=Experiment(", "the experiment of event type 'view' names metric 'm' more than once", "rename one",
         more=_SERVED),
    Case("SP821", 'event_id="key"', 'event_id="kee"', "legacy=LegacySequence(",
         "event_id 'kee' of legacy of sequence 'activity' is none of its fields", "did you mean 'key'?"),
    Case("SP821", 'name="key", dtype="string"', 'name="key", dtype="float64"', 'name="key"',
         "event_id 'key' of legacy of sequence 'activity' is float64, which has no one text", "'string' or 'int64'"),
    Case("SP821", 'Column(name="label", dtype="string"),\n        ),', 'Column(name="label", dtype="string"),\n'
         '            Column(name="label", dtype="int64", sql="clock"),\n        ),', 'name="label", dtype="int64"',
         "fields of legacy of sequence 'activity' names 'label' 2 times", "keep one of them",
         more=(('columns={"brand": Compared(field="label")}', 'columns={"event_time": Compared(absolute=1)}'),
               (" AND legacy_brand = 'x'", ""))),
    Case("SP822", 'event_types={"view": "V"}', 'event_types={"views": "V"}', "legacy=LegacySequence(",
         "event_types of legacy of sequence 'activity' names 'views', which is not in the sequence",
         "did you mean 'view'?"),
    Case("SP822", 'event_type="kind",\n', "", "legacy=LegacySequence(",
         "legacy of sequence 'activity' maps event_types, but says no event_type", "drop event_types="),
    Case("SP822", 'event_types={"view": "V"}', 'event_types={"view": "order"}', "legacy=LegacySequence(",
         "event_types of legacy of sequence 'activity' uses 'order' for several", "a value of its own"),
    Case("SP823", 'user_id="uid", events="state"', 'user_id="uid..", events="state"', "at=Blobs",
         "blobs of legacy of sequence 'activity' read user_id at 'uid..', which is no path", "user_id='\"uid..\"'"),
    Case("SP823", 'events="state"', 'encoding="json"', "at=Blobs",
         "blobs of legacy of sequence 'activity' do not say where the events are", "write events='<field>'"),
    Case("SP823", 'events="state"', 'events="state", encoding="msgpack", format="csv"', "at=Blobs",
         "are MessagePack in csv, which holds texts only", "encoding='json'"),
    Case("SP823", 'events="state"', 'events="state", encoding="list", format="csv"', "at=Blobs",
         "are lists in csv, which has none", "encoding='json'"),
    Case("SP823", 'events="state"', 'encoding="list", format="ndjson"', "at=Blobs",
         "are a list per field in ndjson, which is read in parquet only", "write events='<field>'"),
]
# fmt: on


def broken(text: str, case: Case) -> str:
    for old, new in ((case.old, case.new), *case.more):
        assert old in text, f"{old!r} is not in the shop any more"
        text = text.replace(old, new)
    return text


def line_of(text: str, part: str) -> int:
    assert text.count(part) == 1, f"{part!r} is not unique, so it names no line"
    return text[: text.index(part)].count("\n") + 1


def test_the_shop_has_no_findings(check: Check, shop_text: str) -> None:
    assert check(shop_text) == []


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_rule_reports_what_it_is_for_and_nothing_else_does(check: Check, shop_text: str, case: Case) -> None:
    text = broken(shop_text, case)
    findings = check(text)
    assert [found.rule for found in findings] == [case.rule] * case.count
    here = [found for found in findings if case.message in found.message]
    assert here, f"said: {[found.message for found in findings]}"
    assert here[0].where.line == line_of(text, case.at)
    assert here[0].where.file.endswith("shop.py")
    assert case.fix in here[0].fix
    assert here[0].severity == RULES[case.rule].severity


def test_every_rule_has_a_case() -> None:
    assert {case.rule for case in CASES} == set(RULES)
