"""`outrider dashboards preview` as a command: what it refuses, and that it serves."""

import re
import shlex
import socket
import subprocess
import sys

import pytest
import requests
from click.testing import CliRunner

from compose.dashboards_command import dashboards_group
from tests.conftest import ROOT
from tests.dashboards.every_kind import write_folder

NOWHERE = "http://127.0.0.1:1"


def preview(*arguments):
    return CliRunner().invoke(dashboards_group, ["preview", *arguments])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--prometheus", "localhost:9090"], 2, "write one such as http://127.0.0.1:9090"),
        (["--last", "soon"], 2, "'soon' is not a duration"),
        (["--last", "1h", "--from", "now-2h"], 2, "leave out --from and --to, or --last"),
        (["--scrape-interval", "0s"], 2, "write 5s or 15s"),
        (["--from", "monday"], 1, "'monday' is no time: write now-1h"),
        (["--from", "now", "--to", "now-1h"], 1, "is empty: choose an end after its start"),
    ],
)
def test_an_option_that_cannot_be_is_refused_with_the_remedy(tmp_path, arguments, code, said):
    """
    Before anything is served.
    """
    done = preview("--dir", str(write_folder(tmp_path)), *arguments)

    assert code == done.exit_code
    assert said in " ".join(done.stderr.split())


def test_a_folder_without_dashboards_is_one_sentence(tmp_path):
    """
    It says how they are made.
    """
    done = preview("--dir", str(tmp_path))

    assert 1 == done.exit_code
    assert f"Error: {tmp_path} has no dashboard (*.json): write them with `outrider build`" in done.stderr


def test_a_folder_that_is_not_there_is_said(tmp_path):
    """
    It is not taken for an empty one.
    """
    done = preview("--dir", str(tmp_path / "away"))

    assert 1 == done.exit_code
    assert f"Error: there is no folder {tmp_path}/away: " in done.stderr


def test_a_port_that_is_taken_is_said(tmp_path):
    """
    With the option that chooses another.
    """
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = preview("--dir", str(write_folder(tmp_path)), "--port", str(port))

    assert 1 == done.exit_code
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use; choose another with --port" in done.stderr


def test_without_its_packages_the_command_says_what_to_install(tmp_path):
    """
    One sentence, no traceback, and a command that does it: here it finds that all of them are there.
    """
    code = (
        "import sys\n"
        "for name in ('plotly', 'markdown_it'): sys.modules[name] = None\n"
        f"sys.argv = ['outrider', 'dashboards', 'preview', '--dir', {str(write_folder(tmp_path))!r}]\n"
        "from compose.cli import main\nmain()\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )

    assert 1 == done.returncode
    assert "Traceback" not in done.stderr
    said = re.fullmatch(r"Error: this command draws with \S+, which is not installed here: (.+)\n", done.stderr)
    words = shlex.split(said[1])
    assert [sys.executable, "-m", "pip", "install"] == words[:4]
    assert {"plotly", "markdown-it-py"} == {re.match(r"[\w-]+", word)[0] for word in words[4:]}
    installed = subprocess.run([*words, "--no-index"], capture_output=True, text=True, check=False, timeout=120)
    assert 0 == installed.returncode, installed.stderr


@pytest.mark.integration
def test_it_serves_although_prometheus_is_away(tmp_path):
    """
    It says so once, and each panel says so until Prometheus answers; Ctrl-C ends it quietly.
    """
    # Whoever runs the tests in the background has SIGINT ignored, and so would the command.
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\nfrom compose.cli import main; main()"
    )
    command = [
        sys.executable, "-c", program, "dashboards", "preview",
        "--dir", write_folder(tmp_path), "--port", "0", "--prometheus", NOWHERE,
    ]  # fmt: skip
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            url = line.split()[3]
            text = requests.get(f"{url}d/every-kind", timeout=30).text
        finally:
            process.send_signal(2)
            _, said = process.communicate(timeout=30)

    assert line.startswith("2 dashboards on http://127.0.0.1:")
    assert "Connection refused; is it running there?" in text
    assert "note: no Prometheus at http://127.0.0.1:1: " in said
    assert "Traceback" not in said
    assert 0 == process.returncode
