"""The same sixteen steps on Temporal, DBOS and Restate, one engine after the other.

`python -m benchmarks.engines --json FILE`, in an environment that has `dbos`, `restate-sdk` and `hypercorn` beside the
project's own requirements, and `npm`. Rounds of all engines are repeated, and every figure is the median of its rounds.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, cast

_ENGINES = ("temporal", "dbos", "restate")


def main() -> None:
    """Measure the chosen engines and write one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engines", nargs="*", help=f"which of {', '.join(_ENGINES)}; all by default")
    parser.add_argument("--workflows", type=int, default=100, help="started at once as the fleet")
    parser.add_argument("--repeats", type=int, default=3, help="rounds of all engines")
    parser.add_argument("--cache", type=Path, help="folder that keeps the Restate server between runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the document there, not to the terminal")
    arguments = parser.parse_args()
    engines: list[str] = arguments.engines or list(_ENGINES)
    if unknown := set(engines) - set(_ENGINES):
        parser.error(f"no such engine: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="engines-") as directory:
        cache: Path = (arguments.cache or Path(directory)).absolute()
        rounds = [
            {engine: _measure(engine, arguments.workflows, cache) for engine in engines}
            for _ in range(arguments.repeats)
        ]
    document = json.dumps(_median(rounds), indent=2)
    if arguments.json:
        arguments.json.write_text(f"{document}\n", encoding="utf-8")
    else:
        print(document)


def _measure(engine: str, workflows: int, cache: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", f"benchmarks.engines.{engine}"]
    options = ["--workflows", str(workflows), "--cache", str(cache), "--json"]
    measured = subprocess.run([*command, *options], stdout=subprocess.PIPE, check=True)  # noqa: S603
    result: dict[str, Any] = json.loads(measured.stdout)
    latency, fleet = result["latency_ms"]["median"], result["fleet"]["per_s"]
    print(f"{engine}: {latency} ms alone, {fleet} workflows/s in a fleet of {workflows}", file=sys.stderr)
    return result


def _median(values: list[Any]) -> Any:
    """Return the median of numbers; of documents, one with the medians of their fields."""
    if isinstance(values[0], dict):
        fields = cast("dict[str, Any]", values[0])
        return {name: _median([value[name] for value in values]) for name in fields}
    return values[0] if isinstance(values[0], str) else statistics.median(values)


if __name__ == "__main__":
    main()
