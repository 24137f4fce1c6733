"""As in every suite of pytest (see lib/reporting.py), and: each test says which requirements it shows."""

import pytest
from reporting import *  # noqa: F403
from reporting import require


def pytest_configure():
    require("PORTCULLIS_BIN", "the gateway")


def pytest_collection_modifyitems(items):
    for item in items:
        ids = [id for mark in item.iter_markers("requirement") for id in mark.args]
        if not ids:
            raise pytest.UsageError(f"{item.nodeid} names no requirement: mark it with @pytest.mark.requirement(ID)")
        item.user_properties += [("requirement", id) for id in ids]
