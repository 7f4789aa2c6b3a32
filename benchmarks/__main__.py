"""`python -m benchmarks acquisition | learning-curves | loop | pretraining`: measure and print.

The exit status of each: 0 done, 1 it failed or was ended early, 2 wrong usage.
"""

from __future__ import annotations

import importlib
import sys

from backend.errors import AlfaMixError, SettingsError

# Each has a `main(argv) -> int` of its own; imported when it is asked for.
COMMANDS = {
    "acquisition": ("benchmarks.acquisition", "how fast the strategies choose"),
    "heads": ("benchmarks.heads", "what a kind of head is worth at equal labels"),
    "learning-curves": ("benchmarks.learning_curves", "accuracy per label on real data"),
    "loop": ("benchmarks.loop", "who waits how long on a running Label Studio"),
    "many": ("benchmarks.many", "how soon very many tasks have a queue"),
    "pages": ("benchmarks.pages", "how soon the admin's pages come, with very many tasks"),
    "people": ("benchmarks.people", "who is turned away, and who is served outside the queue"),
    "pictures": ("benchmarks.pictures", "the README's pictures, of a demo that is running"),
    "pretraining": ("benchmarks.pretraining", "what the shipped ViT knows without labels"),
    "references": ("benchmarks.references", "whether ours pick what others' code picks"),
    "stop-advice": ("benchmarks.stop_advice", "whether it is said in time that labels hardly pay"),
    "soak": ("benchmarks.soak", "what is lost, doubled or stuck when things go wrong"),
    "timed-replay": ("benchmarks.timed_replay", "what labels are worth while others compute"),
}


def main(argv: list[str]) -> int:
    """The exit status of the command that the first argument names."""
    if argv[:1] in (["-h"], ["--help"]):
        print(_usage())
        return 0
    if not argv or argv[0] not in COMMANDS:
        print(_usage(), file=sys.stderr)
        return 2
    name, *rest = argv
    try:
        return importlib.import_module(COMMANDS[name][0]).main(rest)
    except AlfaMixError as error:
        print(f"python -m benchmarks {name}: {error}", file=sys.stderr)
        return 2 if isinstance(error, SettingsError) else 1
    except KeyboardInterrupt:
        print(f"python -m benchmarks {name}: ended before it was done", file=sys.stderr)
        return 1


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {help}" for name, (_module, help) in COMMANDS.items()]
    return "\n".join(
        ["usage: python -m benchmarks COMMAND ...  (COMMAND --help tells more)", *lines]
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
