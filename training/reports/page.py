"""Reports as pages: Markdown from a Jinja template, and the same as one HTML file that holds its images.

A template may call the tables and write figures with the filters of `tables`.
"""

import base64
import html
import re
from pathlib import Path
from typing import Any

from facial_attributes_training.reports import tables
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.exceptions import TemplateError
from markdown import Markdown

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import atomic_target, disk_errors

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
_IMAGE = re.compile(r'src="([^"]+\.png)"')


def render(template: str, **values: Any) -> str:
    """Return the Markdown of one of the templates beside this file.

    Args:
        template: its name without the ending, such as `evaluation`.
        values: what the template names.
    """
    folder = Path(__file__).parent / "templates"
    return _environment(FileSystemLoader(folder)).get_template(f"{template}.md.jinja").render(values)


def render_text(source: str, values: dict[str, Any], name: str) -> str:
    """Return the Markdown of a template that is given as text.

    Args:
        source: the template.
        values: what it may name.
        name: what to call it in an error.

    Raises:
        UserError: the template is not valid, or names a value that there is not.
    """
    try:
        return _environment().from_string(source).render(values)
    except TemplateError as error:
        known = ", ".join(sorted(values))
        raise UserError(f"{name} can't be filled in: {error.message}; known values are {known}.") from error


def write_page(folder: Path, markdown_file: str, html_file: str, text: str) -> None:
    """Write a report as Markdown and as HTML.

    Args:
        folder: where to, with the report's images.
        markdown_file: name of the Markdown file.
        html_file: name of the HTML file.
        text: the Markdown.

    Raises:
        UserError: no space or no write access.
    """
    for name, content in ((markdown_file, text), (html_file, self_contained(text, folder))):
        with disk_errors(folder / name), atomic_target(folder / name) as partial:
            partial.write_text(content, encoding="utf-8", errors="backslashreplace")


def self_contained(markdown: str, folder: Path) -> str:
    """Return a report as HTML; its first heading is the title.

    HTML inside the Markdown is shown as text, because names of data sets and groups come from users' files.

    Args:
        markdown: with tables and images.
        folder: that the images' paths are relative to; an image that is not there stays a link.
    """
    converter = Markdown(extensions=["tables"])
    converter.preprocessors.deregister("html_block")
    converter.inlinePatterns.deregister("html")
    body = _IMAGE.sub(lambda match: f'src="{_inlined(folder, html.unescape(match[1]))}"', converter.convert(markdown))
    title = next((line.lstrip("# ") for line in markdown.splitlines() if line.startswith("# ")), "Report")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _environment(loader: FileSystemLoader | None = None) -> Environment:
    # What is written is Markdown, in which HTML's escapes would be shown as they are; see `self_contained`.
    environment = Environment(  # noqa: S701
        loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {
        "percent": tables.percent,
        "years": tables.years,
        "decimal": tables.decimal,
        "cell": tables.escaped,
        "sentence": lambda text: text[:1].upper() + text[1:],
    }
    environment.globals |= {
        "table": tables.table,
        "calibration_table": tables.calibration_table,
        "threshold_table": tables.threshold_table,
        "robustness_table": tables.robustness_table,
        "corrupted_labels_table": tables.corrupted_labels_table,
        "published_tables": tables.published_tables,
    }
    return environment


def _inlined(folder: Path, place: str) -> str:
    path = folder / place
    if "://" in place or not path.is_file():
        return html.escape(place)
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
