"""Templates make scripts that bash can read, and errors that a person can find."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from leaseq.errors import UsageError
from leaseq.layout import Home
from leaseq.lease.slurm import args, render, sbatch
from leaseq.world import SystemClock


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(str(tmp_path / "the home's $HOME"))


def lease_script(home: Home, *tokens: str, template: str = "", prologue: str = "", **environment: str) -> str:
    request = sbatch.LeaseRequest(
        tokens=tokens,
        checked=args.check(tokens),
        template=template,
        prologues=(prologue,) if prologue else (),
        environment=environment,
    )
    return sbatch.prepare(home, request, clock=SystemClock(), user="u", host="login").script


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    for each in (path, path.parent):
        each.chmod(0o700)  # whatever the umask is: what others can write is refused
    return path


def test_the_lease_script_passes_bash_and_quotes_what_it_is_given(home: Home) -> None:
    script = lease_script(home)
    beginning = script.partition("\nlease=")[0] + '\nprintf %s "$home"'
    environment = {"SLURM_JOB_ID": "1", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(["bash", "-c", beginning], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == home.root


def test_sbatch_finds_its_options_before_the_first_command(home: Home) -> None:
    lines = lease_script(home).splitlines()
    directives = [line for line in lines if line.startswith("#SBATCH")]
    assert lines[0] == "#!/bin/bash -p"
    assert lines[1 : 1 + len(directives)] == directives
    assert "#SBATCH --output=/dev/null" in directives
    assert "#SBATCH --no-kill" in directives


@pytest.mark.parametrize("chosen", [{"tokens": ("-o", "x.out")}, {"environment": {"SBATCH_OUTPUT": "x.out"}}])
def test_an_output_file_of_the_users_choice_is_left_to_slurm(home: Home, chosen: dict[str, object]) -> None:
    tokens = chosen.get("tokens", ())
    environment = chosen.get("environment", {})
    script = lease_script(home, *tokens, **environment)  # type: ignore[misc, arg-type]
    assert "--output=/dev/null" not in script
    assert 'slurm.log" 2>&1' not in script


def test_no_part_of_bash_is_taken_for_a_template(home: Home, tmp_path: Path) -> None:
    text = """#!/bin/bash
cat <<EOF
${#names[@]} {{ x }} {% y %} $((1 << 2)) ${name%%.*} ${name##*/} `date`
EOF
awk '{{print}} {# no #}' </dev/null
printf '<%s> [%s] @{%d} %%{code}\\n' a b 1
[[ $a =~ ^[=:]$ ]] && git show HEAD@{1}
# leaseq is a word
"""
    template = write(tmp_path / "mine.sh.j2", text)
    assert lease_script(home, template=str(template)) == text


def test_a_users_template_extends_the_packaged_one(home: Home) -> None:
    write(
        Path(home.templates) / "lease.sh.j2",
        '#leaseq extends "packaged/lease.sh.j2"\n#leaseq block prologue\nmodule load cuda\n#leaseq endblock\n',
    )
    script = lease_script(home)
    assert "module load cuda" in script
    assert "hold_allocation" in script


def test_a_prologue_stands_in_the_script(home: Home) -> None:
    assert 'module load "a b"' in lease_script(home, prologue='module load "a b"')


def test_a_template_that_is_not_there_is_named(home: Home) -> None:
    with pytest.raises(UsageError, match=r"there is no template nowhere\.j2"):
        lease_script(home, template="nowhere.j2")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("one\ntwo\n#leaseq if x\nthree\n", 4, "end of template"),
        ("one\n@leaseq{ nothing_of_this_name }\n", 2, "nothing_of_this_name"),
        ("one\ntwo\n@leaseq{ home.nothing() }\n", 3, "nothing"),
        ("one\n@leaseq{ 1 / 0 }\n", 2, "division"),
        ("one\n@leaseq{ home | shh }\n", 2, "shh"),
    ],
)
def test_a_mistake_in_a_template_is_told_with_file_and_line(
    home: Home, tmp_path: Path, text: str, line: int, words: str
) -> None:
    template = write(tmp_path / "mine.sh.j2", text)
    with pytest.raises(UsageError) as caught:
        lease_script(home, template=str(template))
    assert words in caught.value.message
    assert f"{template}, line {line}" in caught.value.message


def test_a_script_that_bash_cannot_read_is_refused_with_its_line(home: Home, tmp_path: Path) -> None:
    template = write(tmp_path / "mine.sh.j2", "#!/bin/bash\necho fine\nif true; then fi\n")
    with pytest.raises(UsageError, match="line 3: if true; then fi") as caught:
        lease_script(home, template=str(template))
    assert "mine.sh.j2" in caught.value.message


def test_a_prologue_that_bash_cannot_read_is_refused_by_its_own_name() -> None:
    with pytest.raises(UsageError, match="the prologue of profile big"):
        render.snippet('echo "open', origin="the prologue of profile big")


def test_the_quoting_filter_makes_one_word_of_anything() -> None:
    for value in ("", "a b", "it's", '$HOME `date` \\ \n "', "é\udcff"):
        done = subprocess.run(
            ["bash", "-c", f"printf %s {render.quote(value)}".encode("utf-8", "surrogateescape")],
            capture_output=True,
            check=True,
        )
        assert done.stdout.decode("utf-8", "surrogateescape") == value


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("USR1@60", "USR1"),
        ("B:USR2@300", "USR2"),
        ("R:SIGHUP", "HUP"),
        ("10@60", "USR1"),
        ("usr1", "USR1"),
        ("TERM@60", ""),
        ("CONT", ""),
        ("no", ""),
        ("", ""),
    ],
)
def test_the_signal_that_warns_tasks_is_the_one_that_was_asked_for(option: str, name: str) -> None:
    assert sbatch.signal_of(option) == name


def test_tasks_are_warned_only_where_that_was_asked_for(home: Home) -> None:
    assert 'warn_node "$(basename' not in lease_script(home)
    script = lease_script(home, "--signal=B:USR2@300")
    assert "trap 'warn_runners' USR1 USR2\n" in script
    assert """'{"v":1,"signal":"%s","to":"%s"}\\n' "USR2" "leader" >""" in script


@pytest.mark.parametrize(
    "expression",
    [
        'cycler.__init__.__globals__.os.popen("touch pwned").read()',
        "self.__init__.__globals__",
        "''.__class__.__mro__",
        '"{0.__class__}".format(home)',
        "(home | attr('__class__'))",
    ],
)
def test_a_template_reaches_nothing_of_python(
    home: Home, tmp_path: Path, expression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who looks at a colleague's template by --dry-run runs none of it."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "theirs.sh.j2"
    path.write_text(f"# @leaseq{{ {expression} }}\n")
    with pytest.raises(UsageError, match=re.escape("theirs.sh.j2, line 1")):
        render.render(home, {"home": "/h"}, template=str(path))
    assert not (tmp_path / "pwned").exists()


def test_a_step_on_a_node_that_does_not_see_the_lease_ends_with_72_and_says_so(home: Home) -> None:
    script = lease_script(home)
    words = script[script.index("step_words='") :].partition("\nexit 72'\n")[0] + "\nexit 72'\n"
    run = words + 'exec "$BASH" -p -c "$step_words" leaseq /not/here/runs/7/serve.x.sh node1'
    done = subprocess.run(["bash", "-c", run], capture_output=True, text=True, check=False)
    assert done.returncode == 72
    assert "node1 does not see /not/here/runs/7: LEASEQ_HOME must be on a file system" in done.stderr


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_users_umask_stands_in_the_script(home: Home, umask: int) -> None:
    request = sbatch.LeaseRequest(tokens=(), checked=args.check(()), umask=umask)
    script = sbatch.prepare(home, request, clock=SystemClock(), user="u", host="login").script
    assert f"\numask 077\nuser_umask={umask:04o}\n" in script
