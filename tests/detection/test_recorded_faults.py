"""The shipped rules over scrapes of a real Nomad under real faults: the right alerts in time, and nothing else."""

import json
import tarfile

import pytest

from alert_rules.rules import rule_set
from telemetry.catalogue.metric import Unit
from tests.alert_rules.timeline import PROOF, SHIPPED, evaluate, settings
from tests.detection import recordings
from tests.detection.expectations import BACKGROUND, EXPECTED, Expected, Heard, Judged, Verdict, judge
from tests.detection.recordings import COUNTED, load, metrics_of, read_folder, recordings_in, wanted, written
from tests.tools import find_or_explain

PROMTOOLS, ABSENT = find_or_explain("promtool")
INTERVALS = {"1s": PROOF, "5s": SHIPPED}
RULES = rule_set(settings())
STALE = "stale: run python -m tests.detection.recordings on the folder of the recordings"


@pytest.mark.integration
@pytest.mark.skipif(not PROMTOOLS, reason=ABSENT)
@pytest.mark.parametrize("promtool", PROMTOOLS, ids=str)
@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("name", EXPECTED)
def test_a_recorded_fault_is_notified_in_time_and_alone(promtool, tmp_path, name, interval):
    """
    What a receiver hears of a real fault is what it should, within the promise.
    """
    times = INTERVALS[interval]
    recording = load(name).with_health()

    series = recording.input_series(int(times.scrape_interval_seconds))
    course = evaluate(promtool, tmp_path, series, settings(len(recording.servers), times))

    heard = [Heard(alert, at - recording.fault, {}) for alert, at in course.notified().items()]
    judged = judge(EXPECTED[name], heard, RULES, times, BACKGROUND)
    print(f"{name} {interval} {promtool}: {judged}")
    assert [] == [each for each in judged if not each.verdict.is_good]


def test_every_recording_says_what_is_expected_of_it():
    """
    A recording that nobody judges proves nothing.
    """
    assert recordings.known() == sorted(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_recording_has_the_series_that_rules_use(name):
    """
    What rules use was sought when the file was made.
    """
    assert wanted() == metrics_of(name), STALE


@pytest.mark.parametrize("name", EXPECTED)
def test_a_recording_shows_each_agent_in_health(name):
    """
    Before its fault every agent answers, so that the rules see health first.
    """
    recording = load(name)

    assert {"s1": "server", "s2": "server", "s3": "server", "c1": "client", "c2": "client"} == recording.roles
    assert all(columns["up"][int(recording.fault) - 2] == 1 for columns in recording.series.values())
    assert any(columns.get("nomad_raft_rpc_processHeartbeat_count") for columns in recording.series.values())


@pytest.mark.parametrize(
    ("name", "actions"),
    [
        ("i-kill-leader", ["sent SIGKILL to s2", "started s2"]),
        (
            "iia-quorum-lost-kill-2-followers",
            ["sent SIGKILL to s2", "sent SIGKILL to s3", "started s2", "started s3"],
        ),
        (
            "iib-quorum-lost-kill-leader-and-follower",
            ["sent SIGKILL to s1", "sent SIGKILL to s2", "started s1", "started s2"],
        ),
        ("iii-kill-client", ["sent SIGKILL to c2", "started c2"]),
    ],
)
def test_what_was_done_is_seen_in_the_scrapes(name, actions):
    """
    An agent that was killed answers no more within two seconds, and again within ten after it was started.
    """
    recording = load(name)

    assert actions == [what for _, what in recording.actions]
    for time, what in recording.actions:
        ups = recording.series[what.rpartition(" ")[2]]["up"]
        wait, value = (2, 0) if what.startswith("sent") else (10, 1)
        assert value in ups[int(time) : int(time) + wait + 1]
        assert ups[int(time) - 1] != value


def test_what_is_left_of_the_fault_before_is_taken_out():
    """
    An event that was before the recording is none of it: its count is there at first and gone before the fault.
    """
    flaps = [1.0, 1.0, None, None, 1.0, 2.0]
    recording = recordings.Recording(
        name="n",
        start=1000.0,
        fault=3.0,
        actions=(),
        roles={"s1": "server"},
        series={"s1": {"nomad_serf_member_flap": flaps, "nomad_raft_appliedIndex": flaps}},
    )

    columns = recording.with_health(2).series["s1"]

    assert [None] * 6 + [1.0, 2.0] == columns["nomad_serf_member_flap"]
    assert [None, None, *flaps] == columns["nomad_raft_appliedIndex"]


@pytest.fixture
def folder(tmp_path):
    """Return a folder with a recording of a server and a client, as scrapes were kept."""
    root = tmp_path / "fault"
    texts = {
        ("s1", 0): 'nomad_raft_appliedIndex 7\nnomad_raft_peers 3\nnomad_raft_commitTime{quantile="0.5"} NaN\n',
        ("s1", 1): "# TYPE nomad_raft_appliedIndex gauge\nnomad_raft_appliedIndex 8.5\nnomad_raft_peers 3\n",
        ("s1", 4): None,
        ("c1", 0): 'go_info{version="go1.26.8",job="x"} 1\nprocess_start_time_seconds 900\n',
        ("c1", 1): 'go_info{version="go1.26.8",job="x"} 1\nprocess_start_time_seconds 900\n',
        ("c1", 2): 'go_info{version="go1.26.8",job="x"} 1\nprocess_start_time_seconds 900\n',
    }
    for (agent, second), text in texts.items():
        file = root / agent / f"{1000 + second}.25.{'err' if text is None else 'prom'}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("HELP\n" + text if text else "refused")
    (root / "log.txt").write_text(
        "1000.0 scenario x [t0 is later]\n1002.750 [t0  +0.000s] sent SIGKILL to s1 pid 5\n"
        "1003.0 [t0  +0.250s]   s1 /v1/status/leader -> HTTP 0\n1004.0 [t0  +1.250s] started s1 pid 6\n"
    )
    return tmp_path


@pytest.fixture
def wanting(monkeypatch):
    """Let rules use some series, whichever they use in truth."""
    names = (COUNTED, "go_info", "nomad_raft_appliedIndex", "nomad_raft_commitTime", "process_start_time_seconds")
    monkeypatch.setattr(recordings, "wanted", lambda: names)
    return names


def test_a_recording_is_read_from_its_folder(folder, wanting):
    """
    Each series that rules use is there with its labels at each second; a second without a scrape repeats the last.
    """
    [recording] = recordings_in(folder)

    assert {"s1": "server", "c1": "client"} == recording.roles
    assert [1, 1, 1, 1, 0] == recording.series["s1"]["up"]
    assert [7, 8.5, 8.5, 8.5, None] == recording.series["s1"]["nomad_raft_appliedIndex"]
    assert [3, 2, 2, 2, None] == recording.series["s1"][COUNTED]
    assert 'nomad_raft_commitTime{quantile="0.5"}' in recording.series["s1"]
    assert ((2.5, "sent SIGKILL to s1"), (3.8, "started s1")) == recording.actions
    assert 2.5 == recording.fault


def test_an_archive_is_read_as_its_folder(folder, wanting):
    """
    A `.tar.xz` gives what its folder gives.
    """
    archives = folder / "archives"
    archives.mkdir()
    with tarfile.open(archives / "fault.tar.xz", "w:xz") as archive:
        archive.add(folder / "fault", "fault")

    assert list(read_folder(folder)) == list(read_folder(archives))


def test_a_recording_alone_is_a_folder_of_recordings(folder, wanting):
    """
    The folder of one recording may be named itself.
    """
    assert list(read_folder(folder)) == list(read_folder(folder / "fault"))


def test_a_folder_without_recordings_is_refused(tmp_path):
    """
    A wrong folder is named, with what is sought.
    """
    with pytest.raises(ValueError, match="holds no recording"):
        recordings_in(tmp_path)
    with pytest.raises(ValueError, match="is no folder"):
        recordings_in(tmp_path / "absent")


def test_a_file_says_first_that_it_is_generated(folder, wanting):
    """
    What is written is read again as it was, and its first line says what made it.
    """
    [(_, content)] = read_folder(folder)

    text = written(content)

    assert "generated" in text.splitlines()[0]
    assert content["series"] == json.loads(text)["series"]


def test_labels_of_the_target_go_before_labels_of_nomad(folder, wanting):
    """
    A label that the target has as well is exported_ in Prometheus.
    """
    [recording] = recordings_in(folder)

    names = recording.input_series()

    assert (
        'go_info{cluster="demo",exported_job="x",instance="c1",job="nomad-client",region="global",role="client",'
        'version="go1.26.8"}'
    ) in names


def test_moments_are_as_long_ago_as_they_were(folder, wanting):
    """
    A process that was started 100 s before the recording was so before its replay, whenever that is.
    """
    [recording] = recordings_in(folder)
    name = "process_start_time_seconds"
    assert Unit.UNIX_SECONDS is recordings.KNOWN.find(name).metric.unit

    moved = recording.begun_at(5000.0)

    assert 4899.75 == moved.series["c1"][name][0]
    assert moved.series["s1"] == recording.series["s1"]


def test_health_is_put_before_a_recording():
    """
    Counters go on growing as they did, gauges go through what they were, and what was absent stays so.
    """
    recording = recordings.Recording(
        name="n",
        start=1000.0,
        fault=3.2,
        actions=((3.2, "sent SIGKILL to s1"),),
        roles={"s1": "server"},
        series={
            "s1": {
                "up": [1.0, 1.0, 1.0, 0.0],
                "nomad_raft_appliedIndex": [5.0, 6.0, 7.0, None],
                "nomad_raft_rpc_processHeartbeat_count": [60.0, 66.0, 71.0, None],
                "nomad_raft_state_leader": [None, None, None, None],
            }
        },
    )

    longer = recording.with_health(4)

    assert [7.0, 5.0, 6.0, 7.0, 5.0, 6.0, 7.0, None] == longer.series["s1"]["nomad_raft_appliedIndex"]
    assert [38.0, 44.0, 49.0, 55.0, 60.0, 66.0, 71.0, None] == longer.series["s1"][
        "nomad_raft_rpc_processHeartbeat_count"
    ]
    assert [None] * 8 == longer.series["s1"]["nomad_raft_state_leader"]
    assert (7.2, ((7.2, "sent SIGKILL to s1"),), 996.0) == (longer.fault, longer.actions, longer.start)


PROMISED = RULES.alert("NomadClientDown").promised_seconds(SHIPPED)


@pytest.mark.parametrize(
    ("heard", "verdicts"),
    [
        ([("NomadClientDown", PROMISED - 1)], [("NomadClientDown", Verdict.IN_TIME)]),
        ([("NomadClientDown", PROMISED + 2)], [("NomadClientDown", Verdict.LATE)]),
        ([("NomadClientDown", -1.0)], [("NomadClientDown", Verdict.UNEXPECTED)]),
        ([], [("NomadClientDown", Verdict.MISSING)]),
        (
            [("NomadServerDown", 5.0), ("NomadClientDown", PROMISED), ("NomadCommitSlow", -20.0)],
            [
                ("NomadClientDown", Verdict.IN_TIME),
                ("NomadCommitSlow", Verdict.BACKGROUND),
                ("NomadServerDown", Verdict.UNEXPECTED),
            ],
        ),
    ],
)
def test_what_is_heard_is_judged(heard, verdicts):
    """
    In time, late, missing, background of the recordings, or unexpected; before the fault nothing is expected.
    """
    judged = judge(
        [Expected("NomadClientDown")],
        [Heard(alert, after, {}) for alert, after in heard],
        RULES,
        SHIPPED,
        BACKGROUND,
    )

    assert verdicts == [(each.alert, each.verdict) for each in judged]


def test_the_promise_begins_with_the_condition():
    """
    What a fault causes later is promised from then on.
    """
    after = PROMISED + 25

    judged = judge([Expected("NomadClientDown", 30.0)], [Heard("NomadClientDown", after, {})], RULES, SHIPPED, {})

    assert [Judged("NomadClientDown", Verdict.IN_TIME, after, PROMISED + 30)] == judged
