"""`glassbit`: the commands by name, each loaded when it is called, and what becomes of errors."""

from __future__ import annotations

import os
import shlex
import sys
import warnings
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Group, Parameter

from glassbit._errors import GlassbitError, GlassbitWarning, UsageError
from glassbit.cli import _texts
from glassbit.cli._say import block, is_first_process, warn

_RESUMABLE = ("train", "study")


def run() -> None:
    """The program: `main` as an exit code."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Run one command.

    Args:
        arguments: what stands after `glassbit`.

    Returns:
        The exit code: 0 done, 1 failed, 2 the command itself is wrong, 130 interrupted.
    """
    with warnings.catch_warnings():
        warnings.showwarning = warn
        warnings.simplefilter("always", GlassbitWarning)
        try:
            code = application()(arguments)
        except CycloptsError as error:
            block(f"glassbit: {error}\nSee `{_help_command(arguments)}`.")
            return 2
        except UsageError as error:
            block(f"glassbit: {error}")
            return 2
        except GlassbitError as error:
            block(f"glassbit: {error}")
            return 1
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except OSError as error:
            block(f"glassbit: {_place(error)}{error.strerror or error}")
            return 1
        except KeyboardInterrupt:
            return _interrupted(arguments)
    return code if isinstance(code, int) else 0


def application() -> App:
    """All commands."""
    app = App(
        name="glassbit",
        help=_texts.ROOT.help,
        help_epilogue=_texts.ROOT.epilogue,
        help_format="plaintext",
        version=_version,
        exit_on_error=False,
        print_error=False,
        result_action="return_value",
        suppress_keyboard_interrupt=False,
        default_parameter=Parameter(negative_iterable=()),
        group_parameters=Group("Options", sort_key=0),
        group_arguments=Group("Arguments", sort_key=0),
    )
    for place, (name, text) in enumerate(_texts.COMMANDS.items()):
        if name == "data":
            data = App(name=name, help=text.help, help_epilogue=text.epilogue, sort_key=place)
            for inner, (inner_name, inner_text) in enumerate(_texts.DATA_COMMANDS.items()):
                _add(data, inner_name, f"_data:{inner_name}_", inner_text, inner)
            app.command(data)
        else:
            _add(app, name, f"_{name}:{name}", text, place)
    return app


def _add(app: App, name: str, function: str, text: _texts.Text, place: int) -> None:
    app.command(f"glassbit.cli.{function}", name=name, help=text.help, help_epilogue=text.epilogue, sort_key=place)


def _version() -> str:
    from importlib.metadata import version

    return version("glassbit")


def _help_command(arguments: Sequence[str]) -> str:
    words = [
        word for word, known in zip(arguments, (_texts.COMMANDS, _texts.DATA_COMMANDS), strict=False) if word in known
    ]
    return " ".join(["glassbit", *(words if words[:1] == ["data"] else words[:1]), "--help"])


def _place(error: OSError) -> str:
    return f"{error.filename}: " if error.filename else ""


def _interrupted(arguments: Sequence[str]) -> int:
    if is_first_process():
        text = "glassbit: interrupted."
        if arguments and arguments[0] in _RESUMABLE:
            text += f"\nFinished epochs are kept. To go on where it stopped:\n  {shlex.join(['glassbit', *arguments])}"
        block(text)
    return 130
