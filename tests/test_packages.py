"""The doors of the packages: what they offer, that it is documented, and that looking in costs nothing."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("fast_gen", "segmentation", "wavenet_app")


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_offers_what_it_lists_and_documents(name):
    package = importlib.import_module(name)
    api = importlib.import_module(f"{name}.api")
    assert package.__all__ == sorted(package.__all__)
    for member in package.__all__:
        assert getattr(package, member) is not None
    own = {key for key, value in vars(api).items() if getattr(value, "__module__", None) == api.__name__}
    assert {member for member in own if not member.startswith("_")} == set(package.__all__) - {"__version__"}
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = package.nothing


def test_the_readme_uses_only_what_the_packages_offer():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    used = set(re.findall(r"\b(fast_gen|segmentation|wavenet_app)\.([a-z]\w*)\(", text))
    assert used == {("fast_gen", "load"), ("segmentation", "load"), ("wavenet_app", "train")}
    for package, member in used:
        assert member in importlib.import_module(package).__all__


@pytest.mark.parametrize("name", PACKAGES)
def test_importing_a_package_imports_nothing_heavy(name):
    code = f"import sys, {name}; print(sorted({{'torch', 'numpy', 'numba', 'lightning', 'rich'}} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_wavegen_runs_as_a_module_and_says_its_version():
    from wavenet_app import __version__

    command = [sys.executable, "-m", "wavenet_app", "--version"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert re.fullmatch(rf"wavegen {re.escape(__version__)}( \([0-9a-f]{{12}}\))?\n", found.stdout)


@pytest.mark.parametrize("arguments", [[], ["info", "voc"], ["get", "voc", "--dry-run"]])
def test_looking_at_the_data_sets_imports_nothing_heavy(arguments, tmp_path):
    code = (
        "import sys, cli; sys.argv[0] = 'wavegen'; cli.app(standalone_mode=False); "
        "print(sorted({'torch', 'torchaudio', 'numpy', 'urllib3', 'PIL'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, "data", *arguments, "--data-dir", str(tmp_path)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "[]"
