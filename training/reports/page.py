"""A Markdown report as one HTML file that holds its pictures, to be sent or opened anywhere."""

import base64
import html
import re
from pathlib import Path

from markdown import Markdown

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff; margin: 2rem auto; max-width: 72rem;
  padding: 0 1rem; }
h1, h2, h3 { line-height: 1.2; margin-top: 2rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; margin: 1rem 0; }
th, td { border: 1px solid #ccc; padding: .25rem .6rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
tr:nth-child(even) { background: #f6f6f6; }
img { max-width: 100%; height: auto; }
pre { background: #f2f2f2; padding: .6rem; overflow-x: auto; }
"""
_PICTURE = re.compile(r'src="([^"]+\.png)"')


def self_contained(markdown: str, folder: Path) -> str:
    """Return a report as HTML; its first heading is the title.

    HTML inside the Markdown is shown as text: names of data sets and groups come from people's files.

    Args:
        markdown: with tables and pictures.
        folder: that the pictures' paths are relative to; a picture that is not there stays a reference.
    """
    converter = Markdown(extensions=["tables"])
    converter.preprocessors.deregister("html_block")
    converter.inlinePatterns.deregister("html")
    body = _PICTURE.sub(lambda match: f'src="{_inlined(folder, html.unescape(match[1]))}"', converter.convert(markdown))
    title = next((line.lstrip("# ") for line in markdown.splitlines() if line.startswith("# ")), "Report")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _inlined(folder: Path, place: str) -> str:
    path = folder / place
    if "://" in place or not path.is_file():
        return html.escape(place)
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
