"""Routes, receivers and inhibitions, judged by amtool."""

from dataclasses import replace

import pytest

from alert_rules.alertmanager import alertmanager_config, receivers_of
from alert_rules.render import to_yaml
from alert_rules.rules import rule_set
from alert_rules.settings import EmailReceiver, ExpectedRegion, RuleSettings, Severity, WebhookReceiver
from tests.tools import find_or_explain

AMTOOLS, ABSENT = find_or_explain("amtool")
NONE = RuleSettings(cluster="demo", regions=(ExpectedRegion(name="global", expected_servers=3),))
HOOK = WebhookReceiver(name="hook", url="http://127.0.0.1:9/", watchdog=True)
GUARDED = WebhookReceiver(
    name="guarded", url="http://127.0.0.1:9/", token_file="/run/token", severities=(Severity.WARNING,)
)
MAIL = EmailReceiver(
    name="mail",
    to="ops@example.com",
    sender="alerts@example.com",
    smarthost="127.0.0.1:25",
    username="alerts",
    password_file="/run/password",
    severities=(Severity.CRITICAL,),
)
SET_UPS = {
    "nobody": NONE,
    "webhook": replace(NONE, receivers=(HOOK,)),
    "e-mail": replace(NONE, receivers=(MAIL,)),
    "three": replace(NONE, receivers=(HOOK, GUARDED, MAIL)),
}


@pytest.fixture(params=AMTOOLS or [pytest.param(None, marks=pytest.mark.skip(reason=ABSENT))], ids=str)
def amtool(request):
    return request.param


@pytest.fixture(params=SET_UPS)
def set_up(request):
    return SET_UPS[request.param]


def test_amtool_accepts_the_configuration(amtool, set_up, tmp_path):
    """
    Every set-up of receivers gives a configuration that Alertmanager takes.
    """
    (tmp_path / "alertmanager.yml").write_text(to_yaml(alertmanager_config(set_up)))

    said = amtool.run("check-config", str(tmp_path / "alertmanager.yml"))

    assert 0 == said.returncode, said.stdout + said.stderr


def test_every_alert_reaches_the_receivers_it_should(amtool, set_up, tmp_path):
    """
    Critical alerts and warnings go to those who want them, the Watchdog to its own, all else to nobody.
    """
    config = tmp_path / "alertmanager.yml"
    config.write_text(to_yaml(alertmanager_config(set_up)))
    alerts = [(rule.alert, rule.severity.value) for rule in rule_set(set_up).alerts] + [("Any", "info")]

    for alert, severity in alerts:
        wanted = ",".join(receivers_of(set_up, alert, severity))
        labels = [f"alertname={alert}", f"severity={severity}", "cluster=demo", "region=global"]
        said = amtool.run(
            "config", "routes", "test", f"--config.file={config}", f"--verify.receivers={wanted}", *labels
        )
        assert 0 == said.returncode, f"{alert}: {said.stdout}{said.stderr}"


def test_the_receivers_of_an_alert_follow_its_severity():
    """
    Who is told follows from the severities a receiver wants.
    """
    set_up = SET_UPS["three"]

    assert ("hook", "mail") == receivers_of(set_up, "NomadQuorumLost", "critical")
    assert ("hook", "guarded") == receivers_of(set_up, "NomadServerDown", "warning")
    assert ("hook",) == receivers_of(set_up, "Watchdog", "none")
    assert ("nobody",) == receivers_of(set_up, "Any", "info")


def test_a_page_never_waits_for_the_group_of_a_warning():
    """
    Groups are one alert of one region, so each new alert waits only group_wait.
    """
    route = alertmanager_config(NONE)["route"]

    assert ["alertname", "cluster", "region"] == route["group_by"]


def test_secrets_stand_in_files():
    """
    Tokens and passwords are named by their file.
    """
    text = to_yaml(alertmanager_config(SET_UPS["three"]))

    assert "credentials_file: /run/token" in text
    assert "auth_password_file: /run/password" in text
