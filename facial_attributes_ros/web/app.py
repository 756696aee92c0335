"""The application: the pages that it is made of, behind the guard. FIRST FILE TO OPEN of the pages.

Each page is a `Part`: a template inside the common frame, and the routes that its script talks to.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from facial_attributes_ros import __version__
from facial_attributes_ros.attributes import LABELS
from facial_attributes_ros.web.security import Access, Guard

_HERE: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Part:
    """A page of the application.

    Attributes:
        name: its path is `/name`; its template is `name.html`, and its script `name.js` in `static/`.
        title: in the navigation and in the title of the window.
        routes: what the script talks to, below `/name`.
        facts: returns further values for the template, whenever the page is opened.
        listed: whether the navigation shows it.
    """

    name: str
    title: str
    routes: Sequence[BaseRoute] = ()
    facts: Callable[[], Mapping[str, Any]] = dict
    listed: bool = True


def create_app(parts: Sequence[Part], access: Access) -> ASGIApp:
    """Return the application of some pages; `/` leads to the first one.

    Args:
        parts: at least one.
        access: who may talk to the server.
    """
    first = parts[0].name
    navigation = [part for part in parts if part.listed]
    routes: list[BaseRoute] = [
        Route("/", lambda _: RedirectResponse(f"/{first}", 303)),
        Mount("/static", StaticFiles(directory=_HERE / "static")),
    ]
    for part in parts:
        routes.append(Route(f"/{part.name}", _page(part, navigation)))
        routes.append(Mount(f"/{part.name}", routes=list(part.routes)))
    return Guard(Starlette(routes=routes), access)


def render(template: str, **facts: Any) -> str:
    """Return a page; every text in it is escaped.

    Args:
        template: file in `templates/`.
        facts: its values.
    """
    return _ENVIRONMENT.get_template(template).render(version=__version__, labels=LABELS, **facts)


_ENVIRONMENT: Final = Environment(
    loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


def _page(part: Part, navigation: Sequence[Part]) -> Any:
    async def page(_: Request) -> Response:
        return HTMLResponse(render(f"{part.name}.html", part=part, navigation=navigation, **part.facts()))

    return page
