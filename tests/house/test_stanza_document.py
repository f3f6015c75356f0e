"""The generated document of the telemetry block is current."""

from agent.config.schema_telemetry import TELEMETRY
from agent.config.telemetry_page import DOCUMENT, render


def test_the_document_of_the_telemetry_block_is_current():
    """
    telemetry/STANZA.md is what schema and defaults say; `python -m agent.config.telemetry_page` writes it anew.
    """
    assert render() == DOCUMENT.read_text(encoding="utf-8"), "stale: run python -m agent.config.telemetry_page"


def test_the_document_holds_every_key_once():
    """
    Each key has one row of four cells, in the order of the schema.
    """
    rows = [line for line in render().splitlines() if line.startswith("| `")]

    assert [f"| `{key.name}`" for key in TELEMETRY.keys] == [row.split(" | ")[0] for row in rows]
    assert {5} == {row.count("|") for row in rows}
