import ast
from pathlib import Path

import numpy as np
import pytest

from facial_attributes_ros.attributes import Detection, Distribution

ROOT = Path(__file__).resolve().parent.parent
ARRAYS = ("NDArray", "Tensor", "Detection", "Distribution", "FaceAttributes")


def dataclasses_with_arrays():
    for path in (file for folder in ("facial_attributes_ros", "training") for file in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                fields = [ast.unparse(item.annotation) for item in node.body if isinstance(item, ast.AnnAssign)]
                decorators = [ast.unparse(item) for item in node.decorator_list]
                if any(name in field for name in ARRAYS for field in fields) and "dataclass" in str(decorators):
                    yield f"{path.relative_to(ROOT)}: {node.name}", decorators


@pytest.mark.parametrize("make", [
    lambda: Detection(np.ones(4, np.float32), 0.9),
    lambda: Distribution("gender", np.array([0.4, 0.6], np.float32)),
])  # fmt: skip
def test_results_can_be_compared_and_put_into_a_set(make):
    one, other = make(), make()
    assert one == one
    assert one != other
    assert one in [other, one]
    assert len({one, other, one}) == 2


def test_no_dataclass_compares_arrays_which_python_cannot():
    found = dict(dataclasses_with_arrays())
    assert len(found) > 10
    assert not [name for name, decorators in found.items() if "eq=False" not in str(decorators)]
