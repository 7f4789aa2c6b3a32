"""`python -m benchmarks pages`: milliseconds until the server has a page, from a large journal, and
until Chromium has painted it.

No Label Studio and no network: what the web process itself needs, and what the browser adds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from flask import Flask
from werkzeug.serving import make_server

from backend.harness.chromium import chromium
from backend.process.startup import folder_of, open_journal
from backend.settings import Settings
from backend.web.app import create_app
from backend.web.predictor import Predictor
from model_store import phases
from model_store.audits import Draw
from model_store.embeddings import EmbeddingStore
from model_store.journal import Journal, QueuedTask, RoundState
from model_store.maps import PoolMap, write_map
from model_store.project_folder import ProjectFolder
from model_store.rankings import Ranking, write_ranking
from model_store.task_mirror import MirroredTask

KEY = "1.1700000000"
BATCH = 1000
MAP_POINTS = 5000
DRAWS = 10_000
DRAWS_A_ROUND = 100
TIMES, PAINTS = 20, 10
BROWSER = {"Accept": "text/html"}
PATHS = (
    *("/", "/projects/1", "/projects/1/progress", "/projects/1/map", "/projects/1/alike/1"),
    "/projects/1/quality",
)
# The last one is not there: a page with next to nothing on it.
PAINTED = ("/", "/projects/1", "/projects/2")
PAINT = """() => new Promise(found => new PerformanceObserver(
    list => found(list.getEntriesByName("first-contentful-paint")[0].startTime)
).observe({type: "paint", buffered: true}))"""
LOADED = """() => [...document.querySelectorAll("[data-loads], [data-findings]")].every(
    place => !place.innerText.trim().endsWith("…"))"""
VERSION, DIM, PART_ROWS = "vit", 384, 1024


def main(argv: list[str]) -> int:
    """Print the table; 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks pages", description=__doc__)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--classes", type=int, default=100)
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        app = _app(Path(folder), arguments.tasks, arguments.classes)
        client = app.test_client()
        print(f"{arguments.tasks:,} tasks, {arguments.classes} classes, {DRAWS:,} draws; ms")
        print(f"{'':24}{'first':>8}{'median':>8}")
        for path in PATHS:
            times = [_ms(lambda path=path: client.get(path, headers=BROWSER)) for _ in range(TIMES)]
            print(f"{path:24}{times[0]:8.0f}{statistics.median(times):8.0f}")
        binary = chromium()
        if binary is None:
            print("\nno Chromium here: what it paints is not measured")
        else:
            _print_paints(app, binary)
    return 0


def _print_paints(app: Flask, binary: str) -> None:
    """What a browser shows first, in new tabs without anything kept."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"\n{'first paint in Chromium':24}{'least':>8}{'median':>8}")
    try:
        for path in PAINTED:
            times = _paints_ms(f"http://127.0.0.1:{server.server_port}{path}", binary)
            print(f"{path:24}{min(times):8.0f}{statistics.median(times):8.0f}")
    finally:
        server.shutdown()


def _paints_ms(url: str, binary: str) -> list[float]:
    # It comes with the requirements of development alone.
    from playwright.sync_api import sync_playwright

    found = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=["--no-sandbox"])
        for _ in range(PAINTS):
            page = browser.new_context().new_page()
            page.goto(url)
            found.append(float(page.evaluate(PAINT)))
            # What a page loads afterwards would slow the next one: the doctor takes seconds.
            page.wait_for_function(LOADED)
            page.context.close()
        browser.close()
    return found


def _ms(ask: Callable[[], Any]) -> float:
    started = time.perf_counter()
    assert ask().status_code == 200
    return 1000 * (time.perf_counter() - started)


def _app(model_dir: Path, tasks: int, num_classes: int) -> Flask:
    settings = Settings(model_dir=model_dir)
    journal = open_journal(settings)
    _fill(journal, ProjectFolder(folder_of(settings) / KEY), tasks, num_classes)

    def no_network() -> Any:
        raise AssertionError("the network is not needed here")

    return create_app(settings, journal, Predictor(settings, journal, no_network))


def _fill(journal: Journal, folder: ProjectFolder, tasks: int, num_classes: int) -> None:
    generator = np.random.default_rng(0)
    classes = [f"class {number:03}" for number in range(num_classes)]
    labeled = tasks // 10
    journal.note_changed(KEY)
    journal.update_project(
        KEY,
        **{"title": "Many", "connected": True, "row_id": 1, "phase": phases.ANNOTATE},
        labeled=labeled,
        pool=tasks - labeled,
    )
    journal.tasks.put(KEY, [_task(number, labeled, classes) for number in range(1, tasks + 1)])
    rounds = max(1, min(DRAWS, labeled) // DRAWS_A_ROUND)
    state = _round(rounds - 1, classes, labeled, tasks - labeled)
    journal.open_round(state)
    pool = generator.permutation(np.arange(labeled + 1, tasks + 1))
    queue = [
        QueuedTask(rank, int(task_id), rank, rank / BATCH, False, classes[0], 0.5)
        for rank, task_id in enumerate(pool[:BATCH])
    ]
    journal.add_to_queue(state, queue)
    for number in range(rounds):
        drawn = range(number * DRAWS_A_ROUND + 1, (number + 1) * DRAWS_A_ROUND + 1)
        journal.audits.note(KEY, number, _draws(drawn, classes, generator))
    labels = generator.integers(0, num_classes, len(pool)).astype(np.int32)
    epsilons = generator.random(len(pool)).astype(np.float32)
    write_ranking(
        folder.ranking_file(state.number),
        Ranking(pool, np.arange(len(pool)), labels, epsilons, epsilons, epsilons < 0.2, labels),
    )
    shown = generator.permutation(np.arange(1, tasks + 1))[:MAP_POINTS]
    points = generator.random((len(shown), 2)).astype(np.float32)
    write_map(folder.map_file(state.number), PoolMap(shown, points, 0, "pca"))
    store = EmbeddingStore(folder.embeddings)
    for start in range(1, tasks + 1, PART_ROWS):
        keys = [f"{number:032x}" for number in range(start, min(start + PART_ROWS, tasks + 1))]
        store.write_part(VERSION, keys, generator.standard_normal((len(keys), DIM)))


def _task(number: int, labeled: int, classes: list[str]) -> MirroredTask:
    name = classes[number % len(classes)] if number <= labeled else None
    uri, key = f"/data/upload/{number}.png", f"{number:032x}"
    return MirroredTask(number, uri, None, key, name, name is not None, False, None, None)


def _draws(ids: range, classes: list[str], generator: np.random.Generator) -> list[Draw]:
    given = generator.dirichlet(np.full(len(classes), 0.1), size=len(ids)).round(6).tolist()
    return [
        Draw(task_id, ids.stop, 0.01, dict(zip(classes, row, strict=True)))
        for task_id, row in zip(ids, given, strict=True)
    ]


def _round(number: int, classes: list[str], labeled: int, pool: int) -> RoundState:
    return RoundState(
        key=KEY,
        number=number,
        phase=phases.DONE,
        strategy="auto",
        settings={"seed": "0"},
        classes=classes,
        n_labeled=labeled,
        n_pool=pool,
        model_version=f"alfa-mix r{number}",
        checkpoint=None,
        features_version=VERSION,
        statistics={"reason": "labels"},
        seconds={"select": 1.0},
        started_at=1.0,
        finished_at=2.0,
    )
