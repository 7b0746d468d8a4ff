"""How leaseq behaves on a site: few questions to Slurm, settings, doctor, and answers that are late or missing."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

from tests.contract.site import Site


def counting(site: Site, directory: Path) -> dict[str, Any]:
    """An environment in which every call of squeue leaves a line in `directory/calls`."""
    directory.mkdir()
    real = shutil.which("squeue", path=site.env["PATH"])
    wrapper = directory / "squeue"
    wrapper.write_text(f'#!/bin/sh\necho "$$" >>{directory}/calls\nexec {real} "$@"\n')
    wrapper.chmod(0o755)
    return {"PATH": f"{directory}:{site.env['PATH']}"}


def test_many_commands_share_one_question_to_slurm(site: Site) -> None:
    for _ in range(3):
        site.add("-N1")
    counted = counting(site, site.directory / "count")
    began = time.monotonic()
    for _ in range(4):
        site.ok("lease", "ls", **counted)
        site.ok("lease", "info", **counted)
    asked = site.directory / "count" / "calls"
    calls = len(asked.read_text().splitlines()) if asked.exists() else 0
    assert calls <= 1 + (time.monotonic() - began) / 30


def test_a_silent_controller_makes_leases_unknown_and_ends_none(site: Site) -> None:
    lease = site.add("-N1")
    site.ok("lease", "ls")
    broken = site.directory / "broken"
    broken.mkdir()
    (broken / "squeue").write_text(
        "#!/bin/sh\nfor each in 1 2 3; do echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; done\n"
        "exit 1\n"
    )
    (broken / "squeue").chmod(0o755)
    site.ask_slurm_anew()
    path = f"{broken}:{site.env['PATH']}"
    document = json.loads(site.ok("lease", "ls", "--json", PATH=path))
    (row,) = [each for each in document["leases"] if each["id"] == lease]
    assert row["state"] == "UNKNOWN"
    assert "Unable to contact slurm controller" in row["reason"]
    shown = site.ok("lease", "ls", PATH=path)
    assert len(shown.splitlines()) == 1 + len(document["leases"]) and "\\n" not in shown, "a row is a line"
    assert site.record(lease).get("ended") is None


def test_settings_and_a_profile_shape_the_lease(site: Site) -> None:
    site.home.mkdir(mode=0o700)
    (site.home / "config.yaml").write_text(
        "prologue: export FROM_SETTINGS='a b'\n"
        "profiles:\n"
        "  small:\n"
        "    slurm: {partition: long, nodes: 1, time: 0:07:00}\n"
        "    prologue: |\n"
        "      export FROM_PROFILE=$(hostname)\n"
    )
    lease = site.add("--profile", "small", "-t", "6")
    job = site.job(lease)
    assert (job["Partition"], job["TimeLimit"]) == ("long", "00:06:00")
    task = site.ok("submit", "--env", "MINE=1", "--", "bash", "-c", "echo $FROM_SETTINGS-$FROM_PROFILE-$MINE")
    assert site.ok("follow", task) == "a b-node1-1"
    done = site.terminal("shell")
    done.expect("# ")
    done.type('echo "<$FROM_SETTINGS|$FROM_PROFILE>"\n')
    done.expect("<a b|node1>")
    done.type("exit\n")
    assert done.end() == 0


def test_a_profile_that_is_not_there_is_refused_before_anything_is_asked_for(site: Site) -> None:
    done = site.leaseq("add", "--detach", "--profile", "nope")
    assert done.returncode == 2
    assert site.squeue() == []


def test_doctor_finds_a_sound_site_sound(site: Site) -> None:
    site.add("-N2", "--gres=gpu:1")
    document = json.loads(site.ok("doctor", "--json"))
    assert [each for each in document["findings"] if each["verdict"] == "bad"] == []
    (home,) = [each for each in document["findings"] if each["what"] == "home"]
    assert "local to this host" in home["words"], "where nodes are other hosts, they cannot see it"
    assert "nodes other than this host do not see it" in home["advice"]
    stepped = [each["what"] for each in document["findings"] if "a step starts" in each["words"]]
    assert stepped == ["node1", "node2"]


def test_json_of_add_is_one_document(site: Site) -> None:
    document = json.loads(site.ok("add", "--json", "-N2", "--name", "two"))
    assert document.keys() == {"schema", "lease", "allocation"}
    assert document["lease"]["name"] == "two"
    assert document["lease"]["nodes"] == ["node1", "node2"]
    done = site.leaseq("add", "--json", "-p", "nope")
    assert json.loads(done.stdout)["error"]["code"] == "slurm"
