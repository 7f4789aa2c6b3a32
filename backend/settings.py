"""Every setting of the backend, read from the environment once and validated at start.

One field per setting; its metadata holds the variable's name, the text of the README's table and
the function that turns the text of the environment into a value.
"""

from __future__ import annotations

import difflib
import importlib
import ipaddress
import logging
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from backend.errors import SettingsError

PREFIX = "ALFAMIX_"
BUNDLED = "bundled"
# Settings of earlier releases: an environment that still has one goes on, with a word in the log.
RETIRED = {
    "ALFAMIX_IDLE_MINUTES": "a round is due by labels now (ALFAMIX_LOOKAHEAD), whoever holds a task"
}
LABELS_A_CLASS = 10
# What the admin may set for one project alone, on its page.
OF_A_PROJECT = ("budget", "strategy", "audit", "preselect")
# The registry's names: it comes with torch, which whoever reads settings must not wait for.
STRATEGIES = (
    *("auto", "alfa-mix", "alfa-mix-exact", "alfa-mix-learned", "alfa-herding", "random"),
    *("entropy", "bald", "core-set", "deepfool", "gcnal", "badge", "cdal", "margin"),
    *("margin-kmeans", "least-confidence", "dropquery", "tcm", "uherding", "bait", "refine"),
    *("maxherding", "kmeans-centers", "typiclust", "probcover"),
)
# Labels of letters, digits and hyphens; the last one is not a number, as that of an address is.
HOST_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
HOST_NAME = re.compile(rf"({HOST_LABEL}\.)*(?![0-9]+$){HOST_LABEL}")
ADDRESS_LIKE = re.compile(r"[0-9.]+(/.*)?|.*:.*")
ANY_SUBDOMAIN = "*."
logger = logging.getLogger(__name__)


def _setting(variable: str, default: Any, parse: Callable[[str], Any], help: str) -> Any:
    return field(
        default=default,
        repr=not _is_secret(variable),
        metadata={"variable": variable, "parse": parse, "help": help},
    )


def _is_secret(variable: str) -> bool:
    return variable.endswith(("_KEY", "_PASS", "_DATABASE_URL"))


def _text(value: str) -> str:
    return value


def _strategy(value: str) -> str:
    if value not in STRATEGIES:
        raise ValueError(f"one of {', '.join(STRATEGIES)}")
    return value


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("a URL such as http://localhost:8080")
    return value.rstrip("/")


def _database_url(value: str) -> str:
    parts = urlsplit(value)
    is_postgresql = parts.scheme in ("postgresql", "postgresql+psycopg")
    if not is_postgresql or not parts.path.strip("/") or value.count("@") > 1:
        raise ValueError(
            "a URL such as postgresql+psycopg://user:password@host/database, with %40 for an @ in "
            "the password"
        )
    try:
        importlib.import_module("psycopg")
    except ImportError as error:
        raise ValueError(f"the driver as well: pip install 'psycopg[binary]' ({error})") from error
    return value


def _file(value: str) -> Path:
    path = Path(value).expanduser()
    if not path.is_file():
        raise ValueError("the path of a file that exists")
    return path


def _folder(value: str) -> Path:
    return Path(value).expanduser()


def _image_hosts(value: str) -> tuple[str, ...]:
    """Host names, `*.domain`, addresses and networks, in the form they are compared in."""
    entries = (entry.strip() for entry in value.split(","))
    return tuple(_image_host(entry) for entry in entries if entry)


def _image_host(entry: str) -> str:
    try:
        if ADDRESS_LIKE.fullmatch(entry):
            return str(ipaddress.ip_network(entry))
        name = entry.removeprefix(ANY_SUBDOMAIN).rstrip(".").encode("idna").decode().lower()
    except ValueError:
        name = ""
    if not HOST_NAME.fullmatch(name):
        raise ValueError(
            "host names (images.example.com), *.example.com for all names below one, addresses and "
            f"networks (192.168.1.20, 10.0.0.0/8), separated by commas; {entry!r} is none of them"
        )
    return ANY_SUBDOMAIN + name if entry.startswith(ANY_SUBDOMAIN) else name


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not re.fullmatch(r"[+-]?\d+", value) or not low <= int(value) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(value)

    return parse


def _number(low: float, high: float) -> Callable[[str], float]:
    def parse(value: str) -> float:
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not low <= number <= high:
            raise ValueError(f"a number from {low:g} to {high:g}")
        return number

    return parse


def _switch(value: str) -> bool:
    if value.lower() not in ("on", "off"):
        raise ValueError("on or off")
    return value.lower() == "on"


def _pattern(pattern: str, needed: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(needed)
        return value

    return parse


@dataclass(frozen=True)
class Settings:
    """The validated settings."""

    label_studio_url: str = _setting(
        "LABEL_STUDIO_URL",
        "http://localhost:8080",
        _url,
        "The Label Studio that this backend works for, as the backend reaches it.",
    )
    label_studio_api_key: str = _setting(
        "LABEL_STUDIO_API_KEY",
        "",
        _text,
        "Legacy token or personal access token of a user who may edit the projects. Empty: the "
        "legacy token that Label Studio sends on connection, where the organization allows those.",
    )
    model_dir: Path = _setting(
        "MODEL_DIR",
        Path("data"),
        _folder,
        "Folder of everything that lasts: journal, checkpoints, embeddings.",
    )
    database_url: str = _setting(
        "ALFAMIX_DATABASE_URL",
        "",
        _database_url,
        "A PostgreSQL for the journal, where several machines share the work; empty: a SQLite file "
        "in `MODEL_DIR`.",
    )
    host: str = _setting("HOST", "0.0.0.0", _text, "Address that the backend listens on.")
    port: int = _setting("PORT", 9090, _whole(1, 65535), "Port that the backend listens on.")
    public_url: str = _setting(
        "ALFAMIX_PUBLIC_URL",
        "",
        _url,
        "The URL that was pasted into Label Studio. Empty: found out; needed where the backend "
        "cannot reach itself by it and a project has several ML backends, or where the pages are "
        "opened by another name with a dot (docs/pages.md).",
    )
    basic_auth_user: str = _setting(
        "BASIC_AUTH_USER", "", _text, "User that Label Studio must name; empty: no authentication."
    )
    basic_auth_pass: str = _setting(
        "BASIC_AUTH_PASS", "", _text, "Password that belongs to BASIC_AUTH_USER."
    )
    log_level: str = _setting(
        "LOG_LEVEL",
        "INFO",
        _pattern("DEBUG|INFO|WARNING|ERROR", "one of DEBUG, INFO, WARNING, ERROR"),
        "DEBUG, INFO, WARNING or ERROR.",
    )
    backbone: str = _setting(
        "ALFAMIX_BACKBONE",
        "vit_small_patch16_224.dino",
        _text,
        "timm name of the ViT, or `bundled` for the small one that ships.",
    )
    backbone_weights: Path | None = _setting(
        "ALFAMIX_BACKBONE_WEIGHTS",
        None,
        _file,
        "A .safetensors or .pth file with the weights, instead of the hub.",
    )
    image_px: int | None = _setting(
        "ALFAMIX_IMAGE_PX",
        None,
        _whole(8, 2048),
        "Side of the square input in pixels; empty: the weights' own. Position grids are "
        "resampled.",
    )
    feature_blocks: int = _setting(
        "ALFAMIX_FEATURE_BLOCKS",
        4,
        _whole(1, 64),
        "The embedding is the CLS tokens of this many last blocks, normalized and concatenated; "
        "SigLIP has none and pools its last block.",
    )
    finetune: str = _setting(
        "ALFAMIX_FINETUNE",
        "blocks:2",
        _pattern(r"head|full|blocks:[1-9]\d*", "head, full, or blocks:n such as blocks:2"),
        "What is trained: `head`, `blocks:n` (the last n blocks) or `full`.",
    )
    head: str = _setting(
        "ALFAMIX_HEAD",
        "auto",
        _pattern(
            "auto|lda|ridge|logistic|means|adam",
            "one of auto, lda, ridge, logistic, means, adam",
        ),
        "Linear head of a round: `lda`, `ridge`, `logistic`, `means`, or `adam` (the steps of "
        "fine-tuning); `auto` chooses by labels that a head was not fitted on.",
    )
    head_lr: float = _setting(
        "ALFAMIX_HEAD_LR",
        1e-3,
        _number(1e-8, 1.0),
        "Learning rate of the linear head where it is trained by steps (Adam).",
    )
    block_lr: float = _setting(
        "ALFAMIX_BLOCK_LR", 5e-5, _number(1e-9, 1.0), "Learning rate of the ViT's blocks (Adam)."
    )
    epochs: int = _setting(
        "ALFAMIX_EPOCHS",
        60,
        _whole(1, 10_000),
        "Most epochs a round trains; it stops sooner at 99 % training accuracy.",
    )
    budget: int | None = _setting(
        "ALFAMIX_BUDGET",
        None,
        _whole(1, 100_000),
        "Labels a round; empty: 10 per class, the paper's small budget.",
    )
    epsilon: float = _setting(
        "ALFAMIX_EPSILON",
        0.2,
        _number(1e-6, 1.0),
        "First cap on the mixing of ALFA-Mix; raised by as much again until the candidates are "
        "more than the budget.",
    )
    audit: float = _setting(
        "ALFAMIX_AUDIT",
        0.1,
        _number(0, 0.5),
        "Share of each batch that is drawn at random and labeled without a pre-selection, to "
        "measure the model honestly; 0: none.",
    )
    stop_gain: float = _setting(
        "ALFAMIX_STOP_GAIN",
        0.5,
        _number(0, 100),
        "Points of accuracy: where the next batch surely brings less, the advice is to stop.",
    )
    preselect: bool = _setting(
        "ALFAMIX_PRESELECT",
        True,
        _switch,
        "`on`: the predicted class is pre-selected for annotators; `off`: it is not.",
    )
    strategy: str = _setting(
        "ALFAMIX_STRATEGY",
        "auto",
        _strategy,
        "Acquisition strategy; `auto` is ALFA herding: coverage of the pool in which images that a "
        "small mix flips count most. `alfa-mix` is the paper's.",
    )
    cold_start: str = _setting(
        "ALFAMIX_COLD_START",
        "maxherding",
        _pattern(
            "maxherding|kmeans-centers|typiclust|probcover",
            "one of maxherding, kmeans-centers, typiclust, probcover",
        ),
        "Strategy until two classes have a label: `maxherding`, `kmeans-centers`, `typiclust` or "
        "`probcover`.",
    )
    seed: int = _setting("ALFAMIX_SEED", 0, _whole(0, 2**31 - 1), "Seed of every random choice.")
    device: str = _setting(
        "ALFAMIX_DEVICE",
        "auto",
        _pattern(r"auto|cpu|mps|cuda(:\d+)?", "auto, cpu, mps, cuda or cuda:N"),
        "`auto`, `cpu`, `mps`, `cuda` or `cuda:N`.",
    )
    threads: int | None = _setting(
        "ALFAMIX_THREADS",
        None,
        _whole(1, 1024),
        "Threads of the worker's matrix products; empty: one per core.",
    )
    image_hosts: tuple[str, ...] = _setting(
        "ALFAMIX_IMAGE_HOSTS",
        (),
        _image_hosts,
        "Where images may come from besides Label Studio and public addresses: host names, "
        "`*.domain`, addresses and networks, separated by commas.",
    )
    activations_gib: float = _setting(
        "ALFAMIX_ACTIVATIONS_GIB",
        20.0,
        _number(0, 1e6),
        "Most disk that a project's kept activations may take (they make `blocks:n` about five "
        "times faster).",
    )
    lookahead: float = _setting(
        "ALFAMIX_LOOKAHEAD",
        0.9,
        _number(0.01, 1.0),
        "Share of the budget that must be labeled since the last round before the next one begins.",
    )
    poll_s: float = _setting(
        "ALFAMIX_POLL_S",
        30.0,
        _number(0.1, 86_400),
        "Seconds after which a project is compared with Label Studio without an event.",
    )

    def __post_init__(self) -> None:
        if bool(self.basic_auth_user) != bool(self.basic_auth_pass):
            raise SettingsError("BASIC_AUTH_USER and BASIC_AUTH_PASS: set both or neither")
        if not _is_latin_1(self.basic_auth_user + self.basic_auth_pass):
            raise SettingsError(
                "BASIC_AUTH_USER or BASIC_AUTH_PASS holds a letter that Label Studio cannot send; "
                "needed are letters of Latin-1"
            )

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Settings of an environment (default: the process's); an empty variable counts as unset.

        SettingsError: an unknown ALFAMIX_ name, or a value that does not parse; says which.
        """
        environ = os.environ if environ is None else environ
        known = {setting.metadata["variable"]: setting for setting in fields(cls)}
        _refuse_unknown(environ, known)
        values = {
            setting.name: _parsed(variable, environ[variable], setting)
            for variable, setting in known.items()
            if environ.get(variable, "").strip()
        }
        return cls(**values)

    def labels_a_round(self, num_classes: int) -> int:
        """ALFAMIX_BUDGET, else 10 a class, the paper's small budget."""
        return self.budget or LABELS_A_CLASS * num_classes

    def of_project(self, own: Mapping[str, str]) -> Settings:
        """These settings with a project's own: texts by the names of fields in OF_A_PROJECT.

        SettingsError: a name that is not among them, or a value that does not parse.
        """
        known = {setting.name: setting for setting in fields(self) if setting.name in OF_A_PROJECT}
        for name in own:
            if name not in known:
                needed = ", ".join(OF_A_PROJECT)
                raise SettingsError(f"{name} is not a setting of a project; those are {needed}")
        return replace(
            self, **{name: _parsed(name, text, known[name]) for name, text in own.items()}
        )

    @classmethod
    def variable(cls, name: str) -> str:
        """The environment's name of a setting."""
        return next(one.metadata["variable"] for one in fields(cls) if one.name == name)

    @classmethod
    def markdown_table(cls) -> str:
        """The README's table: one row per setting, with its default."""
        rows = ["| variable | default | meaning |", "| --- | --- | --- |"]
        for setting in fields(cls):
            assert setting.default is not MISSING
            default = _shown_default(setting.default)
            meta = setting.metadata
            rows.append(f"| `{meta['variable']}` | {default} | {meta['help']} |")
        return "\n".join(rows)


def _shown_default(default: Any) -> str:
    if default in (None, "", ()):
        return ""
    return f"`{'on' if default is True else default}`"


def _is_latin_1(text: str) -> bool:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True


def _refuse_unknown(environ: Mapping[str, str], known: Mapping[str, Field]) -> None:
    for variable in environ:
        if variable in RETIRED:
            logger.warning("%s has no effect any more: %s", variable, RETIRED[variable])
        elif variable.startswith(PREFIX) and variable not in known:
            near = difflib.get_close_matches(variable, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise SettingsError(f"{variable} is not a setting{hint}")


def _parsed(variable: str, text: str, setting: Field) -> Any:
    try:
        return setting.metadata["parse"](text.strip())
    except ValueError as error:
        # A URL may hold a user and a password.
        shown = "a value" if _is_secret(variable) or "@" in text else repr(text)
        raise SettingsError(f"{variable} is {shown}; needed is {error}") from error
