"""The receivers and mute times of outrider.yaml, read into `alert_rules.receivers`.

What a channel may say is read from the annotations of its type, so that file, type and reference page cannot differ.
"""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, get_args
from zoneinfo import available_timezones

from alert_rules.raw_settings import needs, refusals, url_has_secret
from alert_rules.receivers import (
    TYPED_CHANNELS,
    Channel,
    ChannelError,
    MuteInterval,
    MuteTime,
    OptionField,
    Raw,
    TypedChannel,
    options_of,
)
from alert_rules.settings import NOTIFYING, Receiver
from alert_rules.versions import OLDEST, AlertmanagerVersion, parse_version
from compose.yaml_reader import Section

_SEVERITIES = {severity.value: severity for severity in NOTIFYING}
_CHANNELS = {channel.kind: channel for channel in TYPED_CHANNELS}
KINDS = (*_CHANNELS, Raw.kind)
"""The words by which a receiver names its channel."""

_TIME = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d\Z|24:00\Z")
_WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_RANGES = {
    # Alertmanager's week begins with Sunday, and no range goes over its end.
    "weekdays": ({name: place for place, name in enumerate(_WEEKDAYS, 1)}, '"monday:friday" or saturday'),
    "days_of_month": ({str(day): day for day in (*range(1, 32), *range(-31, 0))}, '"1:5" or -1, the last day'),
    "months": (
        {name: place for names in (_MONTHS, map(str, range(1, 13))) for place, name in enumerate(names, 1)},
        '"april:june" or 12',
    ),
    "years": ({str(year): year for year in range(1970, 10_000)}, '"2027:2028" or 2027'),
}
"""What each list may hold, with its order, and examples."""


def read_version(top: Section) -> AlertmanagerVersion:
    """Return the Alertmanager that will read the configuration; raise SettingsError for one that is too old."""
    text = top.optional_text("alertmanager_version")
    if text is None:
        return OLDEST
    try:
        version = parse_version(text)
    except ValueError:
        raise top.error("alertmanager_version", f'is {text!r}; write one such as "{OLDEST}"') from None
    if version < OLDEST:
        raise top.error("alertmanager_version", f"is {text}; the oldest that is supported is {OLDEST}")
    return version


def read_receivers(
    top: Section, version: AlertmanagerVersion, mute_times: tuple[MuteTime, ...]
) -> tuple[Receiver, ...]:
    """Return the receivers; raise SettingsError for what cannot be, is newer than *version*, or holds a secret."""
    receivers: list[Receiver] = []
    known = [mute.name for mute in mute_times]
    for section in top.sections("receivers"):
        receiver = _receiver(section, version)
        if receiver.name in [other.name for other in receivers]:
            raise section.error("name", f"is {receiver.name!r} a second time; choose another")
        for name in receiver.mute:
            if name not in known:
                raise section.error("mute", f"names {name!r}, which is none of mute_times{_nearest(name, known)}")
        receivers.append(receiver)
    return tuple(receivers)


def read_mute_times(top: Section) -> tuple[MuteTime, ...]:
    """Return the mute times, in the order of the file."""
    section = top.section("mute_times")
    if section is None:
        return ()
    found = []
    for name in section.names():
        if section.is_list(name):
            intervals = tuple(_interval(entry) for entry in section.sections(name))
        else:
            single = section.section(name)
            intervals = () if single is None else (_interval(single),)
        if not intervals:
            raise section.error(name, "is empty; give it weekdays, times or another span")
        found.append(MuteTime(name=name, intervals=intervals))
    return tuple(found)


def _receiver(section: Section, version: AlertmanagerVersion) -> Receiver:
    name = section.text("name")
    chosen = [kind for kind in KINDS if section.has(kind)]
    severities = section.choices("severities", _SEVERITIES, NOTIFYING)
    choices: dict[str, Any] = {
        "teams": section.texts("teams", ()),
        "clusters": section.texts("clusters", ()),
        "watchdog": section.boolean("watchdog", default=False),
        "send_resolved": section.boolean("send_resolved", default=True),
        "mute": section.texts("mute", ()),
        "mute_critical": section.boolean("mute_critical", default=False),
    }
    section.finish()
    if len(chosen) != 1:
        raise section.error("name", f"is {name!r}, a receiver that needs one of {', '.join(KINDS)}; give exactly one")
    [kind] = chosen
    channel = _raw(section, name, version) if kind == Raw.kind else _typed(section, _CHANNELS[kind], name, version)
    try:
        return Receiver(name=name, channel=channel, severities=severities, **choices)
    except ChannelError as error:
        raise section.error(error.key, error.problem) from None


def _typed(parent: Section, channel: type[TypedChannel], receiver: str, version: AlertmanagerVersion) -> TypedChannel:
    section = parent.section(channel.kind)
    assert section is not None, "the caller saw the key"
    options = options_of(channel)
    _refuse_secrets(section, options)
    values = {each.name: _value(section, each) for each in options}
    section.finish()
    _check_version(parent, section, channel, receiver, version)
    try:
        return channel(**values)
    except ChannelError as error:
        raise section.error(error.key, error.problem) from None


def _check_version(
    parent: Section, section: Section, channel: type[TypedChannel], receiver: str, version: AlertmanagerVersion
) -> None:
    """Raise SettingsError that names the first Alertmanager with all that is asked for, when *version* is older."""
    given = [each for each in options_of(channel) if each.key in section.names() and each.option.since is not None]
    newest = max(given, key=lambda each: each.option.since or channel.since, default=None)
    since = None if newest is None else newest.option.since
    if newest is not None and since is not None and since > max(channel.since, version):
        raise section.error(newest.key, f"of receiver {receiver!r} {needs(since, version)}")
    if channel.since > version:
        raise parent.error(channel.kind, f"of receiver {receiver!r} {needs(channel.since, version)}")


def _refuse_secrets(section: Section, options: tuple[OptionField, ...]) -> None:
    """Raise SettingsError when a secret stands where only the path of its file may."""
    keys = {each.key for each in options}
    for name in section.names():
        if name not in keys and f"{name}_file" in keys:
            raise section.error(name, f"does not belong here; put it into a file and name it in {name}_file")


def _value(section: Section, field: OptionField) -> Any:
    """Return the value of one option, as the type of its field says."""
    key = field.key
    if field.type is bool:
        return section.boolean(key, default=field.default)
    if field.type == tuple[str, ...]:
        return section.texts(key, ())
    text = section.text(key) if field.is_required else section.optional_text(key)
    if text is None:
        return None
    if int in (field.type, *get_args(field.type)):
        return _number(section, key, text)
    if field.option.is_url:
        _check_url(section, key, text, has_file=key == "url")
    return text


def _number(section: Section, key: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise section.error(key, f"is {text!r}; write a whole number such as -1001234567890") from None


def _check_url(section: Section, key: str, url: str, *, has_file: bool) -> None:
    if url_has_secret(url):
        remedy = f"put the URL into a file and name it in {key}_file" if has_file else "take it out of the URL"
        raise section.error(key, f"holds a secret; {remedy}")
    if not url.startswith(("http://", "https://")):
        raise section.error(key, f"is {url!r}; write an http:// or https:// address")


def _raw(parent: Section, receiver: str, version: AlertmanagerVersion) -> Channel:
    section = parent.section(Raw.kind)
    assert section is not None, "the caller saw the key"
    if not section.names():
        raise parent.error(Raw.kind, f"of receiver {receiver!r} is empty; write a list such as pushover_configs")
    configs: dict[str, Any] = {}
    for kind in section.names():
        configs[kind] = section.plain(kind)
        for refusal in refusals(kind, configs[kind], version):
            raise section.error_at(refusal.path, f"of receiver {receiver!r} {refusal.problem}")
    return Raw(configs=configs)


def _interval(section: Section) -> MuteInterval:
    times = tuple(_times(section))
    ranges = {name: _ranges(section, name) for name in _RANGES}
    location = section.optional_text("location")
    section.finish()
    zones = available_timezones()
    if location is not None and location not in {"UTC", "Local"} and zones and location not in zones:
        raise section.error("location", f"is {location!r}; write a time zone such as Europe/Berlin")
    if not times and not any(ranges.values()):
        raise section.error("location", "stands alone; give weekdays, times or another span")
    return MuteInterval(times=times, location=location, **ranges)


def _times(section: Section) -> Iterator[tuple[str, str]]:
    for entry in section.sections("times"):
        start, end = entry.text("start_time"), entry.text("end_time")
        entry.finish()
        for key, value in (("start_time", start), ("end_time", end)):
            if not _TIME.match(value):
                raise entry.error(key, f'is {value!r}; write hours and minutes, such as "08:30"')
        if start >= end:
            raise entry.error("end_time", f"is {end}, not after {start}; write a span over midnight as two")
        yield start, end


def _ranges(section: Section, name: str) -> tuple[str, ...]:
    order, examples = _RANGES[name]
    values = section.texts(name, ())
    for value in values:
        ends = value.lower().split(":")
        if len(ends) > 2 or not set(ends) <= set(order):
            raise section.error(name, f"has {value!r}; write entries such as {examples}")
        first, last = order[ends[0]], order[ends[-1]]
        # A negative day counts from the end of the month, so that it may follow a positive one.
        if first > last and (first > 0) == (last > 0):
            raise section.error(name, f"has {value!r}, which ends before it begins; write it as two entries")
    return values


def _nearest(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1, cutoff=0.0)
    return f"; did you mean {near[0]!r}?" if near else "; add it there"
