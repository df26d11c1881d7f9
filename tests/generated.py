"""What is made from the code and committed: JSON Schemas, the page of errors, the README's table of step policies.

Write it anew: `python -m tests.generated`.
"""

import json
from pathlib import Path

from activities.error_catalogue import CATALOGUE, Entry
from models.cloud_pc import STAGES, Stage
from models.documents import DOCUMENT_TYPES, json_schema
from workflows.activity_options import RETRY_POLICY, STEP_POLICIES

ROOT = Path(__file__).parent.parent
_BEGIN, _END = "<!-- generated: step policies -->\n", "<!-- end -->\n"
_TITLES = {step: title for steps in STAGES.values() for step, title in steps.items()}


def generated() -> dict[Path, str]:
    """Return what each generated file is to hold."""
    schemas = {
        ROOT / "examples" / "schemas" / f"{name}.schema.json": json.dumps(json_schema(model), indent=2) + "\n"
        for name, model in DOCUMENT_TYPES.items()
    }
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(_BEGIN)
    after = rest.partition(_END)[2]
    return {
        **schemas,
        ROOT / "docs" / "errors.md": _errors(),
        readme: before + _BEGIN + _step_policies() + _END + after,
    }


def _step_policies() -> str:
    first, most = RETRY_POLICY.initial_interval, RETRY_POLICY.maximum_interval
    assert most is not None
    lines = [
        "| core step | one attempt | in all | why |",
        "|---|---|---|---|",
        *(
            f"| {_TITLES[step]} | {policy.attempt:g} min | {policy.in_all:g} min | {policy.reason} |"
            for step, policy in STEP_POLICIES.items()
            if step in STAGES[Stage.CORE_PROVISIONING]
        ),
        "",
        f"Attempts are not counted: the time in all ends them. Between two of them lie {first.seconds} s, doubled each "
        f"time up to {most.seconds} s,\nunless the service says otherwise in `Retry-After`.",
    ]
    return "\n".join(lines) + "\n"


def _errors() -> str:
    lines = [
        "# Errors",
        "",
        "What a code in a Cloud PC's `statusDetail` or in a warning means. *capacity*: another VM size, zone or",
        "region is tried before the Cloud PC fails; *transient*: tried again until the step's time is up, and",
        "*terminal* ones need an admin. The page is made from `activities/error_catalogue.py`.",
        "",
        "| code | class | cause | remedy | steps |",
        "|---|---|---|---|---|",
        *map(_row, sorted(CATALOGUE, key=lambda entry: entry.code.casefold())),
    ]
    return "\n".join(lines) + "\n"


def _row(entry: Entry) -> str:
    told_by = entry.message or (f"HTTP {entry.status}" if entry.status else "")
    code = f"`{entry.code}`" + (f" ({told_by})" if told_by else "")
    steps = ", ".join(_TITLES[step] for step in entry.steps) or "any"
    return f"| {code} | {entry.error_class} | {entry.cause} | {entry.remedy} | {steps} |"


if __name__ == "__main__":
    for path, text in generated().items():
        path.write_text(text, encoding="utf-8")
