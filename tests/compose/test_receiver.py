import io
import json
import threading
from collections.abc import Iterator

import msgspec
import pytest
import requests

from compose.receiver import (
    BODY_LIMIT_BYTES,
    KEPT_NOTIFICATIONS,
    SHOWN_ALERTS,
    Receiver,
    ReceiverServer,
    read_records,
    split_address,
)
from telemetry.clock import ManualClock

AT = 1_700_000_000.0  # 2023-11-14 22:13:20 UTC


def alert(name: str = "NomadQuorumLost", status: str = "firing", **annotations: str) -> dict[str, object]:
    return {
        "status": status,
        "labels": {"alertname": name, "severity": "critical", "cluster": "prod"},
        "annotations": {"summary": "No quorum.", "runbook_url": "https://runbooks/NomadQuorumLost"} | annotations,
        "startsAt": "2023-11-14T22:13:02.123Z",
        "endsAt": "2023-11-14T22:14:00Z" if status == "resolved" else "0001-01-01T00:00:00Z",
        "generatorURL": "http://127.0.0.1:9090/graph",
        "fingerprint": "0123456789abcdef",
    }


def body(*alerts: dict[str, object]) -> bytes:
    return json.dumps(
        {
            "version": "4",
            "status": "firing",
            "receiver": "screen",
            "groupKey": "{}",
            "groupLabels": {},
            "truncatedAlerts": 0,
            "alerts": list(alerts or [alert()]),
        }
    ).encode()


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def receiver(out, tmp_path) -> Iterator[Receiver]:
    receiver = Receiver(out, ManualClock(AT), tmp_path / "record.jsonl")
    yield receiver
    receiver.close()


@pytest.fixture
def url(receiver) -> Iterator[str]:
    """The address of a running receiver."""
    server = ReceiverServer(("127.0.0.1", 0), receiver)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_notification_is_printed_readably(receiver, out):
    """
    The printed text has what a person needs: when, what, how urgent, since when and where to read on.
    """
    receiver.take(body())

    printed = out.getvalue()
    for expected in (
        "2023-11-14 22:13:20 UTC  FIRING    CRITICAL  NomadQuorumLost",
        "summary      No quorum.",
        "since        2023-11-14 22:13:02 UTC",
        "runbook      https://runbooks/NomadQuorumLost",
        "labels       cluster=prod",
    ):
        assert expected in printed


def test_a_resolved_alert_says_until_when(receiver, out):
    """
    A resolved alert is printed as such, with its end.
    """
    receiver.take(body(alert(status="resolved")))

    assert "RESOLVED" in out.getvalue()
    assert "until 2023-11-14 22:14:00 UTC" in out.getvalue()


def test_what_is_recorded_can_be_read_again(receiver, tmp_path):
    """
    Each notification is a line with its time of arrival, on the disk before it is acknowledged.
    """
    receiver.take(body())
    receiver.take(body(alert("NomadNoLeader")))

    records = read_records(tmp_path / "record.jsonl")

    assert [AT, AT] == [record.received_at for record in records]
    names = [record.notification.alerts[0].labels["alertname"] for record in records]
    assert ["NomadQuorumLost", "NomadNoLeader"] == names


def test_an_unfinished_last_line_is_left_out(receiver, tmp_path):
    """
    A record that was being written is not read; the finished ones are.
    """
    receiver.take(body())
    with (tmp_path / "record.jsonl").open("ab") as record:
        record.write(b'{"received_at": 1')

    assert 1 == len(read_records(tmp_path / "record.jsonl"))


def test_a_storm_is_cut_short(receiver, out):
    """
    Of a notification with very many alerts some are shown and the rest is counted.
    """
    receiver.take(body(*[alert(f"Alert{number}") for number in range(SHOWN_ALERTS + 7)]))

    assert SHOWN_ALERTS == out.getvalue().count("CRITICAL")
    assert "and 7 more alerts" in out.getvalue()


def test_control_characters_do_not_reach_the_terminal(receiver, out):
    """
    What a label or annotation holds cannot move the cursor or colour the screen.
    """
    receiver.take(body(alert(summary="\x1b[2Jgone")))

    assert "\x1b" not in out.getvalue()
    assert "?[2Jgone" in out.getvalue()


def test_only_the_last_notifications_are_kept(receiver):
    """
    The page shows the newest notifications and forgets older ones.
    """
    for number in range(KEPT_NOTIFICATIONS + 1):
        receiver.take(body(alert(f"Alert{number}.")))

    page = receiver.page()

    assert f"Received: {KEPT_NOTIFICATIONS + 1}. Below: the last {KEPT_NOTIFICATIONS}," in page
    assert "Alert0." not in page
    assert page.index(f"Alert{KEPT_NOTIFICATIONS}.") < page.index("Alert1.")


@pytest.mark.parametrize("bad", [b"", b"{", b'{"alerts": 1}', b"\xff\xfe", b'{"status": "firing"}'])
def test_a_bad_body_is_refused_with_one_line(url, out, bad):
    """
    What is no notification is answered 400, said in one line, and recorded nowhere.
    """
    answer = requests.post(url, data=bad, timeout=5)

    assert 400 == answer.status_code
    assert 1 == out.getvalue().count("\n")
    assert "refused" in out.getvalue()


def test_a_body_too_large_is_refused_unread(url):
    """
    A body beyond the limit is refused by its announced length.
    """
    answer = requests.post(url, headers={"Content-Length": str(BODY_LIMIT_BYTES + 1)}, timeout=5)

    assert 413 == answer.status_code


def test_a_good_body_is_acknowledged(url, receiver):
    """
    A notification that was taken is answered 200.
    """
    answer = requests.post(url, data=body(), timeout=5)

    assert 200 == answer.status_code
    assert "Received: 1." in receiver.page()


def test_the_page_escapes_what_it_shows(url, receiver):
    """
    A browser gets a page in which labels are text, a terminal gets plain text.
    """
    receiver.take(body(alert(summary="<script>alert(1)</script>")))

    page = requests.get(url, headers={"Accept": "text/html"}, timeout=5)
    text = requests.get(url, headers={"Accept": "*/*"}, timeout=5)

    assert "<script>alert" not in page.text
    assert "&lt;script&gt;" in page.text
    assert text.headers["Content-Type"].startswith("text/plain")
    assert "<script>" in text.text


def test_health_and_unknown_paths(url):
    """
    /healthz answers 200 and an unknown path 404.
    """
    assert [200, 404] == [requests.get(url + path, timeout=5).status_code for path in ("/healthz", "/nope")]


@pytest.mark.parametrize("address", ["9095", "localhost", "127.0.0.1:x", "127.0.0.1:70000"])
def test_an_address_that_is_none_is_named(address):
    """
    A listen address that cannot be is an error that shows a good one.
    """
    with pytest.raises(ValueError, match=r"127\.0\.0\.1:9095"):
        split_address(address)


def test_a_missing_record_is_empty(tmp_path):
    """
    Reading a record that was never written gives no notification.
    """
    assert [] == read_records(tmp_path / "none.jsonl")


def test_a_record_that_is_none_is_an_error(tmp_path):
    """
    A finished line that is no record is not passed over.
    """
    (tmp_path / "record.jsonl").write_text('{"x": 1}\n', encoding="utf-8")

    with pytest.raises(msgspec.ValidationError):
        read_records(tmp_path / "record.jsonl")
