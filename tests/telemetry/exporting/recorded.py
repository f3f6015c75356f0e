"""A server of a Nomad that answers as a real one was recorded to: the status, the headers and the body, of each path."""

from pathlib import Path

from tests.telemetry.exporting.fake_nomad import FakeNomad

GOLDEN = Path(__file__).parents[2] / "golden" / "nomad-2.0.5"
_LEFT_OUT = frozenset({"content-length", "transfer-encoding", "date"})


def answer(name):
    """Return status, headers and body of the recording *name*, such as "api/nodes"."""
    head = (GOLDEN / f"{name}.headers").read_text(encoding="utf-8").splitlines()
    status = next(int(line.split()[1]) for line in head if line.startswith("HTTP "))
    pairs = (line.partition(": ") for line in head if not line.startswith((">", "HTTP ")))
    headers = {key: value for key, _, value in pairs if key and key.lower() not in _LEFT_OUT}
    body = next(path for ending in ("json", "body") if (path := GOLDEN / f"{name}.{ending}").exists())
    return status, headers, body.read_bytes()


class RecordedNomad(FakeNomad):
    """Answers each path with the recording that *names* has for it; 500 "No cluster leader" to others, after no pause."""

    def __init__(self, name, names):
        super().__init__(name)
        self.names = dict(names)

    def answer(self, path, query):
        """Return status, headers and body."""
        if path not in self.names:
            return answer("api-no-leader/autopilot-health")
        return answer(self.names[path])
