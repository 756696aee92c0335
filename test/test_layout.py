"""Which way imports run: the layout of the package, as CONTRIBUTING.md draws it, read from the source of every file."""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LIBRARY, TRAINING = "facial_attributes_ros", "facial_attributes_training"
SOURCES = {LIBRARY: ROOT / LIBRARY, TRAINING: ROOT / "training"}

FLOORS = {
    LIBRARY: (
        {"errors", "text"},
        {"attributes", "assets", "cache", "child_processes", "figures", "files", "privacy", "progress"},
        {"setting"},
        {"options"},
        {"imaging"},
        {"models"},
        {"detection", "engines", "fusion", "geometry", "tracking"},
        {"scheduler"},
        {"pipeline"},
        {"dialogue"},
        {"web"},
        {"ros"},
        {"bench"},
        {"cli"},
    ),
    TRAINING: (
        {"recipe"},
        {"data"},
        {"prepare"},
        {"fit", "measure"},
        {"labelling"},
        {"reports"},
    ),
}
"""From the ground up: a file imports from its own floor and from those below. A new file or folder is entered here."""

INTERFACES = ("detection", "engines", "models.backbones", "imaging.formats")
"""Folders with an interface in base.py, implementations beside it, and a load.py or build.py that chooses one."""


@cache
def modules() -> dict[str, Path]:
    found = {}
    for package, folder in SOURCES.items():
        for path in folder.rglob("*.py"):
            parts = path.relative_to(folder).with_suffix("").parts
            found[".".join((package, *parts)).removesuffix(".__init__")] = path
    return found


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


@cache
def all_imports(module: str) -> frozenset[str]:
    """Modules that a file imports, wherever the statement stands."""
    return frozenset(_imports(module, ast.walk(tree(module))))


@cache
def imports(module: str) -> frozenset[str]:
    """Modules of ours that a file imports."""
    return (all_imports(module) & modules().keys()) - {module}


def _imports(module: str, nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            for alias in node.names:
                deeper = f"{node.module}.{alias.name}"
                yield deeper if deeper in modules() else str(node.module)


def place(module: str) -> tuple[str, str]:
    """The package of a module, and the file or folder at its top that the module is in."""
    package, _, rest = module.partition(".")
    return package, rest.partition(".")[0]


def floor(module: str) -> int:
    package, top = place(module)
    return next((number for number, names in enumerate(FLOORS[package]) if top in names), -1)


def edges() -> list[tuple[str, str]]:
    return [(module, other) for module in sorted(modules()) for other in sorted(imports(module))]


def test_every_file_and_folder_has_its_floor():
    tops = {place(module) for module in modules()} - {(package, "") for package in SOURCES}
    entered = {(package, name) for package, floors in FLOORS.items() for names in floors for name in names}
    assert tops == entered


def test_imports_run_downwards():
    same = [pair for pair in edges() if pair[0].partition(".")[0] == pair[1].partition(".")[0]]
    assert not [pair for pair in same if floor(pair[0]) < floor(pair[1]) and place(pair[0])[1] and place(pair[1])[1]]


def test_no_files_import_each_other_not_even_in_a_circle():
    try:
        tuple(TopologicalSorter({module: imports(module) for module in modules()}).static_order())
    except CycleError as error:
        pytest.fail(f"these files import each other: {' -> '.join(error.args[1])}")


def test_the_library_imports_the_training_module_from_the_command_line_and_the_benchmarks_only():
    above = [pair for pair in edges() if pair[0].startswith(LIBRARY) and pair[1].startswith(TRAINING)]
    assert above
    assert {place(module)[1] for module, _ in above} <= {"cli", "bench"}


def test_the_training_module_is_imported_inside_functions():
    """The command answers at once, and the library works where training is not installed."""
    for module in modules():
        if module.startswith(LIBRARY):
            top = _imports(module, tree(module).body)
            assert not [name for name in top if name.startswith(TRAINING)], module


def test_only_the_nodes_and_their_benchmarks_import_ros():
    wanted = ("rclpy", "rcl_interfaces", "lifecycle_msgs", "sensor_msgs", "diagnostic_msgs", "hri_msgs")
    wanted += ("geometry_msgs", "tf2_msgs")
    found = {place(module) for module in modules() if any(name.split(".")[0] in wanted for name in all_imports(module))}
    assert found <= {(LIBRARY, "ros"), (LIBRARY, "bench")}


@pytest.mark.parametrize("folder", INTERFACES)
def test_an_interface_knows_nothing_of_its_implementations_and_they_nothing_of_the_choice(folder):
    package = f"{LIBRARY}.{folder}"
    chooser = next(name for name in (f"{package}.load", f"{package}.build") if name in modules())
    inside = [module for module in modules() if module.startswith(f"{package}.") and module != chooser]
    assert not [other for other in imports(f"{package}.base") if other.startswith(f"{package}.")]
    assert not [module for module in inside if chooser in imports(module)]


def test_the_library_takes_nothing_that_python_310_lacks():
    """Running works from Python 3.10 on: ROS 2 Humble has it."""
    newer = {"Self", "Never", "assert_never", "LiteralString", "Required", "NotRequired", "Unpack", "override", "UTC"}
    for module in (module for module in modules() if module.startswith(LIBRARY)):
        for node in ast.walk(tree(module)):
            if isinstance(node, ast.ImportFrom) and node.module in ("typing", "datetime", "enum"):
                assert not newer & {alias.name for alias in node.names}, module
            assert not isinstance(node, ast.Import) or "tomllib" not in {alias.name for alias in node.names}, module


def test_the_reader_of_imports_sees_them():
    """What the other tests rest on."""
    assert f"{LIBRARY}.scheduler" in imports(f"{LIBRARY}.pipeline")
    assert f"{LIBRARY}.files" in imports(f"{TRAINING}.fit.run_folder")
    assert len(edges()) > 500
