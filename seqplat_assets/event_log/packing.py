"""The text of an event, packed: Dagster's JSON names every class and every null, and is 2 to 3 kB for ten numbers.

>>> text = '{"__class__": "EventLogEntry", "dagster_event": null}' * 9
>>> len(packed(text)) < len(text) / 4, unpacked(packed(text).encode()) == text, unpacked(text.encode()) == text
(True, True, True)
"""

import zlib
from base64 import b64decode, b64encode
from contextlib import suppress

# No JSON begins like it. What was packed with other words would begin otherwise.
_MARK = "z1:"
_MARK_BYTES = _MARK.encode()

# What events have in common, the commonest last. Never to be edited: what is stored was packed with exactly these.
_WORDS = (
    b'{"__class__": "AssetMaterializationPlannedData", "asset_key": {"__class__": "AssetKey", "path": ["shadow", '
    b'"raw", "enrichments", "sequences", "online", "events"]}, "partition": "2024-01-01", "partitions_subset": null}, '
    b'"event_type_value": "ASSET_MATERIALIZATION_PLANNED", "logging_tags": {}, "message": "__ASSET_JOB intends to '
    b'materialize asset [\\"", "pid": null, "pipeline_name": "__ASSET_JOB", "solid_handle": null, "step_handle": null, '
    b'"step_key": "online__", "step_kind_value": null}, "error_info": null, "level": 10, "message": "", '
    b'"user_message": ""}{"__class__": "EventLogEntry", "dagster_event": {"__class__": "DagsterEvent", '
    b'"event_specific_data": {"__class__": "AssetCheckEvaluation", "asset_key": {"__class__": "AssetKey", "path": ['
    b'"blocking": true, "blocking": false, "check_name": "identity", "check_name": "rejects", "check_name": '
    b'"completeness", "check_name": "schema", "description": "", "metadata": {"missing": {"__class__": '
    b'"FloatMetadataEntryData", "value": 1.0}, "surplus": {"__class__": "FloatMetadataEntryData", "value": 0.0}}, '
    b'"partition": "2025-01-01", "severity": {"__enum__": "AssetCheckSeverity.ERROR"}, "severity": {"__enum__": '
    b'"AssetCheckSeverity.WARN"}, "success": false, "success": true, "target_materialization_data": {"__class__": '
    b'"AssetCheckEvaluationTargetMaterializationData", "run_id": "", "storage_id": 1, "timestamp": 17'
    b'"event_type_value": "ASSET_CHECK_EVALUATION", "did not pass. Description: \'", "message": "Asset check \''
    b"schema' on 'events/_events' passed. Description: ''\", "
    b'"step_handle": {"__class__": "StepHandle", "key": "check_events__", "check_raw__", "check_enrichments__", '
    b'{"__class__": "EventLogEntry", "dagster_event": {"__class__": "DagsterEvent", "event_specific_data": '
    b'{"__class__": "StepMaterializationData", "asset_lineage": [], "materialization": '
    b'{"__class__": "AssetMaterialization", '
    b'"asset_key": {"__class__": "AssetKey", "path": ["events", ""]}, "description": null, "metadata_entries": ['
    b'{"__class__": "EventMetadataEntry", "description": null, "entry_data": {"__class__": "TextMetadataEntryData", '
    b'"text": ""}, "label": "release"}, {"__class__": "EventMetadataEntry", "description": null, "entry_data": '
    b'{"__class__": "IntMetadataEntryData", "value": 1}, "label": "dagster/row_count"}, {"__class__": '
    b'"EventMetadataEntry", "description": null, "entry_data": {"__class__": "IntMetadataEntryData", "value": }, '
    b'"label": "dagster/size_bytes"}, "label": "delta_version"}, "label": "read"}, "label": "filtered"}, "label": '
    b'"withdrawn"}, "label": "duplicates"}, "label": "conflicts"}, "label": "moved"}, "label": "rejected"}, "label": '
    b'"users"}, "label": "rows"}, "label": "files"}, "label": "epoch"}, "label": "blocks_written"}, "label": '
    b'"bytes_written"}, "label": "events"}, {"__class__": "EventMetadataEntry", "description": null, "entry_data": '
    b'{"__class__": "FloatMetadataEntryData", "value": 0.00}, "label": "seconds_read"}, "label": "seconds_engine"}, '
    b'"label": "seconds_write"}, {"__class__": "EventMetadataEntry", "description": null, "entry_data": {"__class__": '
    b'"FloatMetadataEntryData", "value": 0.0}, "label": "seconds_total"}], "partition": "2026-01-01", "tags": '
    b'{"dagster/code_version": "", "dagster/data_version": "", "dagster/input_data_version/raw/": "", '
    b'"dagster/input_data_version/events/": "", "dagster/input_event_pointer/events/": "", '
    b'"dagster/input_event_pointer/raw/": ""}}}, "event_type_value": "ASSET_MATERIALIZATION", "logging_tags": '
    b'{"job_name": "__ASSET_JOB", "op_name": "events__", "resource_fn_name": "None", "resource_name": "None", '
    b'"run_id": "", "step_key": "events__"}, "message": "Materialized value ", "pid": 1, "pipeline_name": '
    b'"__ASSET_JOB", "solid_handle": {"__class__": "SolidHandle", "name": "events__", "parent": null}, "step_handle": '
    b'{"__class__": "StepHandle", "key": "events__", "solid_handle": {"__class__": "SolidHandle", "name": "events__", '
    b'"parent": null}}, "step_key": "events__", "step_kind_value": "COMPUTE"}, "error_info": null, "level": 10, '
    b'"message": "", "pipeline_name": "__ASSET_JOB", "run_id": "", "step_key": "events__", "timestamp": 17, '
    b'"user_message": "Materialized value '
)


def packed(text: str) -> str:
    """As text, because that is what the column is."""
    press = zlib.compressobj(wbits=-15, zdict=_WORDS)
    return _MARK + b64encode(press.compress(text.encode()) + press.flush()).decode()


def unpacked(stored: bytes) -> str:
    """What was packed, or the text as it is: that of other columns, and of events stored by Dagster's own class."""
    if stored.startswith(_MARK_BYTES):
        with suppress(ValueError, zlib.error):  # a tag that happens to begin so
            press = zlib.decompressobj(wbits=-15, zdict=_WORDS)
            text = press.decompress(b64decode(stored[len(_MARK) :], validate=True))
            if press.eof:
                return text.decode()
    return stored.decode()
