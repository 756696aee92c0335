"""What training needs to be installed: it also runs where only the common packages are."""

import subprocess
import sys

ABSENT = (
    "open_clip",
    "insightface",
    "rclpy",
    "sensor_msgs",
    "rosbags",
    "onnxscript",
    "starlette",
    "uvicorn",
    "skimage",
    "torchmetrics",
)


def test_training_starts_without_what_only_other_parts_need() -> None:
    script = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {ABSENT!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "import facial_attributes_training.fit.run, facial_attributes_training.reports.progress\n"
        "import facial_attributes_training.recipe.file\n"
        "from facial_attributes_ros.models.backbones.build import build_backbone\n"
        "build_backbone('dinov2-vits14', None, 112)\n"
        f"print([name for name in {ABSENT!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "[]"
