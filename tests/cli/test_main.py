"""Exit codes and messages: nobody sees a traceback for a mistake of theirs."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest

from glassbit._errors import DataError, GlassbitWarning, RunError
from glassbit.cli import _report as report_command
from glassbit.cli import main


@pytest.mark.parametrize(
    ("words", "texts"),
    [
        (["trian"], ['Unknown command "trian"', 'Did you mean "train"?', "See `glassbit --help`."]),
        (
            ["train", "--epoch", "3"],
            ["Unknown option: --epoch. Did you mean --epochs?", "See `glassbit train --help`."],
        ),
        (["study"], ["RECIPE", "See `glassbit study --help`."]),
        (["study", "quickstrat"], ["no file; did you mean quickstart?"]),
        (["study", "quickstart", "--jobs", "two"], ["two", "See `glassbit study --help`."]),
        (
            ["train", "--objective", "foo", "--lr", "-1"],
            ["--objective: must be one of ce, sgt, random; got 'foo'", "--lr: must be"],
        ),
        (["train", "--plan", "w9a9"], ["--plan: must be one of w2a2", "got 'w9a9'"]),
        (["plan", "--model", "resnet19"], ["--model: must be one of cnn, cnn-bn, resnet8, resnet20"]),
        (["plan", "--model", "nowhere:net"], ["model nowhere:net", "must be importable"]),
        (["plan", "--model", "resnet20", "--arguments", "depth=3"], ["must take", "depth"]),
        (["data", "fetch"], ["NAME must be one or more of fashion-mini, mnist"]),
        (["data", "fetch", "imagenet"], ["imagenet"]),
        (["data", "check"], ["NAME", "See `glassbit data check --help`."]),
    ],
)
def test_usage_errors_are_explained_and_exit_2(call, words, texts):
    code, out, err = call(*words)
    assert (code, out) == (2, "")
    assert err.startswith("glassbit: ")
    for text in texts:
        assert text in err


@pytest.mark.parametrize(
    ("words", "texts"),
    [
        (
            ["train", "--data", "mnist", "--offline"],
            ["mnist: must be on this machine", "glassbit data fetch mnist", "--data-dir"],
        ),
        (["train", "--data", "nowhere.npz"], ["nowhere.npz", "got no such path; check it"]),
        (["report", "nowhere"], ["nowhere"]),
        (["explain", "nowhere"], ["nowhere", "must be the folder of a run"]),
    ],
)
def test_failures_are_explained_and_exit_1(call, words, texts):
    code, out, err = call(*words)
    assert (code, out) == (1, "")
    assert err.startswith("glassbit: ")
    for text in texts:
        assert text in err


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (DataError("two\nlines"), 1, "glassbit: two\nlines\n"),
        (RunError("the loss is not finite"), 1, "glassbit: the loss is not finite\n"),
        (PermissionError(13, "Permission denied", "/runs/mine"), 1, "glassbit: /runs/mine: Permission denied\n"),
        (OSError(28, "No space left on device"), 1, "glassbit: No space left on device\n"),
    ],
)
def test_errors_become_one_block(call, monkeypatch, error, code, text):
    monkeypatch.setattr(report_command, "report", raising(error))
    assert call("report", "somewhere") == (code, "", text)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (RecursionError("maximum recursion depth exceeded"), "the input is nested too deeply"),
        (MemoryError(), "there is not enough memory; ask for fewer or smaller images"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "there is not enough memory"),
    ],
)
def test_limits_of_the_machine_end_in_our_words(call, monkeypatch, error, text):
    monkeypatch.setattr(report_command, "report", raising(error))
    code, out, err = call("report", "somewhere")
    assert (code, out) == (1, "")
    assert err.startswith(f"glassbit: {text}")
    assert "GLASSBIT_DEBUG=1" in err


def test_our_own_mistakes_say_so_and_keep_their_traceback(call, monkeypatch):
    monkeypatch.setattr(report_command, "report", raising(ZeroDivisionError("by zero")))
    code, out, err = call("report", "somewhere")
    assert (code, out) == (1, "")
    first, second = err.splitlines()
    assert first == "glassbit: stopped at a mistake of its own, ZeroDivisionError: by zero"
    kept = Path(re.fullmatch(r"The traceback is in (\S+); please report it .* GLASSBIT_DEBUG=1 shows it\.", second)[1])
    assert "ZeroDivisionError: by zero" in kept.read_text(encoding="utf-8")
    kept.unlink()


@pytest.mark.parametrize("error", [ZeroDivisionError(), DataError("no images")])
def test_the_traceback_is_shown_on_demand(monkeypatch, error):
    monkeypatch.setenv("GLASSBIT_DEBUG", "1")
    monkeypatch.setattr(report_command, "report", raising(error))
    with pytest.raises(type(error)):
        main(["report", "somewhere"])


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\nglassbit: all is well", "a\\nglassbit: all is well"),
        ("a\x1b[31mred", "a\\x1b[31mred"),
        ("a\udcff", "a\\udcff"),
        ("a\u202egnp", "a\\u202egnp"),
    ],
)
@pytest.mark.parametrize("words", [["report"], ["inspect"], ["predict", "m.onnx"], ["measure"], ["explain"], ["study"]])
def test_names_of_files_stay_on_their_line(call, name, shown, words):
    code, out, err = call(*words, name)
    assert (code, out) in ((1, ""), (2, ""))
    assert name not in err
    assert "all is well" not in [line.split(": ", 1)[-1] for line in err.splitlines()]
    if words != ["predict", "m.onnx"]:
        assert shown in err


def test_an_interrupted_run_says_how_to_go_on(call, monkeypatch):
    from glassbit.cli import _study

    monkeypatch.setattr(_study, "study", raising(KeyboardInterrupt()))
    code, _, err = call("study", "my study.yaml", "--jobs", "2")
    assert code == 130
    assert "Finished epochs are kept" in err
    assert "  glassbit study 'my study.yaml' --jobs 2\n" in err


def test_other_commands_are_just_interrupted(call, monkeypatch):
    monkeypatch.setattr(report_command, "report", raising(KeyboardInterrupt()))
    assert call("report", "somewhere") == (130, "", "glassbit: interrupted.\n")


def test_helping_processes_are_silent_when_interrupted(call, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(report_command, "report", raising(KeyboardInterrupt()))
    assert call("report", "somewhere") == (130, "", "")


def test_our_warnings_are_sentences(call, monkeypatch):
    def warn(folder: str, /) -> None:
        warnings.warn("left in full precision: gelu", GlassbitWarning, stacklevel=1)

    monkeypatch.setattr(report_command, "report", warn)
    assert call("report", "somewhere") == (0, "", "note: left in full precision: gelu\n")


def test_version(call):
    from importlib.metadata import version

    assert call("--version") == (0, version("glassbit") + "\n", "")


def raising(error: BaseException):
    def command(folder: str, /, *, jobs: int = 1) -> None:
        raise error

    return command


@pytest.mark.parametrize("code", [0, None, 3, "done"])
def test_code_that_ends_the_program_is_an_error_that_names_it(call, monkeypatch, code):
    def leaves(*_, **__):
        raise SystemExit(code)

    monkeypatch.setattr(report_command, "report", leaves)
    status, out, err = call("report", "x")
    assert (status, out) == (1, "")
    assert err.startswith("glassbit: stopped before it was done: leaves (")
    assert "test_main.py, line " in err
    assert err.endswith(") ends the program; delete its sys.exit, or raise an error there\n")


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["measure", "x.glassbit", "--data="], "--data"),
        (["measure", "x.glassbit", "--data", ""], "--data"),
        (["verify", "x.glassbit", "--data="], "--data"),
        (["gate", "a.glassbit", "b.glassbit", "--policy="], "--policy"),
        (["train", "--out="], "--out"),
        (["train", "--quiet="], "--quiet"),
        (["plan", "--milestones", ""], "--milestones"),
        (["data", "check", ""], "an argument"),
    ],
)
def test_an_empty_value_is_not_taken_for_one_that_was_left_out(call, words, name):
    text = f"glassbit: {name}: must not be empty; got nothing; write a value, or leave it out\n"
    assert call(*words) == (2, "", text)


def test_a_nul_in_an_argument_is_refused(call):
    code, out, err = call("train", "--out", "a\0b")
    assert (code, out) == (2, "")
    assert err.startswith("glassbit: an argument: must be text without NUL characters; got 'a\\x00b'")


@pytest.mark.parametrize(
    "words", [("measure", "NAME"), ("plan", "--data", "NAME"), ("measure", "x.onnx", "--NAME", "1")]
)
def test_what_is_quoted_is_bounded(call, words):
    code, _, err = call(*(word.replace("NAME", "a" * 5000) for word in words))
    assert code in (1, 2)
    assert len(err) < 1500


def test_what_the_warnings_of_others_do_to_a_terminal_is_escaped(call, monkeypatch):
    def report(folder: Path) -> int:
        warnings.warn("\x1b[2Jgone", stacklevel=1)
        return 0

    monkeypatch.setattr(report_command, "report", report)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        code, _, err = call("report", "x")
    assert code == 0
    assert "UserWarning: \\x1b[2Jgone" in err
