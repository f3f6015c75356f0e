"""Pictures of the dashboards, without a browser."""

import contextlib

import pytest

from tests.dashboards import chromium, shots


def test_without_chromium_the_reason_is_printed(monkeypatch, capsys):
    """
    A machine that cannot have one fails nothing.
    """

    def nowhere():
        raise chromium.NoChromium("no Chromium on PATH, and no apt-get to fetch one")

    monkeypatch.setattr(shots, "fetch", nowhere)

    assert 0 == shots.main([])
    assert "no pictures: no Chromium on PATH, and no apt-get to fetch one\n" == capsys.readouterr().out


def test_pictures_of_the_readme_need_what_watches(monkeypatch, capsys, tmp_path):
    """
    Without an Alertmanager the reason is printed, and no picture is said to be right.
    """
    monkeypatch.setattr(shots, "fetch", lambda: None)
    monkeypatch.setattr(shots, "find_or_explain", lambda name: ([name] if name == "prometheus" else [], f"no {name}"))

    assert 1 == shots.main(["--readme", "--out", str(tmp_path)])
    assert "no alertmanager\n" == capsys.readouterr().err
    assert [] == list(tmp_path.iterdir())


def test_a_machine_without_apt_says_so(monkeypatch, tmp_path):
    """
    Nothing is looked for that is not there.
    """
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(chromium, "FOLDER", tmp_path / "chromium")

    with pytest.raises(chromium.NoChromium, match="no apt-get to fetch one"):
        chromium.fetch()


def test_a_dashboard_that_is_not_there_is_refused_with_those_that_are(monkeypatch, capsys):
    """
    Before a cluster is started for nothing.
    """
    monkeypatch.setattr(shots, "fetch", lambda: None)

    with pytest.raises(SystemExit):
        shots.main(["--only", "outrider-clients", "outrider-cats"])

    said = capsys.readouterr().err
    assert "--only outrider-cats: " in said
    assert "outrider-clients, outrider-cluster" in said


def test_only_the_chosen_dashboards_are_taken(monkeypatch, capsys, tmp_path):
    """
    Each of them in each look, and the others not at all.
    """
    taken = []

    async def take(url, uids, folder):
        taken.append((url, uids, folder))
        return []

    @contextlib.contextmanager
    def serving(boards, prometheus, start):
        yield f"the preview of {prometheus} from {start}"

    monkeypatch.setattr(shots, "fetch", lambda: None)
    monkeypatch.setattr(shots, "take", take)
    monkeypatch.setattr(shots, "serving", serving)

    assert 0 == shots.main(["--only", "outrider-review", "--prometheus", "P", "--out", str(tmp_path)])
    assert [("the preview of P from now-15m", ["outrider-review"], tmp_path)] == taken
    assert f"3 pictures in {tmp_path}, 0 problems\n" == capsys.readouterr().out
