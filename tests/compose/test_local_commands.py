import pytest
from click.testing import CliRunner

from compose.local_commands import dir_option, down_command, ps_command, up_command
from compose.local_settings import LOCAL_FOLDER


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Call a command in an empty folder, with no program on PATH."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    return lambda command, *arguments: CliRunner().invoke(command, list(arguments))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--servers", "0"], "--servers 0: write 1 to 9"),
        (["--port-base", "9090"], "both listen on port 9090"),
        (["--scrape-interval", "soon"], "'soon' is not a duration: write 1s"),
    ],
)
def test_options_that_cannot_be_are_refused(run, arguments, words):
    """
    A wrong option is said in one sentence with the remedy, and nothing is started.
    """
    result = run(up_command, *arguments)

    assert 2 == result.exit_code
    assert words in result.output


def test_missing_programs_name_the_remedy(run, tmp_path):
    """
    Without Prometheus nothing is started, and the message says how to get it.
    """
    result = run(up_command)

    assert 1 == result.exit_code
    assert "`make up` and `outrider tools fetch` bring it" in result.output
    assert not (tmp_path / ".outrider/local/state.json").exists()


def test_nothing_to_end_or_list_is_said(run, tmp_path):
    """
    Where no cluster was ever started, `down` and `ps` say so and leave no folder behind.
    """
    results = [run(down_command), run(ps_command)]

    assert [0, 0] == [result.exit_code for result in results]
    assert "nothing of the cluster" in results[0].output
    assert "no cluster runs" in results[1].output
    assert not (tmp_path / ".outrider").exists()


def test_only_another_folder_than_the_default_one_is_named(tmp_path, monkeypatch):
    """
    What `up` proposes to run works as it is printed, whether the folder is given as it is or in full.
    """
    monkeypatch.chdir(tmp_path)

    assert ["", ""] == [dir_option(LOCAL_FOLDER), dir_option(tmp_path / LOCAL_FOLDER)]
    assert " --dir other" == dir_option(tmp_path / "other")
