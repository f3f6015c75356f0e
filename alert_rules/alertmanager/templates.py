"""The one file of message templates, outrider.tmpl, written for the labels that an operator's alerts carry."""

import re
from importlib.resources import files

from alert_rules.settings import RuleSettings

TEMPLATES_FILE = "outrider.tmpl"
"""Its name beside alertmanager.yml, which finds it there."""

_LABEL = re.compile(r"Labels\.(cluster|region|instance)\b")
_FILTER = re.compile(r"(?<=%2C)(cluster|region|instance)(?=%3D)")
_LACKED = "outrider_lacks_"


def message_templates(settings: RuleSettings) -> str:
    """Return the content of outrider.tmpl; a label that alerts lack is read from one that never exists."""

    def called(found: re.Match[str]) -> str:
        ours = found[1]
        return found[0].replace(ours, settings.label_names.get(ours, ours) or _LACKED + ours)

    text = files("alert_rules.alertmanager").joinpath(TEMPLATES_FILE).read_text(encoding="utf-8")
    return _FILTER.sub(called, _LABEL.sub(called, text))
