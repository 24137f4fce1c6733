"""A copy of the tree, in the cache, in which some files differ: for what has to be built with something else in it."""

import subprocess
from pathlib import Path


def copy(repository: Path, folder: Path, texts: dict[str, str]) -> None:
    """The tree as it lies here, with these files instead of its own. What is the same as before is not touched, so that it need
    not be built again."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=repository, capture_output=True, check=True
    )
    files = {name for name in listed.stdout.decode().split("\0") if name and (repository / name).is_file()}
    for old in [path for path in folder.rglob("*") if path.is_file() and path.relative_to(folder).as_posix() not in files]:
        old.unlink()
    for name in files:
        wanted = texts[name].encode() if name in texts else (repository / name).read_bytes()
        path = folder / name
        if not path.exists() or path.read_bytes() != wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(wanted)
