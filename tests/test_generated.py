"""What is made from the code is committed as it is made."""

from pathlib import Path

import pytest

from tests.generated import ROOT, generated


@pytest.mark.parametrize("path", generated(), ids=lambda path: path.name)
def test_committed_file_is_in_step(path: Path) -> None:
    """Write it anew: python -m tests.generated."""
    assert path.read_text(encoding="utf-8") == generated()[path]


def test_every_step_policy_of_the_core_stage_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "| Allocate Azure capacity | 15 min | 60 min |" in readme
