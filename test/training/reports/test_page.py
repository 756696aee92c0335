"""Reports as one file."""

import base64
from pathlib import Path

from facial_attributes_training.reports.page import self_contained

PNG = b"\x89PNG picture"


def test_images_are_inside_and_tables_are_tables(tmp_path: Path) -> None:
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "a.png").write_bytes(PNG)
    page = self_contained("# Title\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n![A plot](plots/a.png)\n", tmp_path)
    assert "<title>Title</title>" in page
    assert "<td>2</td>" in page
    assert f'src="data:image/png;base64,{base64.b64encode(PNG).decode()}"' in page


def test_names_out_of_peoples_files_are_text(tmp_path: Path) -> None:
    page = self_contained("# <b>x</b>\n\n<script>alert(1)</script>\n\n![x](gone.png)\n", tmp_path)
    assert "<script>" not in page
    assert "<b>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert 'src="gone.png"' in page
