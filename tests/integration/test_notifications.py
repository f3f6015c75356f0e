"""What a real Alertmanager sends to each kind of receiver: two faults and their ends, seen by stand-ins on loopback."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from alert_rules.rules import rule_set
from compose import generate
from compose.settings import parse_settings
from tests.integration.alertmanagers import alert_of, post, running
from tests.integration.notification_fakes import fakes
from tests.integration.watch import free_ports, wait_until
from tests.tools import find_or_explain

ALERTMANAGERS, ABSENT = find_or_explain("alertmanager")
pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

DELIVERY_SECONDS = 90
PAGE, WARNING = "NomadQuorumLost", "NomadServerDown"
SERVERS = [f"server-{number}" for number in range(1, 13)]
RUNBOOKS = "https://wiki.example.com/runbooks"
NEWER = ("msteams", "msteamsv2")
"""What Alertmanager 0.25 does not have at all."""

SETTINGS = """\
cluster: demo
alertmanager_version: "{version}"
group_wait: 3s
group_interval: 3s
servers: [{{name: server-1, address: "127.0.0.1:4646"}}]
links: {{runbooks: "https://wiki.example.com/runbooks", dashboard: "https://grafana.example.com/d/outrider"}}
receivers:
  - {{name: webhook, webhook: {{url: "{http}/webhook", token_file: "{secrets}/token"}}}}
  - name: email
    email:
      to: night@example.com
      from: outrider@example.com
      smarthost: "127.0.0.1:{smtp}"
      username: outrider
      password_file: "{secrets}/password"
      require_tls: false
  - {{name: slack, slack: {{api_url_file: "{secrets}/slack", channel: "#nomad"}}}}
  - {{name: pagerduty, pagerduty: {{routing_key_file: "{secrets}/token", url: "{http}/pagerduty"}}}}
  - name: opsgenie
    opsgenie: {{api_key_file: "{secrets}/token", api_url: "{http}/opsgenie/", responders: [platform]}}
  - {{name: msteams, msteams: {{webhook_url_file: "{secrets}/msteams"}}}}
  - {{name: msteamsv2, msteamsv2: {{webhook_url_file: "{secrets}/msteamsv2"}}}}
  - {{name: discord, discord: {{webhook_url_file: "{secrets}/discord"}}}}
  - name: telegram
    telegram: {{bot_token_file: "{secrets}/token", chat_id: -42, api_url: "{http}/telegram"}}
  - name: raw
    raw:
      victorops_configs:
        - api_url: "{http}/victorops/"
          api_key_file: "{secrets}/token"
          routing_key: nomad
          entity_display_name: '{{{{ template "outrider.title" . }}}}'
          state_message: '{{{{ template "outrider.text" . }}}}'
  - {{name: silent-end, webhook: {{url: "{http}/silent-end"}}, send_resolved: false}}
"""

ENDPOINTS = {
    **{name: f"/{name}/" for name in ("slack", "opsgenie", "msteams", "msteamsv2", "discord", "telegram")},
    **{name: f"/{name}" for name in ("webhook", "pagerduty", "silent-end")},
    "raw": "/victorops/",
}


def configured(folder, found, program):
    """
    Write secrets and every generated file below *folder*; return the settings, and the names of the receivers.
    """
    secrets = folder / "secrets"
    secrets.mkdir()
    for name in ("slack", "msteams", "msteamsv2", "discord"):
        (secrets / name).write_text(found.url(f"/{name}/hook"))
    (secrets / "token").write_text("s3cret-token")
    (secrets / "password").write_text("s3cret-password")
    version = program.version.rpartition(".")[0]
    is_old = version == "0.25"
    text = SETTINGS.format(
        version="0.28" if is_old else version, http=found.url(""), smtp=found.smtp_port, secrets=secrets
    )
    settings = parse_settings(text)
    if is_old:
        kept = tuple(each for each in settings.rules.receivers if each.name not in NEWER)
        settings = replace(settings, rules=replace(settings.rules, receivers=kept))
    generate.build(settings, folder / "out")
    path = folder / "out" / "alertmanager.yml"
    config = yaml.safe_load(path.read_text())
    # That the page inhibits the warning is proved elsewhere; here each stands alone.
    del config["inhibit_rules"]
    if is_old:
        inline_secrets(config)
    path.write_text(yaml.safe_dump(config))
    return settings, [each.name for each in settings.rules.receivers]


def inline_secrets(config):
    """
    Put the secrets of Discord and Telegram into the file itself: 0.25 has both, but reads neither from a file.
    """
    for receiver in config["receivers"]:
        for kind, key in (("discord_configs", "webhook_url"), ("telegram_configs", "bot_token")):
            for entry in receiver.get(kind, []):
                entry[key] = Path(entry.pop(f"{key}_file")).read_text()


class Delivered:
    """
    All that came, by receiver, fault and whether it was over.
    """

    def __init__(self, found, names):
        self.found = found
        self.names = names

    def of(self, receiver, alert, *, is_over):
        """
        Return what *receiver* was sent about *alert*, oldest first.
        """
        if receiver == "email":
            return [
                message
                for message in list(self.found.messages)
                if alert in message["Subject"] and is_over == message["Subject"].startswith("RESOLVED")
            ]
        return [
            each
            for each in self.found.to(ENDPOINTS[receiver])
            if alert in self.key(receiver, each) and is_over == self.ended(receiver, each)
        ]

    def key(self, receiver, delivery):
        """
        Return the words in which the name of the alert stands.
        """
        if receiver == "opsgenie" and delivery.path.endswith("close?identifierType=alias"):
            return self.alias_names[delivery.path.split("/")[4]]
        return str(delivery.body)

    @property
    def alias_names(self):
        return {
            each.body["alias"]: str(each.body) for each in self.found.to("/opsgenie/v2/alerts") if "alias" in each.body
        }

    def ended(self, receiver, delivery):
        """
        Tell whether a delivery says that the alert is over, in the words of its kind.
        """
        match receiver:
            case "webhook" | "silent-end":
                return delivery.body["status"] == "resolved"
            case "pagerduty":
                return delivery.body["event_action"] == "resolve"
            case "opsgenie":
                return "/close" in delivery.path
            case "raw":
                return delivery.body["message_type"] == "RECOVERY"
            case _:
                return "RESOLVED: " in str(delivery.body)


@pytest.fixture(
    scope="module", params=ALERTMANAGERS or [pytest.param(None, marks=pytest.mark.skip(reason=ABSENT))], ids=str
)
def delivered(request, tmp_path_factory):
    """
    Return what each receiver got of a page and of a warning about twelve servers, when they began and when they ended.
    """
    folder = tmp_path_factory.mktemp("notifications")
    with fakes() as found:
        settings, names = configured(folder, found, request.param)
        got = Delivered(found, names)
        rules, links = rule_set(settings.rules), settings.rules.links
        (port,) = free_ports(1)

        def send(start, *, ended):
            place = {"cluster": "demo", "region": "global"}
            post(
                port,
                alert_of(rules, links, PAGE, start, ended=ended, **place),
                *(alert_of(rules, links, WARNING, start, ended=ended, instance=name, **place) for name in SERVERS),
            )

        def untold(*, is_over):
            expected = [name for name in names if not (is_over and name == "silent-end")]
            return {
                (name, alert)
                for name in expected
                for alert in (PAGE, WARNING)
                if not got.of(name, alert, is_over=is_over)
            }

        with running(request.param.path, folder / "out" / "alertmanager.yml", folder / "data", port) as process:
            start = datetime.now(UTC)
            for ended in (False, True):
                send(start, ended=ended)
                try:
                    wait_until(
                        lambda is_over=ended: not untold(is_over=is_over) or process.poll() is not None,
                        DELIVERY_SECONDS,
                        "all are told",
                    )
                    assert process.poll() is None, "Alertmanager ended"
                except AssertionError as error:
                    log = (folder / "data" / "log").read_text()[-3000:]
                    raise AssertionError(f"{error}; missing with {ended=}: {untold(is_over=ended)}\n{log}") from None
        yield got


def of(delivered, receiver, alert, *, is_over=False):
    """
    Return the one thing that *receiver* was sent; skips what this Alertmanager does not have.
    """
    if receiver not in delivered.names:
        pytest.skip(f"this Alertmanager has no {receiver}")
    [one] = delivered.of(receiver, alert, is_over=is_over)
    return one


def test_a_fault_is_one_notification(delivered):
    """
    Twelve servers that are down together are one message to each receiver, and so is their end.
    """
    for name in delivered.names:
        for is_over in (False, True):
            count = 0 if is_over and name == "silent-end" else 1
            assert count == len(delivered.of(name, WARNING, is_over=is_over)), (name, is_over)


def test_webhook(delivered):
    """
    The body has labels and annotations, the request the token of the file.
    """
    sent = of(delivered, "webhook", PAGE)

    [alert] = sent.body["alerts"]
    assert "critical" == alert["labels"]["severity"]
    assert "Nomad cluster demo has lost its quorum" in alert["annotations"]["summary"]
    assert f"{RUNBOOKS}/{PAGE}.md" == alert["annotations"]["runbook_url"]
    assert "Bearer s3cret-token" == sent.headers["Authorization"]
    assert 12 == len(of(delivered, "webhook", WARNING).body["alerts"])
    assert "resolved" == of(delivered, "webhook", PAGE, is_over=True).body["status"]


def test_email(delivered):
    """
    The subject says what and where, both bodies what to do, and the mail server got name and password.
    """
    mail = of(delivered, "email", PAGE)

    assert "CRITICAL: NomadQuorumLost in demo/global" == mail["Subject"]
    assert "night@example.com" == mail["To"]
    for kind in ("plain", "html"):
        text = mail.get_body((kind,)).get_content()
        assert "Nomad cluster demo has lost its quorum" in text
        assert f"{RUNBOOKS}/{PAGE}.md" in text
        assert "What to do" in text
        assert "/#/silences/new?filter=" in text
    assert ("outrider", "s3cret-password") in delivered.found.logins
    over = of(delivered, "email", PAGE, is_over=True)
    assert "RESOLVED: NomadQuorumLost in demo/global" == over["Subject"]
    assert "It was: Nomad cluster demo has lost its quorum" in over.get_body(("html",)).get_content()


def test_email_of_many(delivered):
    """
    Ten servers are named, the others counted.
    """
    mail = of(delivered, "email", WARNING)

    assert "WARNING: NomadServerDown (12) in demo/global" == mail["Subject"]
    text = mail.get_body(("plain",)).get_content()
    [where] = [line for line in text.splitlines() if line.startswith("Where: ")]
    assert 10 == where.count("server-")
    assert where.endswith(" and 2 more")


def test_slack(delivered):
    """
    Title, colour by severity, and links that can be tapped.
    """
    sent = of(delivered, "slack", PAGE)

    [attachment] = sent.body["attachments"]
    assert "#nomad" == sent.body["channel"]
    assert ("CRITICAL: NomadQuorumLost in demo/global", "danger") == (attachment["title"], attachment["color"])
    assert "https://grafana.example.com/d/outrider" == attachment["title_link"]
    assert "Nomad cluster demo has lost its quorum" in attachment["text"]
    assert f"<{RUNBOOKS}/{PAGE}.md|Runbook>" in attachment["text"]
    assert "*What to do:*" in attachment["text"]
    assert "warning" == of(delivered, "slack", WARNING).body["attachments"][0]["color"]
    assert "good" == of(delivered, "slack", PAGE, is_over=True).body["attachments"][0]["color"]


def test_pagerduty(delivered):
    """
    An event of the Events API v2 that opens an incident, and one with its key that closes it.
    """
    sent = of(delivered, "pagerduty", PAGE).body
    over = of(delivered, "pagerduty", PAGE, is_over=True).body

    assert ("trigger", "resolve") == (sent["event_action"], over["event_action"])
    assert sent["dedup_key"] == over["dedup_key"]
    assert "s3cret-token" == sent["routing_key"]
    payload = sent["payload"]
    assert payload["summary"].startswith("CRITICAL: NomadQuorumLost in demo/global: Nomad cluster demo has lost its")
    assert ("critical", PAGE, "demo/global") == (payload["severity"], payload["class"], payload["group"])
    assert f"{RUNBOOKS}/{PAGE}.md" == payload["custom_details"]["runbook"]
    assert payload["custom_details"]["what_to_do"]
    assert {"href": f"{RUNBOOKS}/{PAGE}.md", "text": "Runbook"} in sent["links"]
    warning = of(delivered, "pagerduty", WARNING).body
    assert "warning" == warning["payload"]["severity"]
    assert warning["dedup_key"] != sent["dedup_key"]
    assert " and 2 more, since " in warning["payload"]["custom_details"]["firing"]


def test_opsgenie(delivered):
    """
    An alert with its priority by severity, assigned to the team, closed by its alias.
    """
    sent = of(delivered, "opsgenie", PAGE)
    over = of(delivered, "opsgenie", PAGE, is_over=True)

    assert "GenieKey s3cret-token" == sent.headers["Authorization"]
    assert ("CRITICAL: NomadQuorumLost in demo/global", "P1") == (sent.body["message"], sent.body["priority"])
    assert ["nomad", "critical", "demo"] == sent.body["tags"]
    assert [{"name": "platform", "type": "team"}] == sent.body["responders"]
    assert f"{RUNBOOKS}/{PAGE}.md" == sent.body["details"]["runbook"]
    assert "Nomad cluster demo has lost its quorum" in sent.body["description"]
    assert "P3" == of(delivered, "opsgenie", WARNING).body["priority"]
    assert f"/opsgenie/v2/alerts/{sent.body['alias']}/close?identifierType=alias" == over.path


def test_msteams(delivered):
    """
    A card of an Office 365 connector with title, text and links.
    """
    card = of(delivered, "msteams", PAGE).body

    assert "CRITICAL: NomadQuorumLost in demo/global" == card["title"]
    assert "Nomad cluster demo has lost its quorum" in card["text"]
    assert f"[Runbook]({RUNBOOKS}/{PAGE}.md)" in card["text"]
    assert "RESOLVED: NomadQuorumLost in demo/global" == of(delivered, "msteams", PAGE, is_over=True).body["title"]


def test_msteamsv2(delivered):
    """
    An adaptive card for a workflow with title, text and links.
    """
    sent = of(delivered, "msteamsv2", PAGE).body

    [attachment] = sent["attachments"]
    texts = [block["text"] for block in attachment["content"]["body"]]
    assert "application/vnd.microsoft.card.adaptive" == attachment["contentType"]
    assert "CRITICAL: NomadQuorumLost in demo/global" == texts[0]
    assert f"[Runbook]({RUNBOOKS}/{PAGE}.md)" in texts[1]
    assert "RESOLVED: NomadQuorumLost" in str(of(delivered, "msteamsv2", PAGE, is_over=True).body)


def test_discord(delivered):
    """
    An embed with title, text and links, in another colour when it is over.
    """
    [embed] = of(delivered, "discord", PAGE).body["embeds"]
    [over] = of(delivered, "discord", PAGE, is_over=True).body["embeds"]

    assert "CRITICAL: NomadQuorumLost in demo/global" == embed["title"]
    assert "Nomad cluster demo has lost its quorum" in embed["description"]
    assert f"[Runbook]({RUNBOOKS}/{PAGE}.md)" in embed["description"]
    assert "RESOLVED: NomadQuorumLost in demo/global" == over["title"]
    assert embed["color"] != over["color"]


def test_telegram(delivered):
    """
    A message in Telegram's HTML to the chat, with the bot's token in the path.
    """
    sent = of(delivered, "telegram", PAGE)

    assert "/telegram/bots3cret-token/sendMessage" == sent.path
    assert "-42" == str(sent.body["chat_id"])
    assert "html" == sent.body["parse_mode"].lower()
    assert sent.body["text"].startswith("<b>CRITICAL: NomadQuorumLost in demo/global</b>\n")
    assert "Nomad cluster demo has lost its quorum" in sent.body["text"]
    assert f'<a href="{RUNBOOKS}/{PAGE}.md">Runbook</a>' in sent.body["text"]
    over = of(delivered, "telegram", PAGE, is_over=True).body["text"]
    assert over.startswith("<b>RESOLVED: NomadQuorumLost in demo/global</b>\n")


def test_raw(delivered):
    """
    A receiver in Alertmanager's own settings, here of VictorOps, says it in our texts.
    """
    sent = of(delivered, "raw", PAGE)

    assert "/victorops/s3cret-token/nomad" == sent.path
    assert "CRITICAL: NomadQuorumLost in demo/global" == sent.body["entity_display_name"]
    assert f"Runbook: {RUNBOOKS}/{PAGE}.md" in sent.body["state_message"]
    assert "RECOVERY" == of(delivered, "raw", PAGE, is_over=True).body["message_type"]


def test_a_receiver_may_leave_out_the_end(delivered):
    """
    With `send_resolved: false` only the beginning is told.
    """
    assert 1 == len(delivered.of("silent-end", PAGE, is_over=False))
    assert [] == delivered.of("silent-end", PAGE, is_over=True)
