"""As in every suite of pytest: see lib/reporting.py."""

from reporting import *  # noqa: F403
from reporting import require


def pytest_configure():
    require("PORTCULLIS_IMAGE_BIN", "the gateway")
    require("PORTCULLIS_OPERATOR_BIN", "the operator")
    require("KUBERNETES_BIN", "the folder of kubelet, kube-apiserver, helm and so on")
