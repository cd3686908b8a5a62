"""The phone's shell against what a POSIX shell does, the host's own where it can be asked."""

from __future__ import annotations

import shutil
import string
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from profiler.adb import command_line

SCRIPTS = [
    "echo a b  c",
    "echo 'a  b' \"c  d\"",
    "echo a; echo b",
    "false || echo no; true && echo yes",
    "false && echo never; echo $?",
    "(exit 3); echo $?",
    "! true; echo $?",
    "x='a  b'; echo $x; echo \"$x\"",
    "x=1; (x=2; echo $x); echo $x",
    "echo one | cat",
    "printf '%s-%s\\n' a b",
    "{ echo in; echo side; } | wc -l | grep -c .",
    "echo out; echo err >&2; exit 7",
    "(echo x; echo y >&2) 2>&1 | grep -c .",
    "echo $(echo inner $(echo most))",
    "echo a#b # comment",
    "echo \\$HOME '$HOME'",
    "test 3 -gt 2 && [ a = a ] && [ ! -e /nowhere ] && echo all",
    "echo a\\\nb",
    "true\nfalse\nexit $?",
    "exit 300",
    "sleep 0 & wait; echo $?",
    "sh -c 'echo $1' name value",
    "echo 'unfinished",
    "nosuchcommand; echo $?",
    'x=; echo "<$x>" $x end',
    "echo \"a'b\" 'a\"b'",
    "cat < /nowhere || echo refused",
]


@pytest.mark.skipif(shutil.which("sh") is None, reason="no POSIX shell on this system")
@pytest.mark.parametrize("script", SCRIPTS)
def test_same_output_and_code_as_the_hosts_shell(run: Callable[..., Any], script: str) -> None:
    host = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    ours = run(script)
    assert ours.out == host.stdout
    assert (ours.code == 0) == (host.returncode == 0)
    assert bool(ours.err) == bool(host.stderr)
    if "unfinished" not in script:
        assert ours.code == host.returncode


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(st.text(st.sampled_from(string.printable + "é€\u2028"), max_size=12), min_size=1, max_size=4))
def test_quoted_words_arrive_as_they_are(run: Callable[..., Any], words: list[str]) -> None:
    script = "".join(command_line("printf", "%s|", word) + ";" for word in words)
    expected = "".join(f"{word}|" for word in words)
    assert run(script).out == expected


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=st.text(st.sampled_from("ab01 $'\"\\;&|<>(){}!#*?~=\n"), max_size=40))
def test_any_text_ends_with_a_code(run: Callable[..., Any], script: str) -> None:
    assert 0 <= run(script).code <= 255


@pytest.mark.parametrize("text", ["for i in 1; do echo $i; done", "if true; then echo a; fi", "echo a; while true"])
def test_what_it_does_not_know_is_not_half_run(run: Callable[..., Any], text: str) -> None:
    ran = run(text)
    assert (ran.code, ran.out) == (1, "")
    assert "not known here" in ran.err


def test_words_of_loops_may_be_arguments(run: Callable[..., Any]) -> None:
    assert run("echo if done 'for'; 'if' || echo no").out == "if done for\nno\n"


def test_depth_and_length_are_bounded(run: Callable[..., Any]) -> None:
    assert run("(" * 500).code != 0
    assert run("echo " + "x" * (2 << 20)).code != 0


def test_patterns_find_files(run: Callable[..., Any]) -> None:
    setup = "cd /data/local/tmp; touch b1 a1 'a 2' .hidden; "
    assert run(setup + "echo a* ; echo 'a*' \"a*\" nothing*").out == "a 2 a1\na* a* nothing*\n"
    assert run("cat /sys/class/thermal/thermal_zone*/type | wc -l").out == "11\n"


def test_redirections_write_files(run: Callable[..., Any]) -> None:
    text = "cd /data/local/tmp; echo a > f; echo b >> f; nosuch 2> e; cat f; wc -l < e; rm f e; ls"
    assert run(text).out == "a\nb\n1\n"
    refused = run("echo a > /system/f; echo $?")
    assert refused.out == "1\n"
    assert "Permission denied" in refused.err


def test_jobs_are_listed_killed_and_waited_for(run: Callable[..., Any]) -> None:
    ran = run("sleep 50 & echo $!; ps -o ARGS= -p $(pidof sleep); kill -9 $(pidof sleep); wait $!; echo $?")
    pid, listed, code = ran.out.splitlines()
    assert pid.isdigit()
    assert listed == "sleep 50"
    assert code == "137"
    assert run("kill 99999").code == 1


def test_a_script_that_was_pushed_runs(run: Callable[..., Any]) -> None:
    text = "cd /data/local/tmp; echo 'echo got $1; exit 4' > s; ./s x; echo $?; chmod 755 s; ./s x; echo $?"
    ran = run(text)
    assert ran.out == "126\ngot x\n4\n"
    assert "can't execute: Permission denied" in ran.err


def test_storage_for_media_runs_nothing(run: Callable[..., Any], phone: Any) -> None:
    phone.files.place("/storage/emulated/0/s", b"echo never", mode=0o777)
    ran = run("/storage/emulated/0/s")
    assert ran.code in (126, 127)
    assert not ran.out


def test_lines_on_standard_input_are_run_until_exit(run: Callable[..., Any]) -> None:
    assert run("", b"echo a\necho b\nexit 5\necho never\n") == type(run("true"))(5, "a\nb\n", "")
