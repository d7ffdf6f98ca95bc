"""Names from files never lead out of their folder."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmentation.config import SegmentationConfig
from wavenet_app.config import RunConfig
from wavenet_app.core.checkpoint import export_name
from wavenet_app.core.errors import UserError
from wavenet_app.core.names import as_name, name_problem
from wavenet_app.core.settings import override

BAD = [
    "../../x",
    "/etc/x",
    "a/b",
    "a\\b",
    "..",
    ".",
    "",
    " ",
    ".hidden",
    "-rf",
    "a\x00b",
    "a\nb",
    "a\x1b[31m",
    "a" * 101,
]


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("config", [RunConfig(), SegmentationConfig()])
def test_a_name_that_is_no_file_name_is_refused_by_both_configs_and_by_export(config, name):
    with pytest.raises(UserError, match=r"^name = .* must ") as error:
        override(config, {"name": name})
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match=r"^--name .* must "):
        export_name(name)


@pytest.mark.parametrize("name", ["speech", "speech-2", "été", "my run (3)", "a.b", "x" * 100])
def test_ordinary_names_are_taken(name):
    assert override(RunConfig(), {"name": name}).name == export_name(name) == name


@given(st.text())
def test_any_text_becomes_a_name(text):
    name = as_name(text)
    assert name_problem(name) is None
    assert Path("runs", name).parent == Path("runs")
    if name_problem(text) is None and text[0].isalnum() and len(text.encode()) < 90:
        assert name == text
