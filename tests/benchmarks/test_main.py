"""Which benchmarks there are, and what their exit status tells."""

from __future__ import annotations

import importlib
import inspect
from types import SimpleNamespace

import pytest

from backend.errors import DemoError, SettingsError
from benchmarks import __main__ as dispatcher


@pytest.mark.parametrize("name", dispatcher.COMMANDS)
def test_command_has_a_main_and_a_line_of_help(name: str) -> None:
    module, help_line = dispatcher.COMMANDS[name]

    assert list(inspect.signature(importlib.import_module(module).main).parameters) == ["argv"]
    assert help_line
    assert "\n" not in help_line


@pytest.mark.parametrize("argv", [[], ["acquisition-cases"], ["--unknown"]])
def test_status_is_2_and_the_commands_are_named_when_there_is_no_such_command(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert dispatcher.main(argv) == 2

    told = capsys.readouterr().err
    assert all(name in told for name in dispatcher.COMMANDS)


def test_status_is_0_when_help_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatcher.main(["--help"]) == 0
    assert "learning-curves" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("outcome", "status", "told"),
    [
        (None, 0, ""),
        (DemoError("no images"), 1, "python -m benchmarks loop: no images"),
        (SettingsError("bad"), 2, "python -m benchmarks loop: bad"),
        (KeyboardInterrupt(), 1, "python -m benchmarks loop: ended before it was done"),
    ],
)
def test_status_tells_how_a_command_ended(
    outcome: BaseException | None,
    status: int,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen = []

    def command(argv: list[str]) -> int:
        seen.append(argv)
        if outcome is not None:
            raise outcome
        return 0

    monkeypatch.setattr(
        dispatcher.importlib, "import_module", lambda _name: SimpleNamespace(main=command)
    )

    assert dispatcher.main(["loop", "--quick"]) == status
    assert seen == [["--quick"]]
    assert capsys.readouterr().err.strip() == told
