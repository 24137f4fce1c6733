"""The values of the charts, byte for byte: files that people keep name them. See tests/golden."""

import json
import os
from pathlib import Path

import pytest
import yaml

REPO = Path(__file__).resolve().parent.parent.parent
GOLDEN = REPO / "tests/golden/files"
CHARTS = ["portcullis", "portcullis-crds"]


def without_prose(schema):
    """A JSON schema without what only people read."""
    if isinstance(schema, dict):
        return {key: without_prose(value) for key, value in schema.items() if not (key in ("description", "title") and isinstance(value, str))}
    return [without_prose(each) for each in schema] if isinstance(schema, list) else schema


@pytest.mark.parametrize("chart", CHARTS)
def test_the_values_of_a_chart_keep_their_names_defaults_and_types(chart):
    folder = REPO / "charts" / chart
    values = yaml.safe_load((folder / "values.yaml").read_text())
    schema = without_prose(json.loads((folder / "values.schema.json").read_text()))
    actual = json.dumps({"values": values, "schema": schema}, indent=2, sort_keys=True) + "\n"
    golden = GOLDEN / "charts" / f"{chart}.json"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(actual)
    assert golden.read_text() == actual, f"{golden} has changed"
