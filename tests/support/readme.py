"""The README as tests read it: one copy of every example."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def commands() -> tuple[str, str]:
    """The two commands that do everything on a fresh machine."""
    first, second, *_ = (block.strip() for block in blocks("sh"))
    return first, second


def table_below(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its own headings."""
    section = README.split(f"{heading}\n", 1)[1]
    lines = [line for line in section.split("\n## ", 1)[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]
