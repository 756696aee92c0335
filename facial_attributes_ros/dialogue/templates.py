"""The texts of the dialogue: one folder a language, templates for people to edit."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from jinja2 import ChoiceLoader, FileSystemLoader, StrictUndefined, TemplateError, TemplateNotFound, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.text import printable

SHIPPED: Final = Path(__file__).resolve().parent / "languages"
CONTEXT: Final = "context.jinja"
NOTICE: Final = "notice.jinja"


def languages(folder: Path | None = None) -> list[str]:
    """Return the languages that there are, shipped or in a folder of one's own, sorted."""
    folders = [SHIPPED, *([] if folder is None else [folder])]
    return sorted({path.parent.name for one in folders for path in one.glob(f"*/{CONTEXT}")})


class Templates:
    """The templates of one language, in a sandbox: they see what they are given, and nothing of the program.

    Args:
        language: name of a folder, such as `en`.
        folder: of templates of one's own, with a folder a language; a file there takes the place of the shipped one.

    Raises:
        UserError: there is no such language or folder, or a template has a mistake.
    """

    def __init__(self, language: str, folder: Path | None = None) -> None:
        if folder is not None and not folder.is_dir():
            raise UserError(f"{printable(str(folder))} is no folder: give one with a folder a language, as {SHIPPED}.")
        known = languages(folder)
        if language not in known:
            raise UserError(f"There is no language '{printable(language)}': there are {', '.join(known)}.")
        self.language = language
        places = [SHIPPED] if folder is None else [folder, SHIPPED]
        self._sandbox = ImmutableSandboxedEnvironment(
            loader=ChoiceLoader([FileSystemLoader(place) for place in places]),
            undefined=StrictUndefined,
            autoescape=False,
            auto_reload=False,  # a file that is edited while the node runs counts from its next start
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def render(self, name: str, values: Mapping[str, Any]) -> str:
        """Return the text of a template, its lines without spaces at their ends.

        Args:
            name: `CONTEXT` or `NOTICE`.
            values: what the template sees.

        Raises:
            UserError: the template has a mistake.
        """
        file = f"{self.language}/{name}"
        try:
            text = self._sandbox.get_template(file).render(values)
        except TemplateNotFound as error:
            raise UserError(f"The language {self.language} has no {error.name}: add that file.") from error
        except TemplateSyntaxError as error:
            raise UserError(f"{error.filename or file}, line {error.lineno}: {error.message}.") from error
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
            # What a template computes can fail in all of these ways.
            raise UserError(f"The template {file} fails: {printable(str(error)).rstrip('.')}.") from error
        lines = (" ".join(line.split()) for line in text.splitlines())
        return "\n".join(line for line in lines if line)

    def sentences(self) -> dict[str, dict[str, str]]:
        """Return the sentences of the scripted conversation by occasion and variant, see `conversation`."""
        file = SHIPPED / self.language / "sentences.json"
        if not file.is_file():
            file = SHIPPED / "en" / "sentences.json"
        found: dict[str, dict[str, str]] = json.loads(file.read_text(encoding="utf-8"))
        return found
