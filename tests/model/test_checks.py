"""Checks: read from YAML with all problems at once, run by bash, judged from results alone."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cloudmesh_cluster.model.checks import (
    ALL,
    KEPT_BYTES,
    LOGIN,
    Check,
    Expectation,
    checks,
    checks_from_node,
    decoded,
    read_checks,
    results,
    script,
)
from cloudmesh_cluster.model.cluster import MASTER, WORKER, Result
from cloudmesh_cluster.model.errors import UsageError


def fill(text: str) -> str:
    if "{{ nobody }}" in text:
        raise ValueError("'nobody' is undefined")
    return text.replace("{{ workers }}", "2")


def read(text: str) -> tuple[Check, ...]:
    return checks(text, source="expect.yaml", fill=fill)


def problems(text: str) -> list[str]:
    with pytest.raises(UsageError) as caught:
        read(text)
    return caught.value.problem.splitlines()


def test_the_example_of_the_manual_is_read() -> None:
    found = read(
        """
        expect:
          - role: master
            command: sinfo --noheader --format=%D
            stdout: "{{ workers }}"
            within: 120s
          - role: worker
            service: slurmd
          - port: 22
          - {file: /etc/hosts, within: 2m}
        """
    )
    assert found == (
        Check(
            kind="command",
            subject="sinfo --noheader --format=%D",
            role=MASTER,
            expect=Expectation(stdout="2"),
            within=120.0,
        ),
        Check(kind="service", subject="slurmd", role=WORKER),
        Check(kind="port", subject="22", role=ALL),
        Check(kind="file", subject="/etc/hosts", within=120.0),
    )


def test_a_bare_list_is_taken_as_well() -> None:
    assert read("- port: 22") == (Check(kind="port", subject="22"),)


def test_no_checks_are_no_problem() -> None:
    assert read("expect: []") == ()


@pytest.mark.parametrize("written", ["2", "'2'", '"{{ workers }}"'])
def test_a_number_as_stdout_is_its_text(written: str) -> None:
    (check,) = read(f"- command: nproc\n  stdout: {written}")
    assert check.expect.stdout == "2"


def test_words_that_yaml_takes_for_booleans_stay_as_written() -> None:
    (check,) = read("- command: on\n  stdout: yes\n  contains: 1.10\n  matches: 010")
    assert (check.subject, check.expect) == (
        "on",
        Expectation(stdout="yes", contains="1.10", matches="010"),
    )


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("90", 90), ("120s", 120), ("2m", 120), ("1h", 3600), ("1.5m", 90), ("0", 0), ("10 s", 10)],
)
def test_durations_are_in_seconds_unless_said(written: str, seconds: float) -> None:
    (check,) = read(f"- port: 1\n  within: {written}")
    assert check.within == seconds


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- command: a\n  stdot: x", "2: unknown key 'stdot'; did you mean stdout?"),
        ("expct: []", "1: unknown key 'expct'; did you mean expect?"),
        ("- comand: a", "1: unknown key 'comand'; did you mean command?"),
        ("- port: 22\n  file: /a", "2: a check has one of port and file, not both"),
        ("- within: 3s", "1: a check needs one of: command, port, service, file"),
        ("- 7", "1: a check is a mapping, such as 'port: 22'"),
        ("- port: 0", "1: port must be a number from 1 to 65535, not '0'"),
        ("- port: 65536", "1: port must be a number from 1 to 65535, not '65536'"),
        ("- port: ssh", "1: port must be a number from 1 to 65535, not 'ssh'"),
        ("- port: 1\n  role: boss", "2: role must be master, worker or all, not 'boss'"),
        ("- port: 1\n  within: soon", "2: within must be a time such as 90, 120s, 2m or 1h"),
        ("- port: 1\n  within: 1:30", "2: within must be a time"),
        ("- port: 1\n  within: -5", "2: within must be a time"),
        ("- port: 1\n  stdout: x", "2: stdout goes with a command, not with port"),
        ("- command: a\n  exit: 256", "2: exit must be a number from 0 to 255, not '256'"),
        ("- command: a\n  exit: -1", "2: exit must be a number"),
        ("- command: a\n  matches: '('", "2: matches is not a regular expression: missing )"),
        ("- command:", '1: command has no value; write "" for an empty text'),
        ("- command: ' '", "1: command is empty"),
        ("- command: [a, b]", "1: command must be a text"),
        ('- command: "a\\0b"', "1: command has a NUL character"),
        ("- file: etc/hosts", "1: file must be a path from the root, not 'etc/hosts'"),
        ("- command: a\n  stdout: {{ workers }}", '2: stdout must be a text; write stdout: "{{'),
        ("- command: echo {{ nobody }}", "1: command: 'nobody' is undefined"),
        ("- port: 1\n  port: 2", "2: port is given twice"),
        ("- ? [a]\n  : b", "1: unknown key ''"),
        ("", "1: the file is empty"),
        ("# only words", "1: the file is empty"),
        ("word", "1: expected a list of checks under expect:"),
        ("{}", "1: there is no expect:"),
        ("expect: 7", "1: expect must be a list of checks"),
        ("expect:\n", "1: expect must be a list of checks"),
        ("a: [", "1: not YAML:"),
        ("- port: 1\n- b: c: d", "2: not YAML: mapping values are not allowed here"),
        ("- port: 1\n\x07", "2: not YAML: a character that is not allowed"),
        ("- port: 1\n---\n- port: 2", "2: not YAML: but found another document"),
        ("[" * 5000, "1: not readable: nested too deeply"),
        ("- *nothing", "1: not YAML: found undefined alias"),
    ],
)
def test_a_problem_is_told_with_its_line(text: str, problem: str) -> None:
    first = problems(text)[0]
    assert first.startswith("expect.yaml:" + problem)


def test_all_problems_are_told_at_once_in_the_order_of_the_file() -> None:
    told = problems("expect:\n- port: x\n- matches: (\n  role: y\n  file: z\n- stdot: 1\n")
    assert [line.split(":")[1] for line in told] == ["2", "3", "3", "4", "5", "6"]


def test_a_problem_with_hostile_words_is_shown_safely() -> None:
    (told,) = problems('- port: "\\e[2J$(reboot)"')
    assert "\\x1b[2J$(reboot)" in told


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    problem = "expect.yaml:"
    try:
        read(text)
    except UsageError as error:
        problem = error.problem
    assert problem.startswith("expect.yaml:")


def test_text_that_is_not_utf8_is_refused_with_its_line() -> None:
    assert decoded("é\n".encode(), "f") == "é\n"
    with pytest.raises(UsageError, match="f:2: not UTF-8 text"):
        decoded(b"a\n\xff", "f")


def test_a_section_of_a_larger_file_keeps_its_lines() -> None:
    node = yaml.compose("workers: 3\nexpect:\n  - port: 22\n  - prt: 1\n")
    assert isinstance(node, yaml.MappingNode)
    section = node.value[1][1]
    with pytest.raises(UsageError, match=r"spec\.yaml:4: unknown key 'prt'"):
        checks_from_node(section, source="spec.yaml", fill=fill)
    found, told = read_checks(section, source="spec.yaml", fill=fill)
    assert found == (Check(kind="port", subject="22"),)
    assert told[0].startswith("spec.yaml:4: unknown key 'prt'")


def run(*these: Check) -> list[tuple[bool, str]]:
    """What the checks come to, run by this machine's bash."""
    done = subprocess.run(["bash", "-s"], input=script(these).encode(), capture_output=True)
    found = results(done.stdout, len(these))
    verdicts = [check.judge("here", result) for check, result in zip(these, found, strict=True)]
    return [(verdict.passed, verdict.seen) for verdict in verdicts]


def command(line: str, **expect: object) -> Check:
    return Check(kind="command", subject=line, expect=Expectation(**expect))  # type: ignore[arg-type]


def test_commands_are_judged_by_status_and_output() -> None:
    assert run(
        command("echo ' two '; echo words", stdout="two \nwords\n"),
        command("exit 7", exit_status=7),
        command("echo oops >&2; exit 7"),
        command("echo 3", stdout="2"),
        command("printf 'up\\nidle\\n'", matches="^idle$"),
        command("echo abc", matches="^b"),
        command("echo abc", contains="b"),
        command("echo abc", contains="x"),
        command("kill -9 $$"),
        command("cat"),
        command("no-such-command"),
    ) == [
        (True, "words"),
        (True, "exit status 7"),
        (False, "exit status 7, expected 0: oops"),
        (False, "stdout is '3', expected '2'"),
        (True, "idle"),
        (False, "stdout is 'abc', expected to match '^b'"),
        (True, "abc"),
        (False, "stdout is 'abc', expected to contain 'x'"),
        (False, "exit status 137, expected 0"),
        (True, "exit status 0"),
        (
            False,
            "exit status 127, expected 0: bash: line 1: no-such-command: command not found",
        ),
    ]


def test_a_listening_port_is_found_without_tools() -> None:
    with socket.create_server(("127.0.0.1", 0)) as v4, socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        ports = [v4.getsockname()[1], bound.getsockname()[1]]
        found = run(*(Check(kind="port", subject=str(port)) for port in ports))
    assert found == [(True, "listening"), (False, f"nothing listens on port {ports[1]}")]


def test_a_file_with_a_hostile_name_is_only_looked_for(tmp_path: Path) -> None:
    name = tmp_path / "a b'\"$(touch hacked)`touch hacked`\n;"
    name.touch()
    missing = Check(kind="file", subject=f"{name}x")
    assert run(Check(kind="file", subject=str(name)), missing) == [
        (True, "exists"),
        (False, "no such file"),
    ]
    assert not Path("hacked").exists()


def test_a_service_tells_its_state(tmp_path: Path) -> None:
    check = Check(kind="service", subject="slurmd")
    assert check.judge("n", Result(0, "active\n")).passed
    failed = check.judge("n", Result(3, "failed\n"))
    assert (failed.passed, failed.seen) == (False, "failed")
    missing = check.judge("n", Result(127, "", "bash: line 1: systemctl: command not found"))
    assert missing.seen == "bash: line 1: systemctl: command not found"


def test_output_that_looks_like_a_frame_is_only_output() -> None:
    forged = command("echo 'cm checks 1'; echo '0 0 1 0 0'; echo; echo '1 0 1 0 0'", contains="1")
    assert run(forged, command("exit 3")) == [
        (True, "1 0 1 0 0"),
        (False, "exit status 3, expected 0"),
    ]


def test_much_output_is_bounded() -> None:
    done = subprocess.run(
        ["bash", "-s"],
        input=script([command("yes | head -c 3000000; yes | head -c 3000000 >&2")]).encode(),
        capture_output=True,
    )
    (result,) = results(done.stdout, 1)
    assert len(result.stdout) == len(result.stderr) == KEPT_BYTES
    assert len(done.stdout) < 2 * KEPT_BYTES + 100


@pytest.mark.parametrize(
    "line", ["printf 'a\\0b\\0\\0'", "head -c 300000 /dev/urandom", "head -c 300000 /dev/zero"]
)
def test_binary_output_does_not_upset_the_frames(line: str) -> None:
    assert [passed for passed, _ in run(command(line), command("true"))] == [True, True]


def test_what_a_check_leaves_in_the_background_does_not_hold_us_up() -> None:
    done = subprocess.run(
        ["bash", "-s"],
        input=script([command("sleep 30 & echo hi; echo $! >&2")]).encode(),
        capture_output=True,
        timeout=10,
    )
    (result,) = results(done.stdout, 1)
    subprocess.run(["kill", result.stderr.strip()], check=True)
    assert (result.exit_status, result.stdout) == (0, "hi\n")


def test_a_check_that_never_ends_is_ended() -> None:
    text = script([command("sleep 60"), command("echo hi")]).replace("60.000", "0.2")
    done = subprocess.run(["bash", "-s"], input=text.encode(), capture_output=True, timeout=10)
    hung, fine = results(done.stdout, 2)
    assert (hung.exit_status, fine.stdout) == (124, "hi\n")


def test_a_check_that_ran_out_of_time_says_so() -> None:
    assert command("x").judge("n", Result(124, "", seconds=60.0)).seen == "did not end within 60 s"
    assert command("x").judge("n", Result(124, "", seconds=1.0)).seen.startswith("exit status 124")


def test_the_script_leaves_no_file_behind(tmp_path: Path) -> None:
    subprocess.run(
        ["bash", "-s"],
        input=script([command("echo hi")]).encode(),
        env={"TMPDIR": str(tmp_path), "PATH": "/usr/bin:/bin"},
        check=True,
        capture_output=True,
    )
    assert list(tmp_path.iterdir()) == []


def test_a_login_shells_chatter_before_the_results_is_passed_over() -> None:
    (result,) = results(b"Welcome!\ncm checks 1\n0 0 5000 2 0\nhi\n", 1)
    assert result == Result(0, "hi", "", 0.005)


@pytest.mark.parametrize(
    "output",
    [b"", b"bash: not found", b"cm checks 1\n", b"cm checks 1\n1 0 1 0 0\n\n",
     b"cm checks 1\n0 0 1 9 0\nhi\n", b"cm checks 1\n0 x 1 0 0\n\n"],
)  # fmt: skip
def test_an_answer_that_is_not_whole_is_refused(output: bytes) -> None:
    with pytest.raises(ValueError, match="the node's answer"):
        results(output, 1)


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(), st.binary()), max_size=5))
def test_any_output_survives_its_frame(answers: list[tuple[int, bytes, bytes]]) -> None:
    framed = b"".join(
        b"%d %d 7 %d %d\n%s%s\n" % (index, status, len(out), len(err), out, err)
        for index, (status, out, err) in enumerate(answers)
    )
    found = results(b"cm checks 1\n" + framed, len(answers))
    assert [(r.exit_status, r.stdout, r.stderr) for r in found] == [
        (status, out.decode(errors="replace"), err.decode(errors="replace"))
        for status, out, err in answers
    ]


@given(st.binary(), st.integers(0, 3))
def test_any_bytes_are_results_or_refused(output: bytes, count: int) -> None:
    with contextlib.suppress(ValueError):
        assert len(results(b"cm checks 1\n" + output, count)) == count


def test_titles_are_short_and_safe() -> None:
    assert Check(kind="port", subject="22").title == "port 22"
    assert Check(kind="service", subject="slurmd").title == "service slurmd"
    assert len(command("x" * 500).title) < 60
    assert command("a\x1bb").title == "command a\\x1bb"
    assert command("if a\nthen b\nfi").title == "command if a …"
    assert LOGIN.title == "ssh login"


def test_a_check_concerns_its_role() -> None:
    assert Check(kind="port", subject="1").concerns(WORKER)
    assert Check(kind="port", subject="1", role=MASTER).concerns(MASTER)
    assert not Check(kind="port", subject="1", role=MASTER).concerns(WORKER)


def test_a_check_may_run_as_long_as_it_has_time_left() -> None:
    check = Check(kind="command", subject="x", within=300.0)
    assert (check.limit(), check.limit(100.0), check.limit(290.0)) == (300.0, 200.0, 60.0)
