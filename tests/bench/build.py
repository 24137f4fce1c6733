"""The measuring origin and the driver, built in release as the gateway is."""

import os
import subprocess
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent.parent
LOAD = Path(os.environ["CARGO_TARGET_DIR"]) / "release/portcullis-load"


def build() -> None:
    """With the other programs, as tests/lib/prepare.sh does: alone it would be built with other features."""
    programs = ["--bin", "portcullis", "--bin", "portcullis-operator", "--bin", "portcullis-load"]
    subprocess.run(["cargo", "build", "--release", "--locked", "--quiet", *programs], cwd=REPO, check=True)
