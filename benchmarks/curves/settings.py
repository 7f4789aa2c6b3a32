"""What is compared on what: one entry a setting.

Labels a round are given per class of the data, as the paper's budgets are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from backend.acquisition import strategy_names
from backend.vision import ADAM
from backend.vision.heads import AUTO
from benchmarks.curves.data import Data

LABEL_FREE = ("maxherding", "kmeans-centers", "typiclust", "probcover", "random")
# They take as long as all others together.
SLOW = ("gcnal", "alfa-mix-learned")
HEAD_SUFFIX = ", head {}"
BY_ADAM = HEAD_SUFFIX.format(ADAM)
INITIALIZATIONS = ("random", "continued", "pretrained")


@dataclass(frozen=True)
class Setting:
    """One data set, network and budget.

    network: `mlp`, `resnet18`, `densenet121`, or a ViT's `head`, `blocks:n`, `full`.
    initialization: of the first round's network, or of every round's: `random` and `pretrained`
        start anew in each; `continued` goes on from the last round's.
    per_class: labels a round, per class.
    pool, test: so many examples are drawn for each seed; None for all.
    backbone: of a ViT: `bundled`, or the name that --weights gives the file of.
    is_cold: nothing is labeled before the first choice, which is all that is compared.
    head: how heads are fitted: as ALFAMIX_HEAD; `adam` leaves them as the network's training does,
        as the paper's are.
    skew: how many times as large the pool's largest class is as its smallest; the test stays as
        balanced as it is.
    foreign: so many of the data's classes are none that is asked for: people skip their images.
        Which classes are rare or foreign, each seed draws anew.
    """

    name: str
    data: str
    network: str
    initialization: str
    per_class: int
    rounds: int = 8
    seeds: int = 10
    pool: int | None = None
    test: int | None = None
    backbone: str = "bundled"
    image_px: int | None = None
    is_cold: bool = False
    head: str = AUTO
    skew: float = 1.0
    foreign: int = 0

    @property
    def is_skewed(self) -> bool:
        """Whether some classes are rare."""
        return self.skew > 1

    @property
    def is_plain(self) -> bool:
        """Whether the pool is as the data is."""
        return not self.is_skewed and not self.foreign

    @property
    def is_slow(self) -> bool:
        """Whether a run takes minutes: its network trains whole, on images."""
        return self.network in ("full", "resnet18", "densenet121")

    def num_classes(self, data: Data) -> int:
        """Classes that are asked for."""
        return len(data.classes) - self.foreign

    @property
    def is_vit(self) -> bool:
        """Whether the network is the backend's own."""
        return self.network.startswith(("head", "blocks", "full"))

    def with_head(self, head: str) -> Setting:
        """The same with another head: another setting, whose rows are found by its name."""
        suffix = "" if head == self.head else HEAD_SUFFIX.format(head)
        return replace(self, name=self.name + suffix, head=head)

    @property
    def strategies(self) -> tuple[str, ...]:
        """What is compared: the registry, or what of it needs no labels."""
        return LABEL_FREE if self.is_cold else strategy_names()


def _budgets(prefix: str, *per_class: int, **fields: object) -> tuple[Setting, ...]:
    return tuple(
        Setting(f"{prefix}, {count} a class", per_class=count, **fields) for count in per_class
    )


_VIT_S = {
    "data": "cifar10",
    "network": "head",
    "initialization": "pretrained",
    "backbone": "vit_small_patch14_dinov2",
    "image_px": 112,
    "pool": 2000,
    "test": 1000,
}
_FASHION = {"data": "fashion-mnist", "network": "head", "initialization": "pretrained"}
_FASHION |= {"pool": 2000, "test": 2000}
# Networks that train whole on every round's images take long.
_FASHION_WHOLE = {"data": "fashion-mnist", "per_class": 1, "seeds": 5, "pool": 600, "test": 600}

EVIDENCE: tuple[Setting, ...] = (
    *_budgets("CIFAR-10, ViT-S head", 1, 5, seeds=10, **_VIT_S),
    *_budgets("Fashion-MNIST, bundled ViT head", 1, 5, 10, seeds=10, **_FASHION),
    *_budgets(
        "digits, bundled ViT head", 1, 5, data="digits", network="head", initialization="pretrained"
    ),
    *_budgets("digits, MLP", 1, 5, 10, data="digits", network="mlp", initialization="random"),
    Setting("digits, MLP continued, 5 a class", "digits", "mlp", "continued", 5),
    *_budgets("Fashion-MNIST, MLP", 5, **_FASHION | {"network": "mlp", "initialization": "random"}),
    Setting("breast cancer, MLP, 5 a class", "breast-cancer", "mlp", "random", 5),
    *_budgets("CIFAR-10, ViT-S head", 10, seeds=10, **_VIT_S),
    Setting(
        "Fashion-MNIST, bundled ViT blocks:2, 1 a class",
        network="blocks:2",
        initialization="pretrained",
        **_FASHION_WHOLE | {"seeds": 10},
    ),
    Setting(
        "CIFAR-10, ViT-S head, long-tailed 1:50, 5 a class",
        **_VIT_S | {"pool": 1500},
        per_class=5,
        skew=50,
    ),
    Setting(
        "Fashion-MNIST, bundled ViT head, long-tailed 1:50, 5 a class",
        **_FASHION,
        per_class=5,
        skew=50,
    ),
    Setting("CIFAR-10, ViT-S head, 30 % of no class, 5 a class", **_VIT_S, per_class=5, foreign=3),
    Setting(
        "Fashion-MNIST, bundled ViT head, 30 % of no class, 5 a class",
        **_FASHION,
        per_class=5,
        foreign=3,
    ),
    Setting(
        "Fashion-MNIST, bundled ViT head, pool of 20,000, 5 a class",
        **_FASHION | {"pool": 20_000},
        per_class=5,
    ),
    Setting(
        "Fashion-MNIST, MLP, pool of 10,000, 5 a class",
        **_FASHION | {"network": "mlp", "initialization": "random", "pool": 10_000},
        per_class=5,
    ),
    Setting(
        "Fashion-MNIST, bundled ViT full, 1 a class",
        network="full",
        initialization="pretrained",
        **_FASHION_WHOLE,
    ),
    Setting(
        "Fashion-MNIST, ResNet-18, 1 a class",
        network="resnet18",
        initialization="random",
        **_FASHION_WHOLE,
    ),
    Setting(
        "Fashion-MNIST, DenseNet-121, 1 a class",
        network="densenet121",
        initialization="random",
        **_FASHION_WHOLE,
    ),
)

# The first batch alone: what `ALFAMIX_COLD_START` decides.
COLD: tuple[Setting, ...] = tuple(
    setting
    for prefix, fields in (
        ("CIFAR-10, ViT-S head", _VIT_S),
        ("Fashion-MNIST, bundled ViT head", _FASHION),
        ("digits, bundled ViT head", _FASHION | {"data": "digits", "pool": None, "test": None}),
    )
    for setting in _budgets(
        f"first batch: {prefix}", 1, 5, 10, rounds=1, seeds=10, is_cold=True, **fields
    )
)

ALL: tuple[Setting, ...] = (*COLD, *EVIDENCE)
