"""A process that starts warm is to its parent as one of Python is."""

import signal
import subprocess

import pytest


@pytest.mark.parametrize(
    ("program", "code", "out", "err"),
    [
        ("import sys; print(sys.argv, sys.stdin.read())", 0, "['-c', 'a b'] in\n", ""),
        ("import os; print(os.environ['X'])", 0, "1\n", ""),
        ("import os; print(os.getcwd()); import sys; sys.exit(3)", 3, "{folder}\n", ""),
        ("import sys; sys.exit('no')", 1, "", "no\n"),
        ("import atexit; atexit.register(print, 'end'); print('begin')", 0, "begin\nend\n", ""),
        ("import os; os.kill(os.getpid(), 9)", -9, "", ""),
        ("1 / 0", 1, "", "ZeroDivisionError: division by zero\n"),
    ],
)  # fmt: skip
def test_it_ends_as_python_does(tmp_path, python, program, code, out, err):
    done = subprocess.run(
        [python, "-c", program, "a b"],
        input="in", capture_output=True, text=True, cwd=tmp_path, env={"X": "1"},
    )  # fmt: skip

    assert done.returncode == code
    assert done.stdout == out.format(folder=tmp_path)
    assert done.stderr.endswith(err)
    assert bool(done.stderr) == bool(err)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_signals_reach_it(python, number):
    program = """
import signal, threading, time
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, _: print(number) or exit(7))
print("ready", flush=True)
threading.Event().wait()
"""
    process = subprocess.Popen([python, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"

    process.send_signal(number)

    rest, _ = process.communicate()  # to the end, so that nobody holds the pipe
    killed = number == signal.SIGKILL
    assert rest == ("" if killed else f"{number.value}\n")
    assert process.returncode == (-9 if killed else 7)
