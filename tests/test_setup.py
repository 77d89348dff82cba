"""What `make setup` finds missing, and the command that it prints or runs."""

import subprocess
from pathlib import Path

SETUP = Path(__file__).resolve().parent.parent / "tools/setup.sh"
SOURCE = "deb [arch=amd64] http://mirror.example.org/debian bookworm main\n"


def call(code: str, apt: Path) -> subprocess.CompletedProcess[str]:
    """Run code with the script's functions, its apt folder elsewhere."""
    script = f"source {SETUP}; set +e; APT={apt}; {code}"
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True)


def sources(folder: Path, main: str = SOURCE, **more: str) -> Path:
    (folder / "sources.list.d").mkdir()
    (folder / "sources.list").write_text(main)
    for name, text in more.items():
        (folder / f"sources.list.d/{name}.sources").write_text(text)
    return folder


def test_a_suite_that_is_commented_out_is_not_there(tmp_path):
    apt = sources(tmp_path, SOURCE + "# deb http://mirror.example.org/debian bookworm-backports main\n")
    assert call("has_backports", apt).returncode == 1
    (apt / "sources.list").write_text(SOURCE + "deb http://mirror.example.org/debian bookworm-backports main\n")
    assert call("has_backports", apt).returncode == 0


def test_the_command_adds_the_suite_from_the_machines_own_source(tmp_path):
    apt = sources(tmp_path)
    said = call("system_command bookworm qgis python3-qgis", apt).stdout
    assert "http://mirror.example.org/debian bookworm-backports main' > " in said and " && apt-get update && " in said
    assert said.endswith("--no-install-recommends -t bookworm-backports qgis python3-qgis")
    checked = subprocess.run(["sh", "-nc", said], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


def test_the_command_leaves_sources_alone_where_the_suite_is_there_or_not_needed(tmp_path):
    suites = "Types: deb\nURIs: http://deb.example.org/debian\nSuites: bookworm bookworm-backports\nComponents: main\n"
    apt = sources(tmp_path, "", debian=suites)
    assert call("system_command bookworm qgis", apt).stdout.startswith("apt-get update && ")
    assert "backports" not in call("system_command trixie qgis", apt).stdout


def test_an_old_qgis_is_missing_and_told(tmp_path):
    apt = sources(tmp_path)
    assert "python3-qgis" in call("qgis_version() { echo 32215; }; missing_system", apt).stdout
    assert "python3-qgis" not in call("qgis_version() { echo 34006; }; missing_system", apt).stdout
    told = call("qgis_version() { echo 32215; }; check_qgis", apt)
    assert told.returncode == 1 and "3.40 or newer, found 3.22" in told.stdout
    assert call("qgis_version() { echo 34006; }; check_qgis", apt).returncode == 0
    assert call("qgis_version() { return 1; }; check_qgis", apt).returncode == 0


def test_who_is_not_root_is_told_one_command(tmp_path):
    apt = sources(tmp_path)
    told = call("id() { echo 1000; }; missing_system() { echo qgis; }; install_system", apt)
    assert told.returncode == 1
    line = told.stdout.splitlines()[-1].strip()
    assert line.startswith('sudo sh -c "') and "apt-get install" in line
    assert subprocess.run(["bash", "-nc", line], capture_output=True).returncode == 0
