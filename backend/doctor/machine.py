"""The machine that the backend runs on: settings, disk, memory, processor, weights, worker."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import torch

from backend.acquisition import Rule
from backend.doctor.findings import Finding, checked, fail, note, ok
from backend.errors import AlfaMixError, StoreError
from backend.process.exposure import exposure
from backend.process.startup import open_journal, open_session
from backend.process.worker_lock import WorkerLock
from backend.settings import Settings
from backend.vision import REMEDIES, hub_address

GIB = 2**30
# Embeddings and checkpoints of 100,000 images take about as much.
ENOUGH_DISK_GIB = 5.0
# What the worker takes with a ViT-S while it fine-tunes.
ENOUGH_MEMORY_GIB = 3.0
HUB_S = 5.0
MEMORY = Path("/proc/meminfo")
# Of the container, where there is one: its limit, and what it has taken.
CGROUP_MEMORY = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current"))


def examine_machine(settings: Settings) -> Iterator[Finding]:
    """Findings about all that is needed before Label Studio is asked."""
    yield checked("settings", lambda: _describe_rule(settings))
    yield from _exposure(settings)
    yield checked("MODEL_DIR", lambda: _write_probe(settings.model_dir))
    yield from _disk(settings.model_dir)
    yield _memory()
    yield ok("processor", _describe_processor(settings))
    if settings.database_url:
        yield checked("journal", lambda: _open_shared_journal(settings))
    else:
        yield _worker(settings)
    yield _weights(settings)


def _describe_rule(settings: Settings) -> str:
    rule = Rule.of(settings)
    return f"every variable is known and in range; {rule.strategy} chooses, {rule.cold_start} first"


def _exposure(settings: Settings) -> Iterator[Finding]:
    found = exposure(settings)
    if found is not None:
        yield note("who may call", found)


def _write_probe(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder):
        return f"{folder.resolve()} can be written"


def _disk(folder: Path) -> Iterator[Finding]:
    try:
        free_gib = shutil.disk_usage(folder).free / GIB
    except OSError:  # MODEL_DIR's own finding says why
        return
    text = f"{free_gib:.1f} GiB are free in MODEL_DIR"
    if free_gib >= ENOUGH_DISK_GIB:
        yield ok("disk", text)
    else:
        remedy = (
            f"{ENOUGH_DISK_GIB:.0f} GiB last for 100,000 images; ALFAMIX_ACTIVATIONS_GIB=0 needs "
            "less of them and trains more slowly"
        )
        yield note("disk", text, remedy)


def _memory() -> Finding:
    free_gib = _free_memory() / GIB
    text = f"{free_gib:.1f} GiB are free"
    if free_gib >= ENOUGH_MEMORY_GIB:
        return ok("memory", text)
    return note(
        "memory",
        text,
        f"the worker takes about {ENOUGH_MEMORY_GIB:.0f} GiB with a ViT-S; give the container "
        "more, or set ALFAMIX_BACKBONE=bundled",
    )


def _free_memory() -> float:
    """Bytes of memory that can be had: the machine's, or what is left of the container's."""
    free = float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    try:
        for line in MEMORY.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                free = 1024 * float(line.split()[1])
        limit, used = (path.read_text().strip() for path in CGROUP_MEMORY)
    except OSError:
        return free
    return free if limit == "max" else min(free, float(limit) - float(used))


def _describe_processor(settings: Settings) -> str:
    threads = settings.threads or torch.get_num_threads()
    kind = torch.backends.cpu.get_cpu_capability()
    text = f"{os.cpu_count()} cores ({kind}), {threads} compute"
    if not torch.cuda.is_available():
        return f"{text}; no GPU"
    return f"{text}; {torch.cuda.get_device_name()}"


def _open_shared_journal(settings: Settings) -> str:
    with closing(open_journal(settings)) as journal:
        journal.upkeep.probe()
        return f"the database holds {journal.instance()}, and can be written"


def _worker(settings: Settings) -> Finding:
    try:
        WorkerLock(settings).close()
    except StoreError:
        return ok("worker", "it runs")
    return note("worker", "none runs in this MODEL_DIR", "start it: python -m backend serve")


def hub_trouble(settings: Settings) -> str:
    """Why the weights, still to come from the hub, cannot be had from there; "" where they can."""
    hub = hub_address(settings.backbone, settings.backbone_weights)
    if hub is None:
        return ""
    try:
        httpx.head(hub, timeout=HUB_S, follow_redirects=True)
    except (httpx.HTTPError, OSError) as error:
        return (
            f"the weights of {settings.backbone} are not here, and {hub} does not answer "
            f"({type(error).__name__})"
        )
    return ""


def _weights(settings: Settings) -> Finding:
    """Loads the network; where its weights are still to come from the hub, asks that first."""
    trouble = hub_trouble(settings)
    if trouble:
        return fail("weights", trouble, REMEDIES)
    try:
        session = open_session(settings)
    except AlfaMixError as error:
        return fail("weights", str(error))
    return ok(
        "weights",
        f"{settings.backbone} at {session.image_px} px gives embeddings of "
        f"{session.embedding_dim} numbers",
    )
