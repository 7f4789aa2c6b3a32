"""Publishing that fails half way, on a running Label Studio behind a proxy that fails."""

from __future__ import annotations

import pytest

from backend.errors import LabelStudioError
from backend.harness.proxy import Failure, Proxy, every
from tests.loop.conftest import predictions_of

pytestmark = pytest.mark.label_studio


def reconciled(inline, project_id, worker):
    """How often the worker's work failed before it was done, and the status then."""
    for failed in range(30):
        try:
            return failed, inline.reconcile(project_id, worker)
        except LabelStudioError:
            continue
    return pytest.fail("it failed 30 times")


@pytest.mark.parametrize(
    "failure",
    [
        Failure.STORED,
        *(pytest.param(one, marks=pytest.mark.soak) for one in Failure if one != Failure.STORED),
    ],
)
def test_the_rest_follows_once_when_every_second_prediction_fails(
    label_studio, inline, connected_project, failure
):
    project_id, task_ids = connected_project(30)
    with Proxy(label_studio.url) as proxy:
        proxy.fails = every(2, "/api/predictions/", failure)
        worker = inline.worker_with(label_studio_url=proxy.url)
        failed, status = reconciled(inline, project_id, worker)
    assert failed >= 3
    queued = status["batch"] + status["reserve"]
    published = predictions_of(label_studio, project_id)
    assert {prediction["model_version"] for prediction in published} == {status["model_version"]}
    assert sorted(prediction["task"] for prediction in published) == sorted(queued)
    assert set(queued) <= set(task_ids)
