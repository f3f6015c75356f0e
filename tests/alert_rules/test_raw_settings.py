"""Receivers in Alertmanager's own settings: secrets and versions in them."""

import pytest
import yaml

from alert_rules.raw_settings import FIRST_WITH, refusals, url_has_secret
from alert_rules.versions import AlertmanagerVersion, parse_version
from tests.tools import find_or_explain

AMTOOLS, ABSENT = find_or_explain("amtool")
NEWEST = AlertmanagerVersion(0, 33)

BY_FILE = [
    ("pushover_configs", "user_key", "user_key_file"),
    ("pushover_configs", "token", "token_file"),
    ("victorops_configs", "api_key", "api_key_file"),
    ("wechat_configs", "api_secret", "api_secret_file"),
    ("rocketchat_configs", "token", "token_file"),
    ("rocketchat_configs", "token_id", "token_id_file"),
    ("incidentio_configs", "alert_source_token", "alert_source_token_file"),
    ("mattermost_configs", "webhook_url", "webhook_url_file"),
    ("slack_configs", "api_url", "api_url_file"),
    ("slack_configs", "app_token", "app_token_file"),
    ("pagerduty_configs", "routing_key", "routing_key_file"),
    ("pagerduty_configs", "service_key", "service_key_file"),
    ("opsgenie_configs", "api_key", "api_key_file"),
    ("telegram_configs", "bot_token", "bot_token_file"),
    ("discord_configs", "webhook_url", "webhook_url_file"),
    ("msteams_configs", "webhook_url", "webhook_url_file"),
    ("msteamsv2_configs", "webhook_url", "webhook_url_file"),
    ("email_configs", "auth_password", "auth_password_file"),
    ("email_configs", "auth_secret", "auth_secret_file"),
]


def said(kind, config, version=NEWEST):
    """
    Return what is said against one entry of a list of receivers.
    """
    return [(refusal.path, refusal.problem) for refusal in refusals(kind, [config], version)]


@pytest.mark.parametrize(("kind", "key", "file"), BY_FILE)
def test_a_secret_is_refused_with_the_name_of_its_file(kind, key, file):
    """
    Each secret of each kind of receiver, and its file is taken.
    """
    assert [((kind, 0, key), f"holds a secret; put it into a file and name it in {file}")] == said(kind, {key: "x"})
    assert [] == said(kind, {file: "/run/x"})


@pytest.mark.skipif(not AMTOOLS, reason=ABSENT)
@pytest.mark.parametrize(("kind", "key", "file"), BY_FILE)
def test_the_file_that_is_named_exists_in_alertmanager(kind, key, file, tmp_path):
    """
    No remedy leads to a setting that amtool does not know where it is said to be there.
    """
    for amtool in AMTOOLS:
        version = parse_version(amtool.version)
        if FIRST_WITH[kind] > version:
            continue
        config = {"route": {"receiver": "a"}, "receivers": [{"name": "a", kind: [{file: "/run/x"}]}]}
        (tmp_path / "alertmanager.yml").write_text(yaml.safe_dump(config))
        output = amtool.run("check-config", str(tmp_path / "alertmanager.yml"))
        is_known = f"field {file} not found" not in output.stdout + output.stderr
        is_allowed = said(kind, {file: "/run/x"}, version) == []
        assert is_known or not is_allowed, amtool.version


@pytest.mark.parametrize(
    ("config", "path", "remedy"),
    [
        (
            {"http_config": {"basic_auth": {"password": "x"}}},
            ("http_config", "basic_auth", "password"),
            "password_file",
        ),
        ({"http_config": {"bearer_token": "x"}}, ("http_config", "bearer_token"), "authorization.credentials_file"),
        (
            {"http_config": {"authorization": {"credentials": "x"}}},
            ("http_config", "authorization", "credentials"),
            "credentials_file",
        ),
        (
            {"http_config": {"oauth2": {"client_secret": "x"}}},
            ("http_config", "oauth2", "client_secret"),
            "client_secret_file",
        ),
        ({"http_config": {"tls_config": {"key": "x"}}}, ("http_config", "tls_config", "key"), "key_file"),
        ({"http_config": {"proxy_url": "http://u:p@proxy"}}, ("http_config", "proxy_url"), "take it out of the URL"),
        (
            {"http_config": {"http_headers": {"X-Any": {"secrets": ["x"]}}}},
            ("http_config", "http_headers", "X-Any"),
            "under files",
        ),
        (
            {"http_config": {"http_headers": {"Authorization": {"values": ["x"]}}}},
            ("http_config", "http_headers", "Authorization"),
            "under files",
        ),
        (
            {"http_config": {"proxy_connect_header": {"Proxy-Authorization": ["x"]}}},
            ("http_config", "proxy_connect_header", "Proxy-Authorization"),
            "under files",
        ),
        ({"actions": [{"token": "x"}]}, ("actions", 0, "token"), "token_file"),
        ({"url": "https://host/?token=x"}, ("url",), "take it out of the URL"),
    ],
)
def test_secrets_are_found_however_deep_they_stand(config, path, remedy):
    """
    The place of the secret is named, and what to do about it.
    """
    [(found, problem)] = said("pushover_configs", config)

    assert ("pushover_configs", 0, *path) == found
    assert problem.startswith("holds a secret; ")
    assert problem.endswith(remedy) or remedy in problem


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("victorops_configs", {"routing_key": "nomad"}),
        (
            "slack_configs",
            {"api_url": "https://slack.com/api/chat.postMessage", "fields": [{"title": "key", "value": "v"}]},
        ),
        ("pagerduty_configs", {"details": {"token": "a word"}, "client_url": "https://host/?page=2"}),
        ("sns_configs", {"sigv4": {"region": "eu-west-1", "access_key": "AKIA"}}),
        ("jira_configs", {"custom_fields": {"api_key": "a word"}, "labels": ["token"]}),
        (
            "webhook_configs",
            {"url": "https://host/path", "http_config": {"http_headers": {"X-Team": {"values": ["a"]}}}},
        ),
        ("webex_configs", {"http_config": {"authorization": {"credentials_file": "/run/x"}}}),
        ("pushover_configs", {"token": "", "user_key": None}),
        ("something_new_configs", {"anything": 1}),
    ],
)
def test_what_is_no_secret_passes(kind, config):
    """
    Names that look like secrets and are none are left alone, and so are kinds that are not known yet.
    """
    assert [] == said(kind, config)


def test_a_secret_without_a_file_has_another_remedy():
    """
    Amazon's key is Alertmanager's environment's business.
    """
    [(_, problem)] = said("sns_configs", {"sigv4": {"secret_key": "x"}})

    assert "leave it out, and give it to Alertmanager by the environment or by a profile" in problem


@pytest.mark.parametrize(
    ("kind", "config", "version", "problem"),
    [
        ("mattermost_configs", {}, "0.28", "needs Alertmanager 0.30 or later, and alertmanager_version is 0.28"),
        ("pushover_configs", {"token_file": "/x"}, "0.25", "needs Alertmanager 0.26 or later"),
        (
            "wechat_configs",
            {"api_secret": "x"},
            "0.25",
            "name it in api_secret_file, which needs Alertmanager 0.31 or later",
        ),
        (
            "webhook_configs",
            {"url": "http://u:p@h/"},
            "0.25",
            "name it in url_file, which needs Alertmanager 0.28 or later",
        ),
    ],
)
def test_what_is_newer_than_the_alertmanager_is_refused_with_its_version(kind, config, version, problem):
    """
    Lists, files and remedies each name the first Alertmanager that has them.
    """
    [(_, found)] = said(kind, config, parse_version(version))

    assert problem in found


@pytest.mark.parametrize(
    ("kind", "configs", "problem"),
    [
        ("pushover", [{}], "is no list of Alertmanager's; write one such as pushover_configs"),
        ("pushover_configs", {}, "is not a list of settings; write one `- ` entry for each"),
        ("pushover_configs", [], "is not a list of settings"),
        ("pushover_configs", ["x"], "is not a list of settings"),
    ],
)
def test_what_is_no_list_of_receivers_is_refused(kind, configs, problem):
    """
    The name must be that of a list, and the list hold groups of settings.
    """
    [refusal] = refusals(kind, configs, NEWEST)

    assert problem in refusal.problem


@pytest.mark.parametrize(
    ("url", "has_secret"),
    [
        ("https://host/path?page=2", False),
        ("https://user@host/", False),
        ("https://user:pass@host/", True),
        ("https://host/?sig=abc", True),
        ("https://host/?api_key=abc", True),
        ("https://host/?keyword=abc", False),
        ("http://[bad", False),
    ],
)
def test_secrets_in_urls_are_seen(url, has_secret):
    """
    A password, or a parameter that is called like a secret.
    """
    assert has_secret == url_has_secret(url)


@pytest.mark.parametrize(("text", "version"), [("0.25", (0, 25)), ("v0.33.1", (0, 33)), ("1.0.0", (1, 0))])
def test_versions_are_read_as_people_write_them(text, version):
    """
    With or without the v, with or without the patch.
    """
    assert AlertmanagerVersion(*version) == parse_version(text)


@pytest.mark.parametrize("text", ["", "newest", "0", "0.25.1.2", "0.25-rc.1"])
def test_what_is_no_version_is_refused(text):
    """
    Nothing is guessed.
    """
    with pytest.raises(ValueError, match="is not a version of Alertmanager"):
        parse_version(text)
