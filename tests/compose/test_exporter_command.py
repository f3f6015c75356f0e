"""`outrider exporter` as an operator starts it: whom it watches, and what it refuses."""

import os
import re
import shlex
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.cli.agent_info import agent_info
from compose.exporter_command import exporter_command
from compose.local_settings import default_agent_command
from compose.topology import load_regions
from compose.yaml_reader import SettingsError
from telemetry.exporting.source import Source
from tests.integration.watch import wait_until
from tests.telemetry.exporting.fake_nomad import FakeNomad

FOLDER = Path(__file__).parents[2] / "compose" / "exporter"
TWO_REGIONS = """
clusters:
  - name: production
    regions:
      - {name: east, servers: [{name: e1, address: "127.0.0.1:EAST"}]}
      - {name: west, servers: [{name: w1, address: "127.0.0.1:WEST"}]}
  - name: staging
    servers: [{name: t1, address: "127.0.0.1:9"}]
receivers: this part is none of the exporter's business
"""


def refused(*arguments, **environment):
    """Run the command, which must end at once; return its exit code and what it said."""
    result = CliRunner().invoke(exporter_command, [*arguments], env={"NOMAD_CACERT": "", **environment})
    return result.exit_code, result.output


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "outrider.yaml"
    path.write_text(TWO_REGIONS.replace("EAST", "7").replace("WEST", "8"))
    return path


@pytest.fixture
def start(tmp_path):
    """Return a function that starts the command on a free port, and the file with what it says."""
    processes = []

    def started(*arguments):
        log = tmp_path / "log"
        with log.open("wb") as out:
            command = [*default_agent_command(), "exporter", "-listen", "127.0.0.1:0", "-poll", "1s", *arguments]
            processes.append(subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, "NOMAD_TOKEN": ""}))
        wait_until(lambda: processes[-1].poll() is not None or "/metrics" in log.read_text(), 60, "it listens")
        return processes[-1], log

    yield started
    for process in processes:
        process.kill()
        process.wait(10)


def test_regions_carry_their_cluster(file):
    """
    Every region of every cluster is found, whatever else the file holds.
    """
    found = [(region.cluster, region.name, region.servers[0].name) for region in load_regions(file)]

    assert [("production", "east", "e1"), ("production", "west", "w1"), ("staging", "global", "t1")] == found


def test_a_file_that_is_not_there_is_one_sentence(tmp_path):
    """
    It names the file and the remedy.
    """
    with pytest.raises(SettingsError, match="no such file; name another with -f"):
        load_regions(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no server to watch: give -f outrider.yaml, or -server NAME=HOST:PORT"),
        (["-server", "127.0.0.1:4646"], "-server '127.0.0.1:4646': a target needs a name; write NAME=HOST:PORT"),
        (["-server", "s1=nowhere"], "the address 'nowhere' of s1 is not host:port; write NAME=HOST:PORT"),
        (["-server", "s1=h:1", "-server", "s1=h:2"], "the name 's1' stands twice"),
        (["-server", "s1=h:1", "-poll", "soon"], "'soon' is not a duration"),
        (["-server", "s1=h:1", "-poll", "10ms"], "poll is 0.01s; write 1s to 600s"),
        (["-server", "s1=h:1", "-listen", "4650"], "-listen '4650': write HOST:PORT, such as 127.0.0.1:4650"),
        (["-server", "s1=h:1", "-ca-cert", "absent.pem"], "absent.pem: there is no such file"),
        (["-server", "s1=h:1", "-ca-path", "absent.d"], "absent.d: there is no such directory of CAs"),
        (["-server", "s1=h:1", "-client-cert", "a.pem"], "set both or neither"),
        (["-server", "s1=h:1", "-token", "x", "-token-file", "f"], "-token and -token-file both name a token"),
        (["-server", "s1=h:1", "-token-file", "absent"], "absent: the token cannot be read"),
        (["-f", "absent.yaml"], "absent.yaml: there is no such file"),
    ],
)
def test_what_cannot_be_is_one_error(arguments, said):
    """
    It names the value and the remedy, and nothing is started.
    """
    code, output = refused(*arguments)

    assert code in {1, 2}
    assert said in " ".join(output.split())
    assert "Traceback" not in output


def test_who_asks_and_whom_to_trust_are_the_options_of_every_command():
    """
    Each is there under the name, the help and the variable that the commands of the agent have.
    """
    shared, own = ({each.name: each for each in command.params} for command in (agent_info, exporter_command))
    names = ("token", "ca_cert", "ca_path", "client_cert", "client_key", "tls_server_name", "tls_skip_verify")

    assert [shared[name].to_info_dict() for name in names] == [own[name].to_info_dict() for name in names]


class _Told:
    """In the exporter's place: keeps what it was told, and does not listen."""

    def __init__(self, settings, address, *, version):
        self.told.append(settings)
        raise OSError(98, "in the way")


@pytest.fixture
def told(monkeypatch):
    """Return a function that runs the command and returns the settings that the exporter would get."""
    monkeypatch.setattr(_Told, "told", [], raising=False)
    monkeypatch.setattr("compose.exporter_command.Exporter", _Told)

    def settings(*arguments, **environment):
        code, output = refused("-server", "s1=h:1", *arguments, **environment)
        assert "in the way" in output, (code, output)
        return _Told.told[-1]

    return settings


@pytest.mark.parametrize(
    ("option", "variable", "field", "value"),
    [
        ("-ca-path", "NOMAD_CAPATH", "ca_path", "."),
        ("-tls-server-name", "NOMAD_TLS_SERVER_NAME", "tls_server_name", "server.global.nomad"),
        ("-tls-skip-verify", "NOMAD_SKIP_VERIFY", "tls_skip_verify", True),
    ],
)
def test_an_option_and_its_variable_mean_the_same(told, option, variable, field, value):
    """
    Either way the servers are asked over TLS, with what was chosen.
    """
    by_option = told(option, *([] if value is True else [value]))
    by_variable = told(**{variable: "true" if value is True else value})

    assert ("https", value) == (by_option.scheme, getattr(by_option.api, field))
    assert by_option == by_variable


def test_a_token_is_given_as_to_every_command(told):
    """
    The option goes before the variable; neither means TLS.
    """
    by_option, by_variable = told("-token", "one", NOMAD_TOKEN="two"), told(NOMAD_TOKEN="two")

    assert ("one", "two") == (by_option.api.token, by_variable.api.token)
    assert {"http"} == {by_option.scheme, by_variable.scheme}


def test_an_empty_token_file_is_refused(tmp_path):
    """
    Watching as nobody, by accident, would be found out late.
    """
    path = tmp_path / "token"
    path.write_text("\n")

    code, output = refused("-server", "s1=h:1", "-token-file", str(path))

    assert (1, True) == (code, "holds no token" in output)


@pytest.mark.parametrize(
    ("choice", "which"),
    [([], "more than one"), (["-cluster", "production"], "more than one"), (["-region", "n"], "none")],
)
def test_several_regions_need_a_choice(file, choice, which):
    """
    The error lists what there is to choose from.
    """
    code, output = refused("-f", str(file), *choice)

    assert 1 == code
    assert f"there is {which} in production/east, production/west, staging/global" in " ".join(output.split())


def test_a_port_in_use_is_one_error():
    """
    It names the address and the option.
    """
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"

        code, output = refused("-server", "s1=h:1", "-listen", listen)

    assert 1 == code
    assert f"Error: cannot listen on {listen}: Address already in use; choose another with -listen" in output


def test_the_policy_that_is_shipped_allows_every_source():
    """
    Each rule that the log would ask for stands in policy.hcl, and none that writes.
    """
    policy = re.sub(r"#.*", "", (FOLDER / "policy.hcl").read_text())
    rules = {" ".join(rule.split()) for rule in re.findall(r'\w+(?: "\*")? \{[^}]*\}', policy)}

    assert {source.policy for source in Source} - {"none"} == rules


def test_the_unit_that_is_shipped_starts_what_there_is():
    """
    Each ExecStart, the one for ACLs too, has options that the command knows.
    """
    unit = (FOLDER / "outrider-exporter.service").read_text()
    known = {name for option in exporter_command.params for name in option.opts}

    commands = [shlex.split(line) for line in re.findall(r"(?m)^#?ExecStart=(.+)$", unit)]

    assert 2 == len(commands)
    for command in commands:
        assert ["/opt/outrider/bin/outrider", "exporter"] == command[:2]
        options = {word if word in known else f"-{word}" for word in command if word.startswith("-")}
        assert options <= known


@pytest.mark.integration
def test_it_watches_a_region_of_the_file_reloads_it_and_ends_at_a_signal(file, start):
    """
    Servers come from the chosen region; SIGHUP reads them anew; SIGTERM ends it with 0 and without a word of trouble.
    """
    east, west = FakeNomad("e1", leads=True), FakeNomad("w1", leads=True)
    text = TWO_REGIONS.replace("EAST", east.target.address.partition(":")[2])
    file.write_text(text.replace("WEST", west.target.address.partition(":")[2]))
    process, log = start("-f", str(file), "-cluster", "production", "-region", "east")
    wait_until(east.asked.is_set, 60, "the server of the region is asked")
    assert [] == west.seen

    file.write_text(file.read_text().replace("name: east", "name: north").replace("name: west", "name: east"))
    process.send_signal(signal.SIGHUP)
    wait_until(west.asked.is_set, 60, "the other server is asked")
    process.send_signal(signal.SIGTERM)

    assert 0 == process.wait(10)
    assert "reloaded servers=w1" in log.read_text()
    assert "Traceback" not in log.read_text()
    east.close()
    west.close()


@pytest.mark.integration
def test_a_file_that_became_wrong_changes_nothing(file, start):
    """
    A reload that cannot be is one line, and the servers watched are those of before.
    """
    east = FakeNomad("e1", leads=True)
    file.write_text(TWO_REGIONS.replace("EAST", east.target.address.partition(":")[2]).replace("WEST", "9"))
    process, log = start("-f", str(file), "-region", "east")
    wait_until(east.asked.is_set, 60, "the server is asked")

    file.write_text("cluster: {")
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: "not reloaded, all stays as it was" in log.read_text(), 60, "it says so")
    east.asked.clear()

    wait_until(east.asked.is_set, 60, "the server is still asked")
    assert process.poll() is None
    east.close()


@pytest.mark.integration
def test_a_signal_ends_it_while_every_server_hangs(start):
    """
    Nobody waits for an answer that does not come.
    """
    hung = FakeNomad("s1")
    hung.hangs = True
    process, _ = start("-server", f"s1={hung.target.address}", "-timeout", "60s")
    wait_until(hung.asked.is_set, 60, "the server is asked")

    process.send_signal(signal.SIGTERM)

    assert 0 == process.wait(10)
    hung.close()
