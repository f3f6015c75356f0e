"""`outrider dashboards`, against a stand-in for Grafana that refuses what Grafana refuses."""

import json

import pytest
from click.testing import CliRunner

from compose.cli import outrider
from compose.dashboards_command import differences
from dashboards.render import DASHBOARDS
from tests.compose.fake_grafana import TOKEN, fake_grafana

SETTINGS = """
cluster: demo
region: global
expected_servers: 3
servers: [{name: server-1, address: "127.0.0.1:4646"}]
"""
UIDS = sorted(dashboard.uid for dashboard in DASHBOARDS)


@pytest.fixture
def grafana():
    with fake_grafana() as found:
        yield found


@pytest.fixture
def run(tmp_path, grafana):
    """Return what runs `outrider dashboards` with settings, address and token."""
    (tmp_path / "outrider.yaml").write_text(SETTINGS, encoding="utf-8")
    (tmp_path / "token").write_text(f"{TOKEN}\n", encoding="utf-8")

    def run(command, *options, holding="token", url=None):
        words = ["dashboards", command, "-f", str(tmp_path / "outrider.yaml")]
        if command != "build":
            words += ["--grafana", url or grafana.url, "--token-file", str(tmp_path / holding)]
        return CliRunner().invoke(outrider, [*words, *options])

    return run


def test_build_writes_both_forms_and_judges_them(run, tmp_path):
    """
    Fourteen files, each of which Grafana can read, and no finding.
    """
    result = run("build", "-o", str(tmp_path / "out"))

    assert (0, True) == (result.exit_code, "7 dashboards, 0 findings" in result.output), result.output
    written = sorted(path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*.json"))
    assert UIDS == [path.stem for path in written if path.parent.name == "dashboards"]
    assert UIDS == [path.stem for path in written if path.parent.name == "dashboards-by-hand"]
    assert all(
        json.loads((tmp_path / "out" / path).read_text(encoding="utf-8"))["uid"] == path.stem for path in written
    )


def test_build_fails_for_a_dashboard_with_a_finding(run, tmp_path, monkeypatch):
    """
    What the linter says is an error, with its place.
    """
    monkeypatch.setattr("compose.dashboards_command.lint", lambda document: [f"{document['uid']}: wrong"])

    result = run("build", "-o", str(tmp_path / "out"))

    assert 1 == result.exit_code
    assert "Error: outrider-fleet: wrong" in result.output


def test_import_brings_all_into_a_folder_and_leaves_them_alone_the_second_time(run, grafana):
    """
    The folder and seven dashboards are made once; a second run writes nothing; a changed one is written again.
    """
    first = run("import")
    written = list(grafana.writes)
    second = run("import")
    grafana.dashboards["outrider-raft"]["dashboard"]["title"] = "Mine"
    third = run("import")

    assert [0, 0, 0] == [first.exit_code, second.exit_code, third.exit_code], first.output + second.output
    assert ("folder", "outrider") == written[0]
    assert UIDS == sorted(uid for kind, uid in written if kind == "dashboard") == sorted(grafana.dashboards)
    assert dict.fromkeys(UIDS, "outrider dashboards import") == grafana.messages
    assert "7 new, 0 changed, 0 unchanged" in first.output
    assert "0 new, 0 changed, 7 unchanged" in second.output
    assert "changed: outrider-raft, now version 2" in third.output
    assert [("dashboard", "outrider-raft")] == grafana.writes[len(written) :]


def test_a_dashboard_in_another_folder_is_moved(run, grafana):
    """
    It counts as changed, though its content is the same.
    """
    run("import")
    grafana.dashboards["outrider-fleet"]["meta"]["folderUid"] = "elsewhere"

    assert "changed: outrider-fleet, now version 2" in run("import").output
    assert "outrider" == grafana.dashboards["outrider-fleet"]["meta"]["folderUid"]


def test_a_dry_run_writes_nothing(run, grafana):
    """
    It says what would be done, of a folder too.
    """
    result = run("import", "--dry-run", "--folder", "Nomad")

    assert 0 == result.exit_code
    assert "would be new: folder Nomad" in result.output
    assert all(f"would be new: {uid}" in result.output for uid in UIDS)
    assert [] == grafana.writes


def test_somebody_elses_dashboard_is_not_overwritten(run, grafana):
    """
    One of our uids without our tag stops the import before anything is written.
    """
    grafana.dashboards["outrider-fleet"] = {"dashboard": {"title": "Ships", "tags": [], "version": 1}, "meta": {}}

    result = run("import")

    assert 1 == result.exit_code
    assert "'outrider-fleet'" in result.output
    assert "has no tag 'outrider'" in result.output
    assert [] == grafana.writes


def test_what_was_saved_in_the_newer_form_is_brought_back(run, grafana):
    """
    Grafana 12 and 13 do not give it out by the older API: it is told as such, and written over where it is ours.
    """
    run("import")
    grafana.newer["outrider-raft"] = ["outrider"]
    told = run("diff")
    again = run("import")

    assert 1 == told.exit_code
    assert "outrider-raft: was saved there in Grafana's newer form, dashboard.grafana.app/v2: `import`" in told.output
    assert "1 of 7 dashboards differ" in told.output
    assert "changed: outrider-raft, now version 2" in again.output
    assert "0 of 7 dashboards differ\n" == run("diff").output


def test_somebody_elses_dashboard_in_the_newer_form_is_not_overwritten(run, grafana):
    """
    Without our tag nothing is written, whatever the form.
    """
    grafana.newer["outrider-raft"] = ["ships"]

    result = run("import")

    assert 1 == result.exit_code
    assert "'outrider-raft'" in result.output
    assert "has no tag 'outrider'" in result.output
    assert [] == grafana.writes


def set_up_same_title(grafana):
    grafana.folders["outrider"] = {"uid": "outrider", "title": "Outrider"}
    title = next(each.title for each in DASHBOARDS if each.uid == "outrider-fleet")
    grafana.dashboards["mine"] = {"dashboard": {"title": title, "version": 1}, "meta": {"folderUid": "outrider"}}


@pytest.mark.parametrize(
    ("set_up", "says"),
    [
        (set_up_same_title, "412: A dashboard with the same name in the folder already exists; somebody else's"),
        (lambda grafana: grafana.provisioned.add("outrider-raft"), "it is provisioned from files: change those"),
        (lambda grafana: setattr(grafana, "is_viewer", True), "403: You'll need additional permissions"),
        (
            lambda grafana: setattr(grafana, "is_contended", True),
            "412: The dashboard has been changed by someone else; it was",
        ),
        (
            lambda grafana: grafana.folders.update(x={"uid": "x", "title": "Outrider"}),
            "409: a folder with the same name already exists",
        ),
    ],
    ids=["same title", "provisioned", "viewer", "saved meanwhile", "folder of the same name"],
)
def test_what_grafana_refuses_is_told_with_its_reason(run, grafana, set_up, says):
    """
    One sentence with the address, what Grafana said and what to do; no traceback.
    """
    set_up(grafana)

    result = run("import")

    assert 1 == result.exit_code
    assert says in result.output
    assert grafana.url in result.output
    assert isinstance(result.exception, SystemExit)


@pytest.mark.parametrize(
    ("content", "says"),
    [("wrong", "401: Invalid API key; the token is wrong"), ("", "holds no token"), ("two words", "more than a token")],
)
def test_a_token_that_is_none_is_told(run, tmp_path, content, says):
    """
    A wrong token, an empty file, and a file with something else in it.
    """
    (tmp_path / "other").write_text(content, encoding="utf-8")

    result = run("import", holding="other")

    assert (1, True) == (result.exit_code, says in result.output), result.output


@pytest.mark.parametrize("command", ["import", "diff"])
def test_a_grafana_that_is_not_there_is_told(run, command):
    """
    No answer, or no file with a token.
    """
    away = run(command, url="http://127.0.0.1:9")
    without = run(command, holding="none")

    assert (1, True) == (away.exit_code, "does not answer (Connection refused)" in away.output), away.output
    assert (1, True) == (without.exit_code, "the token cannot be read" in without.output), without.output


def test_what_is_no_grafana_is_told(run, grafana):
    """
    An address without its beginning, and a server that knows nothing of dashboards.
    """
    bare = run("diff", url="grafana.example")
    grafana.is_something_else = True
    other = run("diff")

    assert (1, True) == (bare.exit_code, "'grafana.example' is no address of a Grafana" in bare.output), bare.output
    assert (1, True) == (other.exit_code, "something else than Grafana's API" in other.output), other.output


def test_diff_says_what_differs_and_fails(run, grafana):
    """
    Nothing after an import; then a changed title, a panel that is gone, and a dashboard that is not there.
    """
    run("import")
    same = run("diff")
    grafana.dashboards["outrider-raft"]["dashboard"]["title"] = "Mine"
    del grafana.dashboards["outrider-fleet"]["dashboard"]["panels"][-1]
    del grafana.dashboards["outrider-review"]
    other = run("diff")

    assert (0, "0 of 7 dashboards differ\n") == (same.exit_code, same.output)
    assert 1 == other.exit_code
    assert 'outrider-raft: title is "Mine" there, and should be "Outrider: Raft & quorum"' in other.output
    assert "outrider-fleet: panels has " in other.output
    assert "outrider-review: is not there" in other.output
    assert "3 of 7 dashboards differ" in other.output


def test_a_difference_is_told_with_its_place():
    """
    Keys that one side lacks, values at any depth, and lists of other lengths.
    """
    there = {"a": {"b": [1, {"c": "x" * 100}]}, "only": 1}
    ours = {"a": {"b": [1, {"c": "y"}, 3]}, "new": 1}

    assert [
        f'a.b[1].c is "{"x" * 76}... there, and should be "y"',
        "a.b has 2 items there, and should have 3",
        "new is missing there",
        "only is only there",
    ] == list(differences(there, ours))
