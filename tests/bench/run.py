"""Runs the benchmarks, all or one: `python -m tests.bench.run [NAME]`; what each printed as figures comes last."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BENCHES = {
    "failover": "tests.bench.failover_bench",
    "startup": "tests.bench.startup_bench",
    "memory": "tests.bench.memory_bench",
    "scrape": "tests.bench.scrape_bench",
    "raft": "tests.bench.raft_bench",
    "scheduler": "tests.bench.scheduler_bench",
    "rules": "tests.bench.rules_bench",
    "dashboards": "tests.bench.dashboards_bench",
    "exporter": "tests.bench.exporter_bench",
}
TIMEOUT_SECONDS = 900
_FIGURE = re.compile(r"\S+ [-+0-9.einfa]+ \S+( [-+0-9.einfa]+ [-+0-9.einfa]+)?\Z")


def main() -> int:
    """Run what was asked for; the exit code says whether all went well."""
    wanted = sys.argv[1:] or list(BENCHES)
    unknown = [name for name in wanted if name not in BENCHES]
    if unknown:
        print(f"no benchmark called {', '.join(unknown)}: choose from {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    figures: list[str] = []
    failed = False
    for name in wanted:
        print(f"== {name}", flush=True)
        finished = subprocess.run(
            [sys.executable, "-m", BENCHES[name]],
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            check=False,
            timeout=TIMEOUT_SECONDS,
        )
        print(finished.stdout, end="", flush=True)
        failed |= finished.returncode != 0
        figures += [line for line in finished.stdout.splitlines() if _FIGURE.match(line)]
    print("\n# name value unit [baseline ratio]")
    print("\n".join(figures))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
