"""The types of receivers: what cannot be built, and the page that is made of them."""

import re
from dataclasses import fields
from inspect import cleandoc

import pytest

from alert_rules.receivers import (
    TYPED_CHANNELS,
    ChannelError,
    Discord,
    Email,
    Existing,
    PagerDuty,
    Telegram,
    Webhook,
    options_of,
)
from alert_rules.receivers_page import DOCUMENT, RECEIVER_KEYS, example, raw_example, render
from alert_rules.settings import NOTIFYING, Receiver, Severity
from compose.settings import parse_settings
from tests.alert_rules.receiver_set_ups import HOOK

HEAD = 'cluster: demo\nservers: [{name: a, address: "a:1"}]\n'


@pytest.mark.parametrize(
    ("build", "key", "problem"),
    [
        (Webhook, "url", "exactly one"),
        (lambda: Webhook(url="http://a", url_file="/x"), "url", "exactly one"),
        (lambda: Webhook(url="http://a", username="x"), "username", "without password_file"),
        (lambda: Webhook(url="http://a", password_file="/x"), "password_file", "without username"),
        (
            lambda: Webhook(url="http://a", username="x", password_file="/x", token_file="/y"),
            "token_file",
            "beside username",
        ),
        (lambda: Email(to="a", sender="b", smarthost="c:1", password_file="/x"), "password_file", "without username"),
        (lambda: Receiver(name="nobody", channel=HOOK), "name", "reserved"),
        (lambda: Receiver(name="outrider/x", channel=HOOK), "name", "reserved"),
        (lambda: Receiver(name="a", channel=HOOK, severities=()), "severities", "nothing would ever come"),
        (lambda: Receiver(name="a", channel=HOOK, mute_critical=True), "mute_critical", "without mute"),
        (
            lambda: Receiver(name="a", channel=HOOK, mute=("n",), severities=(Severity.CRITICAL,)),
            "mute",
            "mutes nothing",
        ),
        (
            lambda: Receiver(name="a", channel=PagerDuty(routing_key_file="/x"), watchdog=True),
            "watchdog",
            "would send a heartbeat every minute by pagerduty",
        ),
        (
            lambda: Receiver(name="a", channel=Existing(receiver="x"), send_resolved=False),
            "send_resolved",
            "your own configuration's to decide",
        ),
    ],
)
def test_what_makes_no_sense_cannot_be_built(build, key, problem):
    """
    The error names the setting and says what is wrong with it.
    """
    with pytest.raises(ChannelError) as said:
        build()

    assert key == said.value.key
    assert problem in said.value.problem


def test_a_receiver_gets_pages_and_warnings_unless_it_says_otherwise():
    """
    The defaults: both severities, all teams and clusters, ends too, no heartbeat.
    """
    receiver = Receiver(name="a", channel=HOOK)

    assert (NOTIFYING, (), (), True, False) == (
        receiver.severities,
        receiver.teams,
        receiver.clusters,
        receiver.send_resolved,
        receiver.watchdog,
    )


def test_options_say_what_must_be_given_and_since_when():
    """
    Names of outrider.yaml, types and defaults come from the fields.
    """
    email = {each.key: each for each in options_of(Email)}
    telegram = {each.key: each for each in options_of(Telegram)}

    assert ["to", "from", "smarthost", "username", "password_file", "require_tls"] == list(email)
    assert {"to", "from", "smarthost"} == {key for key, each in email.items() if each.is_required}
    assert email["require_tls"].default is True
    assert int is telegram["chat_id"].type
    assert ("0.26", "0.28") == (
        str(telegram["bot_token_file"].option.since),
        str(telegram["message_thread_id"].option.since),
    )


def test_the_page_of_receivers_is_current():
    """
    alert_rules/RECEIVERS.md is what the types say; `python -m alert_rules.receivers_page` writes it anew.
    """
    assert render() == DOCUMENT.read_text(encoding="utf-8"), "stale: run python -m alert_rules.receivers_page"


def test_the_page_names_every_setting():
    """
    Each setting of each channel and of receivers themselves stands in a table.
    """
    page = render()

    for channel in TYPED_CHANNELS:
        assert f"## {channel.kind}\n\n{cleandoc(channel.__doc__)} " in page
        assert all(f"| `{each.key}` | {each.option.meaning} |" in page for each in options_of(channel))
    assert set(RECEIVER_KEYS) == {each.name for each in fields(Receiver)} - {"channel"}


def test_a_channel_says_why_it_needs_a_newer_alertmanager():
    """
    Discord is older than the file of its secret.
    """
    assert "Needs Alertmanager 0.28: it is there since 0.25, but with its secret in alertmanager.yml." in render()
    assert "0.25" == str(Discord.since)


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL))
def test_every_example_of_the_page_is_accepted(block):
    """
    What an operator copies is read, with all its settings.
    """
    settings = parse_settings(HEAD + block)

    assert settings.rules.receivers


def test_the_examples_show_every_channel():
    """
    Each channel, and one in raw settings, has its example.
    """
    kinds = [example(channel)["receivers"][0]["name"] for channel in TYPED_CHANNELS]

    assert [channel.kind for channel in TYPED_CHANNELS] == kinds
    assert ["pushover_configs"] == list(raw_example()["receivers"][0]["raw"])
