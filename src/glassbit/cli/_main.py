"""`glassbit`: the commands by name, each loaded when it is called, and what becomes of errors."""

from __future__ import annotations

import io
import os
import shlex
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from cyclopts import App, CycloptsError, Group, Parameter

from glassbit._errors import GlassbitError, GlassbitWarning, UsageError
from glassbit._foreign import is_of_memory, naming_outsiders, told
from glassbit._text import brief, excerpt, printable
from glassbit.cli import _texts
from glassbit.cli._say import block, is_first_process, warn
from glassbit.cli._signals import Stopped, stoppable
from glassbit.cli._spoken import speaker

DEBUG = "GLASSBIT_DEBUG"
"""The environment variable that shows the traceback of every error."""

_RESUMABLE = ("train", "study")


def run() -> None:
    """Run `main` and exit with its code."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Run one command.

    Args:
        arguments: what stands after `glassbit`.

    Returns:
        The exit code: 0 done, 1 failed, 2 the command itself is wrong, 128 + n stopped by signal n (130: Ctrl-C).
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files need not be text
    with warnings.catch_warnings():
        warnings.showwarning = partial(warn, speak=lambda message: speaker(arguments)(message))
        warnings.simplefilter("always", GlassbitWarning)
        try:
            _check_words(arguments)
            with stoppable(), naming_outsiders():
                code = application()(arguments)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except KeyboardInterrupt as error:
            return _interrupted(arguments, error)
        except SystemExit as error:
            block(f"glassbit: {_ended(error)}")
            return 1
        except Exception as error:
            if os.environ.get(DEBUG):
                raise
            block(_named(f"glassbit: {_words(error, arguments)}", arguments))
            return 2 if isinstance(error, CycloptsError | UsageError) else 1
    return code if isinstance(code, int) else 0


def _check_words(arguments: Sequence[str]) -> None:
    """Refuse arguments that are empty, or that no command line can hold.

    Raises:
        UsageError: with the name of the flag.
    """
    for place, word in enumerate(arguments):
        before = arguments[place - 1] if place else ""
        flag = before if word == "" and before.startswith("--") and "=" not in before else word.partition("=")[0]
        name = excerpt(flag, 60) if flag.startswith("--") and flag != "--" else "an argument"
        if word == "" or (word.startswith("--") and word.endswith("=") and word.count("=") == 1):
            raise UsageError(f"{name}: must not be empty; got nothing; write a value, or leave it out")
        if "\0" in word:
            raise UsageError(f"{name}: must be text without NUL characters; got {brief(word)}; delete them")


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


def _words(error: Exception, arguments: Sequence[str]) -> str:
    """Return what is said of an error: its own words where it is ours, else ours."""
    if isinstance(error, CycloptsError):
        return f"{error}\nSee `{_help_command(arguments)}`."
    if isinstance(error, GlassbitError):
        return speaker(arguments)(error)
    if isinstance(error, OSError):
        return f"{_place(error)}{error.strerror or error}"
    if isinstance(error, RecursionError):
        return f"the input is nested too deeply; make it flatter ({DEBUG}=1 shows where)"
    if is_of_memory(error):
        return (
            "there is not enough memory; ask for fewer or smaller images at a time, such as a smaller --batch-size "
            f"({DEBUG}=1 shows where)"
        )
    return _mistake(error)


def _ended(error: SystemExit) -> str:
    """Of code that is not ours and ends the program, which does nothing here."""
    frames = traceback.extract_tb(error.__traceback__)
    frame = next(frame for frame in reversed(frames) if not frame.filename.endswith("_sitebuiltins.py"))  # `exit`
    where = f"{frame.name} ({printable(frame.filename)}, line {frame.lineno})"
    return f"stopped before it was done: {where} ends the program; delete its sys.exit, or raise an error there"


def _place(error: OSError) -> str:
    return f"{printable(error.filename)}: " if error.filename else ""


def _mistake(error: Exception) -> str:
    """Return the message of an error that nothing foresaw; its traceback is kept in a file."""
    import tempfile  # with the compressors behind it, too much for --help

    text = traceback.format_exc()
    try:
        handle, name = tempfile.mkstemp(prefix="glassbit-", suffix=".txt")
        with open(handle, "w", encoding="utf-8", errors="backslashreplace") as file:  # noqa: PTH123 (mkstemp opened it)
            file.write(text)
        where = f"The traceback is in {name}; please report it"
    except OSError:
        where = f"{text}Please report it"
    return f"stopped at a mistake of its own, {told(error)}\n{where} with the command. {DEBUG}=1 shows it."


def _named(text: str, arguments: Sequence[str]) -> str:
    """`text` with the arguments in it on one line each, whatever characters they have."""
    for word in arguments:
        if "\n" in word:
            text = text.replace(word, printable(word))
    return text


def _interrupted(arguments: Sequence[str], error: KeyboardInterrupt) -> int:
    if is_first_process():
        text = f"glassbit: {f'stopped by {error}' if isinstance(error, Stopped) else 'interrupted'}."
        if arguments and arguments[0] in _RESUMABLE:
            text += f"\nFinished epochs are kept. To go on where it stopped:\n  {shlex.join(['glassbit', *arguments])}"
        with suppress(OSError):  # after SIGHUP the terminal may be gone
            block(text)
    return 128 + (error.number if isinstance(error, Stopped) else signal.SIGINT)
