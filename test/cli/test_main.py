"""The command as a whole: every mistake is one sentence and exit code 2, a missing package included."""

import re
from pathlib import Path

import pytest
import tomllib

from facial_attributes_ros.cli import info, train
from facial_attributes_ros.cli.common import EXTRAS
from facial_attributes_ros.cli.main import main

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
MODULES = {"open_clip_torch": "open_clip", "scikit_image": "skimage"}
"""Of packages whose module has another name."""


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "The following arguments are required: SUBCOMMAND; see facial-attributes --help."),
        (["dance"], "Invalid choice: 'dance'"),
        (["predict"], "The following arguments are required: PATH; see facial-attributes predict --help."),
        (["predict", "a.jpg", "--fast"], "Unrecognized arguments: --fast"),
        (["bench", "--rate", "nan"], "--rate must be a number above 0, not nan; see facial-attributes bench --help."),
        (["bench", "--faces", "1,x"], "--faces must be a whole number from 1 on, not x"),
        (["bench", "--samples", "0"], "must be a whole number from 1 on, not 0"),
        (["info", "--rank", "1.5"], "--rank must be a whole number from 1 on, not 1.5"),
        (["train", "r.yaml", "--minutes", "0"], "--minutes must be a number above 0, not 0"),
        (["export", "--format", "tflite"], "--format: invalid choice: 'tflite'"),
    ],
)
def test_a_wrong_argument_is_one_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("facial-attributes: ")
    assert err.count("\n") == 1
    assert sentence.casefold() in err.casefold()


@pytest.mark.parametrize(
    ("module", "arguments", "package", "sentence"),
    [
        (info, ["info"], "torch", "info needs torch, which is not installed: pip install '.[torch]'."),
        (train, ["train", "r.yaml"], "torch.nn", "train needs torch, which is not installed: pip install '.[train]'."),
        (
            train,
            ["train", "r.yaml"],
            "pydantic",
            "train needs pydantic, which is not installed: pip install '.[train]'.",
        ),
    ],
)
def test_a_missing_package_is_a_sentence_with_the_extra_that_brings_it(
    module: object,
    arguments: list[str],
    package: str,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(_args: object) -> int:
        raise ModuleNotFoundError(name=package)

    monkeypatch.setattr(module, "run", run)
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"facial-attributes: {sentence}\n"


def test_a_module_that_no_extra_brings_is_a_fault_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_args: object) -> int:
        raise ModuleNotFoundError(name="facial_attributes_ros.nothing")

    monkeypatch.setattr(info, "run", run)
    with pytest.raises(ModuleNotFoundError):
        main(["info"])


def test_the_extras_are_those_of_the_package() -> None:
    extras = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    for extra, modules in EXTRAS.items():
        names = [re.split(r"[\[><=; ]", package)[0].replace("-", "_") for package in extras[extra]]
        assert {MODULES.get(name, name) for name in names} - {"facial_attributes_ros"} == set(modules)
