"""The receivers of outrider.yaml: what they mean, and what is said of a mistake in them."""

import pytest

from alert_rules.receivers import Discord, Email, Existing, MuteInterval, Opsgenie, Raw, Slack, Telegram, Webhook
from alert_rules.settings import NOTIFYING, Severity
from compose.settings import parse_settings
from compose.yaml_reader import SettingsError

HEAD = """\
cluster: demo
servers: [{name: server-1, address: "127.0.0.1:4646"}]
"""


def receivers(text):
    """
    Return what is read from the list of receivers in *text*.
    """
    return parse_settings(HEAD + text, "o.yaml").rules.receivers


def one(text, version="0.33"):
    """
    Return the receiver that a line of YAML describes.
    """
    [receiver] = receivers(f'alertmanager_version: "{version}"\nreceivers:\n  - {text}\n')
    return receiver


@pytest.mark.parametrize(
    ("text", "channel"),
    [
        ('webhook: {url: "http://a/", token_file: /t}', Webhook(url="http://a/", token_file="/t")),
        (
            'email: {to: a, from: b, smarthost: "c:25", username: u, password_file: /p, require_tls: false}',
            Email(to="a", sender="b", smarthost="c:25", username="u", password_file="/p", require_tls=False),
        ),
        ('slack: {api_url_file: /s, channel: "#x"}', Slack(api_url_file="/s", channel="#x")),
        ("opsgenie: {api_key_file: /k, responders: [a, b]}", Opsgenie(api_key_file="/k", responders=("a", "b"))),
        ("existing: {receiver: theirs}", Existing(receiver="theirs")),
        ("discord: {webhook_url_file: /d}", Discord(webhook_url_file="/d")),
        (
            "telegram: {bot_token_file: /t, chat_id: -42, message_thread_id: 3}",
            Telegram(bot_token_file="/t", chat_id=-42, message_thread_id=3),
        ),
        (
            "raw: {pushover_configs: [{user_key_file: /u, token_file: /t, priority: 2, html: true, ttl: 10:30}]}",
            Raw(
                configs={
                    "pushover_configs": [
                        {"user_key_file": "/u", "token_file": "/t", "priority": 2, "html": True, "ttl": "10:30"}
                    ]
                }
            ),
        ),
    ],
)
def test_channels_are_read(text, channel):
    """
    Each key comes into the field of its type.
    """
    assert channel == one("{name: x, " + text + "}").channel


def test_who_is_told_is_read():
    """
    Severities, teams, clusters, heartbeat, ends and mute times.
    """
    [receiver] = receivers("""\
mute_times:
  nights: {times: [{start_time: 22:00, end_time: 24:00}], location: Europe/Berlin}
receivers:
  - name: x
    webhook: {url: "http://a/"}
    severities: [warning]
    teams: [core, platform]
    clusters: [eu]
    watchdog: true
    send_resolved: false
    mute: [nights]
""")

    assert ((Severity.WARNING,), ("core", "platform"), ("eu",)) == (
        receiver.severities,
        receiver.teams,
        receiver.clusters,
    )
    assert (True, False, ("nights",), False) == (
        receiver.watchdog,
        receiver.send_resolved,
        receiver.mute,
        receiver.mute_critical,
    )
    assert NOTIFYING == one('{name: y, webhook: {url: "http://a/"}}').severities
    assert ("core",) == one('{name: y, webhook: {url: "http://a/"}, teams: core}').teams


def test_mute_times_are_one_span_or_several():
    """
    A mapping is one span, a list several; hours stay texts.
    """
    settings = parse_settings(
        HEAD
        + """\
mute_times:
  nights: {times: [{start_time: 22:00, end_time: 24:00}, {start_time: 00:00, end_time: 07:30}], location: Europe/Berlin}
  quiet:
    - {weekdays: [saturday, sunday], months: ["april:june", "12"]}
    - {days_of_month: ["1:5", "-1"], years: ["2027:2028"]}
"""
    )

    nights, quiet = settings.rules.mute_times
    assert (MuteInterval(times=(("22:00", "24:00"), ("00:00", "07:30")), location="Europe/Berlin"),) == nights.intervals
    assert (
        MuteInterval(weekdays=("saturday", "sunday"), months=("april:june", "12")),
        MuteInterval(days_of_month=("1:5", "-1"), years=("2027:2028",)),
    ) == quiet.intervals


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{name: x}", "o.yaml:5: receivers[0].name is 'x', a receiver that needs one of webhook, email, slack, pagerduty,"),
        ('{name: x, webhook: {url: "http://a/"}, slack: {api_url_file: /s}}', "give exactly one"),
        ('{name: x, webhook: {url: "ftp://a"}}', "o.yaml:5: receivers[0].webhook.url is 'ftp://a'; write an http://"),
        ('{name: x, webhook: {url: "http://u:hunter2@a/"}}', "url holds a secret; put the URL into a file and name it in url_file"),
        ('{name: x, webhook: {url: "https://a/?token=hunter2"}}', "url holds a secret; put the URL into a file"),
        ('{name: x, webhook: {url: "http://a/", token: hunter2}}', "token does not belong here; put it into a file and name it in token_file"),
        ("{name: x, slack: {api_url: https://hooks/hunter2}}", "slack.api_url does not belong here; put it into a file and name it in api_url_file"),
        ("{name: x, pagerduty: {routing_key: hunter2}}", "name it in routing_key_file"),
        ("{name: x, opsgenie: {api_key: hunter2}}", "name it in api_key_file"),
        ("{name: x, msteamsv2: {webhook_url: https://a/hunter2}}", "name it in webhook_url_file"),
        ("{name: x, discord: {webhook_url: https://a/hunter2}}", "name it in webhook_url_file"),
        ("{name: x, telegram: {bot_token: hunter2, chat_id: 1}}", "name it in bot_token_file"),
        ('{name: x, pagerduty: {routing_key_file: /k, url: "http://u:hunter2@a/"}}', "url holds a secret; put the URL into a file"),
        ('{name: x, opsgenie: {api_key_file: /k, api_url: "http://u:hunter2@a/"}}', "api_url holds a secret; take it out of the URL"),
        ("{name: x, raw: {pushover_configs: [{token: hunter2}]}}", "o.yaml:5: receivers[0].raw.pushover_configs[0].token of receiver 'x' holds a secret; put it into a file and name it in token_file"),
        ("{name: x, raw: {}}", "raw of receiver 'x' is empty; write a list such as pushover_configs"),
        ("{name: x, raw: {pushover_configs: {}}}", "is not a list of settings"),
        ("{name: x, slack: {chanel: a, api_url_file: /s}}", "slack.chanel is not a known setting; did you mean 'channel'?"),
        ("{name: x, slack: {}}", "slack.api_url_file is missing; write it here"),
        ("{name: x, telegram: {bot_token_file: /t, chat_id: me}}", "chat_id is 'me'; write a whole number such as -1001234567890"),
        ("{name: x, slack: {api_url_file: /s}, watchdog: true}", "o.yaml:5: receivers[0].watchdog would send a heartbeat every minute by slack"),
        ('{name: nobody, webhook: {url: "http://a/"}}', "receivers[0].name is 'nobody', which is reserved; choose another"),
        ('{name: x, webhook: {url: "http://a/"}, severities: [loud]}', "severities is 'loud'; choose one of critical, warning"),
        ('{name: x, webhook: {url: "http://a/"}, severities: []}', "severities is empty and watchdog is not set"),
        ('{name: x, webhook: {url: "http://a/"}, mute: [nights]}', "mute names 'nights', which is none of mute_times; add it there"),
        ('{name: x, webhook: {url: "http://a/"}, teams: {a: b}}', "teams is not a single value; write it on one line"),
        ('{name: x, webhook: {url: "http://a/"}, teams: [""]}', "teams is a list of something else than texts"),
        ('{name: x, webhook: {url: "http://a/", password_file: /p}}', "webhook.password_file stands without username; add it"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_by_place_value_and_remedy(text, error):
    """
    One sentence says file, line, field and what to do; no secret is repeated.
    """
    with pytest.raises(SettingsError) as said:
        one(text)

    assert error in str(said.value)
    assert "hunter2" not in str(said.value)


@pytest.mark.parametrize(
    ("text", "version", "error"),
    [
        ("telegram: {bot_token_file: /t, chat_id: 1}", "0.25", "telegram.bot_token_file of receiver 'x' needs Alertmanager 0.26 or later, and alertmanager_version is 0.25"),
        ("telegram: {bot_token_file: /t, chat_id: 1, message_thread_id: 2}", "0.26", "telegram.message_thread_id of receiver 'x' needs Alertmanager 0.28"),
        ("msteams: {webhook_url_file: /t}", "0.25", "msteams.webhook_url_file of receiver 'x' needs Alertmanager 0.28"),
        ("msteamsv2: {webhook_url_file: /t}", "0.27", "receivers[0].msteamsv2 of receiver 'x' needs Alertmanager 0.28"),
        ("discord: {webhook_url_file: /t}", "0.27", "discord.webhook_url_file of receiver 'x' needs Alertmanager 0.28"),
        ("webhook: {url_file: /t}", "0.27", "webhook.url_file of receiver 'x' needs Alertmanager 0.28"),
        ("raw: {mattermost_configs: [{webhook_url_file: /t}]}", "0.29", "raw.mattermost_configs of receiver 'x' needs Alertmanager 0.30"),
    ],
)  # fmt: skip
def test_what_is_newer_than_the_alertmanager_is_refused_with_its_version(text, version, error):
    """
    The error names file, line, receiver and the first version with it, which then is accepted.
    """
    line = "{name: x, " + text + "}"
    with pytest.raises(SettingsError) as said:
        one(line, version)

    assert str(said.value).startswith("o.yaml:5: receivers[0].")
    assert error in str(said.value)
    needed = error.partition("Alertmanager ")[2][:4]
    assert "x" == one(line, needed).name


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('alertmanager_version: "new"\n', "o.yaml:3: alertmanager_version is 'new'; write one such as \"0.25\""),
        ("alertmanager_version: 0.24\n", "alertmanager_version is 0.24; the oldest that is supported is 0.25"),
        ("mute_times: {a: {}}\n", "mute_times.a.location stands alone; give weekdays, times or another span"),
        ("mute_times: {a: []}\n", "mute_times.a is empty; give it weekdays, times or another span"),
        ("mute_times: {a: {weekdays: [funday]}}\n", "a.weekdays has 'funday'; write entries such as \"monday:friday\""),
        ('mute_times: {a: {weekdays: ["saturday:sunday"]}}\n', "ends before it begins; write it as two entries"),
        ('mute_times: {a: {months: ["12:1"]}}\n', "a.months has '12:1', which ends before it begins"),
        ("mute_times: {a: {days_of_month: [32]}}\n", "a.days_of_month has '32'"),
        ("mute_times: {a: {years: [27]}}\n", "a.years has '27'"),
        ("mute_times: {a: {weekdays: [monday], location: Berlin}}\n", "a.location is 'Berlin'; write a time zone"),
        ("mute_times: {a: {times: [{start_time: 7:00, end_time: 08:00}]}}\n", "start_time is '7:00'; write hours and"),
        (
            "mute_times: {a: {times: [{start_time: 22:00, end_time: 07:00}]}}\n",
            "end_time is 07:00, not after 22:00; write",
        ),
        ("alertmanager: [a]\n", "alertmanager is 'a'; write host:port"),
        ('alertmanager: ["a:1", "a:1"]\n', "name each address once"),
        ("alertmanager: []\n", "name each address once"),
        (
            'receivers: [{name: x, webhook: {url: "http://a"}}, {name: x, webhook: {url: "http://b"}}]\n',
            "receivers[1].name is 'x' a second time; choose another",
        ),
    ],
)
def test_mistakes_around_receivers_are_named(text, error):
    """
    Versions, mute times, addresses and names that stand twice.
    """
    with pytest.raises(SettingsError) as said:
        parse_settings(HEAD + text, "o.yaml")

    assert error in str(said.value)


def test_a_name_that_is_nearly_right_is_suggested():
    """
    A mute time that is misspelt leads to the one that is there.
    """
    text = 'mute_times: {nights: {weekdays: [monday]}}\nreceivers: [{name: x, mute: [nihts], webhook: {url: "http://a"}}]\n'

    with pytest.raises(SettingsError, match="names 'nihts', which is none of mute_times; did you mean 'nights'"):
        receivers(text)


def test_ranges_may_begin_at_the_start_and_end_at_the_end_of_a_month():
    """
    The first of a month comes before its last, which counts from the end.
    """
    [mute] = parse_settings(HEAD + 'mute_times: {a: {days_of_month: ["1:-1", "-3:-1"]}}\n').rules.mute_times

    assert ("1:-1", "-3:-1") == mute.intervals[0].days_of_month


def test_a_pair_of_alertmanagers_is_named():
    """
    The first is the one that is asked first; Prometheus tells all.
    """
    settings = parse_settings(HEAD + 'alertmanager: ["a:9093", "b:9093"]\n')

    assert ("a:9093", "b:9093") == settings.description.alertmanagers
    assert ("a:9093", 2) == (settings.description.alertmanager, settings.rules.alertmanagers)
