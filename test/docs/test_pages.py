"""What the pages name exists: links, anchors, files, recipes, modules; and they need nothing that only we have."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PLACES = (ROOT, ROOT / "docs", ROOT / "facial_attributes_ros", ROOT / "training", ROOT / "config" / "recipes")
"""Folders that a path in the text may be relative to."""
FOLDERS = "|".join(sorted(path.name for place in PLACES[:1] + PLACES[2:4] for path in place.iterdir() if path.is_dir()))
names = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page: those that it sets, and those that GitHub makes of its headings."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a id="([\w-]+)">', text))


@names
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


@names
def test_files_that_are_named_exist(page):
    text = page.read_text(encoding="utf-8")
    for path in re.findall(rf"`((?:{FOLDERS})/[\w./-]+\.(?:py|yaml|md|txt|xml|msg|toml))`", text):
        assert "NAME" in path or any((place / path).exists() for place in PLACES), path


@names
def test_nothing_is_needed_that_only_its_makers_have(page):
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"\.\./shared|/tmp/|/work/|/home/", text)


def test_recipes_need_nothing_that_only_their_makers_have():
    for recipe in (ROOT / "config").rglob("*.yaml"):
        assert not re.search(r"\.\./shared|/tmp/", recipe.read_text(encoding="utf-8")), recipe.name


def test_the_index_has_every_page():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert pages == set(re.findall(r"\]\(([\w-]+\.md)\)", index))


def test_every_entry_of_the_references_can_be_linked():
    text = (ROOT / "docs" / "references.md").read_text(encoding="utf-8")
    entries = re.findall(r"^(?:- |\| )(?!data set|---)(.+)$", text, re.MULTILINE)
    assert [entry for entry in entries if not entry.startswith("<a id=") and "|---" not in entry] == []
