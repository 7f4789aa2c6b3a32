"""The same backend with the SDK of HumanSignal's repository in place of PyPI's.

LABEL_STUDIO_ML_2X names a checkout of it: `make test LABEL_STUDIO_ML_2X=... ARGS=tests/sdk`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from backend.harness.backend_process import ROOT

CHECKOUT = os.environ.get("LABEL_STUDIO_ML_2X", "")
MODULES = (
    "tests/sdk/test_model.py",
    "tests/web/test_app.py",
    "tests/web/test_bad_requests.py",
    "tests/web/test_openapi.py",
    "tests/loop/test_rounds.py",
    "tests/loop/test_serve.py",
)

pytestmark = pytest.mark.skipif(
    not CHECKOUT, reason="LABEL_STUDIO_ML_2X names no checkout of label-studio-ml 2.x"
)


def run_with_checkout(*arguments: str, cwd: Path = ROOT) -> str:
    """What Python says, with the checkout before the installed SDK."""
    python_path = os.pathsep.join([str(Path(CHECKOUT).resolve()), str(ROOT)])
    env = {**os.environ, "PYTHONPATH": python_path}
    env.pop("MODEL_DIR", None)
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    return done.stdout + done.stderr


def test_sdk_is_the_checkout_and_writes_nothing_where_it_is_imported(tmp_path):
    code = "import label_studio_ml, backend.sdk.model as m; print(label_studio_ml.__file__)"
    said = run_with_checkout("-c", code, cwd=tmp_path)
    assert Path(CHECKOUT).resolve() in Path(said.splitlines()[-1]).parents
    assert list(tmp_path.iterdir()) == []


def test_model_of_the_checkout_neither_warns_nor_keeps_anything(tmp_path):
    code = (
        "from backend.process.logs import start_logging; start_logging('INFO')\n"
        "from backend.sdk.model import AlfaMixModel\n"
        "from types import SimpleNamespace as S\n"
        "model = AlfaMixModel.bound_to(S(version=lambda project: project))(project_id='7.1')\n"
        "assert model.get('model_version') == '7.1'\n"
    )
    assert run_with_checkout("-c", code, cwd=tmp_path) == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("module", MODULES)
def test_backend_works_when_the_sdk_is_the_checkout(module):
    assert "passed" in run_with_checkout("-m", "pytest", "-p", "no:cacheprovider", module, "-rN")
