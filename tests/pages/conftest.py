"""As in every suite of pytest: see lib/reporting.py."""

from reporting import *  # noqa: F403
from reporting import require


def pytest_configure():
    require("PORTCULLIS_BIN", "the gateway")
