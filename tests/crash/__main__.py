"""The long run of the crash harness: `python -m tests.crash --seeds 1000 --jobs 6`.

Prints a line for each seed that breaks an invariant, with the command that runs it again, and at the end how
often each kind of fault and blow struck.
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import trustme

from workflows.process import end_process


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="how many seeds to run")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--step", type=int, default=1, help="distance between two seeds")
    parser.add_argument("--jobs", type=int, default=1, help="how many run side by side, each with its own server")
    parser.add_argument("--logs", type=Path, help="keep logs and databases here; else they are removed")
    parser.add_argument(
        "--steps", action="store_true", help="instead: every step, with a kill before, during and after"
    )
    parser.add_argument("--json", action="store_true", help="a JSON object for each seed")
    return parser.parse_args()


async def _run_seeds(directory: Path, arguments: argparse.Namespace) -> int:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    # Read when aiohttp is first imported, here and in the process that workers are forked from.
    os.environ["SSL_CERT_FILE"] = str(directory / "ca.pem")
    from tests.crash.harness import run, running_stack
    from tests.crash.scenario import scenario
    from tests.crash.steps import table
    from tests.crash.worker_process import prepare

    this = asyncio.current_task()
    assert this
    # With everything that it has started.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    prepare()
    failed = 0
    async with running_stack(directory, authority) as stack:
        if arguments.steps:
            text, failed = await table(stack)
            print(text)
            return failed
        for number in range(arguments.seeds):
            wanted = scenario(arguments.first + number * arguments.step)
            outcome = await run(stack, wanted)
            failed += bool(outcome.broken)
            if arguments.json:
                report = {"seed": wanted.seed, "scenario": str(wanted), **vars(outcome)}
                print(json.dumps(report), flush=True)
            else:
                _show({"seed": wanted.seed, "scenario": str(wanted), **vars(outcome)})
                print(f"  {outcome.seconds:.1f} s, struck: {dict(outcome.fired)}", flush=True)
    return failed


def _show(report: dict[str, Any]) -> None:
    print(f"{'BROKEN' if report['broken'] else 'held'} {report['scenario']}\n  ended {', '.join(report['statuses'])}")
    for line in report["broken"]:
        print(f"  ! {line}")
    if report["broken"]:
        print(f"  again: python -m tests.crash --seeds 1 --first {report['seed']} --logs DIRECTORY", flush=True)


def _run_jobs(arguments: argparse.Namespace) -> int:
    """Let several processes run the seeds, and sum up what they report."""
    start = time.monotonic()
    reports: list[dict[str, Any]] = []
    threads = [threading.Thread(target=_run_job, args=(arguments, job, reports)) for job in range(arguments.jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    fired: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    for report in reports:
        fired.update(report["fired"])
        statuses.update(report["statuses"])
    broken = [report for report in reports if report["broken"]]
    print(f"\n{len(reports)} seeds, {len(broken)} with a broken invariant, {time.monotonic() - start:.0f} s")
    print("\n| Cloud PCs ended | |\n|---|---|")
    print("\n".join(f"| {status} | {times} |" for status, times in statuses.most_common()))
    print("\n| fault or blow | times |\n|---|---|")
    print("\n".join(f"| {kind} | {times} |" for kind, times in fired.most_common()))
    return len(broken) + arguments.seeds - len(reports)


def _run_job(arguments: argparse.Namespace, job: int, reports: list[dict[str, Any]]) -> None:
    seeds = len(range(job, arguments.seeds, arguments.jobs))
    command = [sys.executable, "-m", "tests.crash", "--json", "--seeds", str(seeds)]
    command += ["--first", str(arguments.first + job), "--step", str(arguments.jobs)]
    if arguments.logs:
        command += ["--logs", str(arguments.logs / f"job-{job}")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            if not line.startswith("{"):
                # The SDK's core writes its warnings here too.
                continue
            report = json.loads(line)
            reports.append(report)
            if report["broken"]:
                _show(report)


def main() -> int:
    """Run the seeds and return the exit code: 1 when an invariant was broken."""
    arguments = _arguments()
    if arguments.jobs > 1:
        return int(_run_jobs(arguments) > 0)
    with tempfile.TemporaryDirectory(prefix="cloud-pc-crash-") as temporary:
        directory = arguments.logs or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        try:
            return int(asyncio.run(_run_seeds(directory, arguments)) > 0)
        except (asyncio.CancelledError, KeyboardInterrupt):
            return 130


if __name__ == "__main__":
    end_process(main())
