"""What was found in order and what not, as every mode reports it."""

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path


class Tally:
    def __init__(self):
        self.passed = self.failed = 0
        self.complaints: list[str] = []

    def note(self, good: bool, otherwise: str) -> None:
        if good:
            self.passed += 1
        else:
            self.failed += 1
            self.complaints.append(otherwise)

    def report(self, word: str = "FAILED") -> int:
        """Prints what is not in order and the counts; returns the exit status."""
        for complaint in self.complaints:
            print(f"{word} {complaint}")
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed else 0


@contextmanager
def folder_of_logs(tally: Tally, mode: str):
    """A folder that is kept where something is not in order. What breaks the run off is noted too."""
    folder = Path(tempfile.mkdtemp(prefix=f"portcullis-conformance-{mode}-"))
    try:
        yield folder
    except Exception as broken:
        tally.note(False, f"the run broke off: {type(broken).__name__}: {broken}")
    if tally.failed:
        print(f"logs are kept in {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
