from datetime import UTC, datetime

import msgspec

from compose.drill.observe import ActiveAlert, RecordTail, Traces
from compose.receiver import Alert, Notification, Record

BEGAN = 1_000.0


def active(alert, state, since, **labels):
    base = {"alertname": alert, "severity": "warning", "region": "global"}
    return ActiveAlert(labels=base | labels, state=state, active_at=datetime.fromtimestamp(since, UTC))


def told(at, *alerts):
    return Record(received_at=at, notification=Notification(status="firing", alerts=list(alerts)))


def alert(name, status="firing", subject="1", starts="2026-11-25T12:00:00Z", severity="warning"):
    labels = {"alertname": name, "severity": severity, "region": "global"}
    return Alert(status=status, labels=labels, starts_at=starts, fingerprint=name + subject)


def begun():
    traces = Traces()
    traces.begin(BEGAN)
    return traces


def test_an_alert_is_followed_from_pending_to_its_end():
    """
    Pending since the evaluation that saw it, firing since the first look that said so, then received and resolved.
    """
    traces = begun()
    traces.polled(1_006.0, [active("A", "pending", 1_005.5)])
    traces.polled(1_080.0, [active("A", "firing", 1_005.5)])
    traces.polled(1_081.0, [active("A", "firing", 1_005.5)])
    traces.received(told(1_085.0, alert("A")))
    traces.received(told(1_200.0, alert("A", "resolved")))

    (found,) = traces.traces()

    assert (5.5, 80.0, (85.0,), 200.0) == (found.pending_at, found.firing_at, found.received_at, found.resolved_at)
    assert not traces.unresolved()


def test_a_repeated_notification_is_no_news():
    """
    The same alert told again, alone or beside a new one, counts once; another subject is news.
    """
    traces = begun()
    traces.received(told(1_010.0, alert("A")))
    traces.received(told(1_070.0, alert("A")))
    traces.received(told(1_130.0, alert("A"), alert("A", subject="2")))

    (found,) = traces.traces()

    assert (10.0, 130.0) == found.received_at


def test_an_alert_of_two_subjects_is_over_when_both_are():
    """
    The end is told when the last open subject is resolved, and not before.
    """
    traces = begun()
    traces.received(told(1_010.0, alert("A"), alert("A", subject="2")))
    traces.received(told(1_050.0, alert("A", "resolved")))
    half = traces.traces()[0].resolved_at, traces.unresolved()
    traces.received(told(1_060.0, alert("A", "resolved", subject="2")))

    assert (None, True) == half
    assert 60.0 == traces.traces()[0].resolved_at


def test_what_comes_back_after_its_end_is_news():
    """
    An alert that starts anew within a fault is a second notification.
    """
    traces = begun()
    traces.received(told(1_010.0, alert("A")))
    traces.received(told(1_020.0, alert("A", "resolved")))
    traces.received(told(1_030.0, alert("A", starts="2026-11-25T12:00:30Z")))

    (found,) = traces.traces()

    assert (10.0, 30.0) == found.received_at
    assert found.resolved_at is None


def test_a_new_fault_knows_nothing_of_the_last():
    """
    Beginning forgets what was seen, and an end that belongs to the fault before is not its own.
    """
    traces = begun()
    traces.received(told(1_010.0, alert("A")))
    traces.begin(2_000.0)
    traces.received(told(2_001.0, alert("A", "resolved")))

    assert () == traces.traces()


def test_what_notifies_nobody_is_left_out():
    """
    Watchdog and alerts that merely inform are not followed.
    """
    traces = begun()
    traces.polled(
        1_001.0, [active("Watchdog", "firing", 1.0, severity="none"), active("B", "firing", 1.0, severity="info")]
    )
    traces.received(told(1_002.0, alert("Watchdog", severity="none")))

    assert () == traces.traces()


def test_a_record_is_read_on_from_where_it_ended(tmp_path):
    """
    Each whole line comes once; one that is being written comes when it is whole; no file is no line.
    """
    path = tmp_path / "record"
    tail = RecordTail(path)
    line = msgspec.json.encode(told(1.0, alert("A"))) + b"\n"
    before = tail()
    path.write_bytes(line + line[:10])
    first = tail()
    path.write_bytes(line + line)

    assert ([], 1, 1, 0) == (before, len(first), len(tail()), len(tail()))
