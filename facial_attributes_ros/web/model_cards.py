"""The pages of the models: what each was trained on, how good it is, and what it may be used for."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.spec import ModelSpec
from facial_attributes_ros.text import with_interval
from facial_attributes_ros.web.app import Part, render
from facial_attributes_ros.web.demonstrator.models import Models


def model_cards(models: Models, navigation: Sequence[Part]) -> Part:
    """Return the page with the list of models; each links to its card.

    Args:
        models: that the demonstrator offers.
        navigation: the pages before this one.
    """

    async def card(request: Request) -> Response:
        try:
            model = models.named(request.path_params["name"])
        except UserError as error:
            return PlainTextResponse(str(error), 404)
        facts = {} if model.spec is None else card_facts(model.spec)
        page = render("model_card.html", part=part, navigation=[*navigation, part], model=model, **facts)
        return HTMLResponse(page)

    routes = [Route("/{name:path}", card)]
    part = Part("models", "Models", routes, lambda: {"models": models.to_list()})
    return part


def card_facts(spec: ModelSpec) -> dict[str, Any]:
    """Return what the card of a model shows, as texts."""
    return {
        "spec": spec,
        "measured": list(_measured(spec.metrics)),
        "thresholds": [_threshold(spec, task) for task in spec.tasks],
        "samples": [(name, f"{count:,}") for name, count in spec.samples.items()],
    }


def _measured(metrics: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield task, data, faces, accuracy, balanced accuracy and error in years, the tasks together."""
    rows = [(task, data, figures) for data, tasks in metrics.items() for task, figures in tasks.items()]
    for task, data, figures in sorted(rows, key=lambda row: row[0]):
        percentages = (_interval(figures, name, percent=True) for name in ("accuracy", "balanced_accuracy"))
        yield task, data, f"{figures.get('rows', '')}", *percentages, _interval(figures, "mae_years")


def _interval(figures: Mapping[str, Any], name: str, *, percent: bool = False) -> str:
    value, interval = figures.get(name), figures.get(f"{name}_95")
    if value is None:
        return ""
    if interval is None:
        return f"{100 * value:.1f}" if percent else f"{value:.2f}"
    return with_interval(value, *interval, percent=percent)


def _threshold(spec: ModelSpec, task: str) -> tuple[str, str, str, str]:
    """Return task, threshold, coverage and precision."""
    if task in spec.uncalibrated:
        return task, "not calibrated: always unknown", "", ""
    measured = spec.calibration.get(task, {}).get("measured", {})
    figures = (f"{100 * measured[name]:.1f}" if name in measured else "" for name in ("coverage", "precision"))
    coverage, precision = figures
    return task, f"{100 * spec.thresholds[task]:.0f}", coverage, precision
