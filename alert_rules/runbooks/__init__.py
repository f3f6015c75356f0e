"""One page for each alert, named as the alert: Meaning, Impact, Diagnosis, Mitigation."""

from importlib.resources import files


def runbook_pages() -> dict[str, str]:
    """Return the pages by the name of their alert, in the order of the alphabet."""
    pages = {page.name: page for page in files(__name__).iterdir() if page.name.endswith(".md")}
    return {name.removesuffix(".md"): pages[name].read_text(encoding="utf-8") for name in sorted(pages)}
