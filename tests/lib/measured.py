"""Times and figures that tests measure. They are printed in the suite's summary and never asserted."""

lines: list[str] = []


def note(text: str) -> None:
    lines.append(text)
