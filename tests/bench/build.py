"""The measuring origin and the driver, built in release as the gateway is."""

import os
import subprocess
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent.parent
LOAD = Path(os.environ["CARGO_TARGET_DIR"]) / "release/portcullis-load"


def build() -> None:
    subprocess.run(["cargo", "build", "--release", "--locked", "--quiet", "-p", "portcullis-load"], cwd=REPO, check=True)
