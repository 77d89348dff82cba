"""A real QGIS window on a screen of its own, driven by X events. Used by the desktop test and by the screenshots."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAMS = ("Xvfb", "openbox", "xdotool", "import", "qgis")


def missing_programs() -> list[str]:
    return [program for program in PROGRAMS if shutil.which(program) is None]


class Desktop:
    """QGIS with the plugin in a profile of its own; a context manager."""

    def __init__(self, folder: Path, files: list[Path], width: int = 1400, height: int = 900) -> None:
        self.folder = folder
        self._files = files
        self._size = width, height
        self._processes: list[subprocess.Popen] = []

    def __enter__(self) -> Desktop:
        try:
            self._begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _begin(self) -> None:
        width, height = self._size
        profiles = self.folder / "profiles"
        plugins = profiles / "profiles/default/python/plugins"
        python = "/usr/bin/python3"
        subprocess.run([python, REPOSITORY / "tools/install.py", "--plugins-folder", plugins], check=True, stdout=subprocess.DEVNULL)
        settings = profiles / "profiles/default/QGIS/QGIS3.ini"
        settings.parent.mkdir(parents=True)
        settings.write_text(
            "[PythonPlugins]\nskysense_qgis=true\n[qgis]\ncheckVersion=false\nshowTips=false\n"
            "[projections]\npromptWhenMultipleTransformsExist=false\n"
        )
        read, write = os.pipe()
        screen = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{width}x{height}x24", "-dpi", "96", "-nolisten", "tcp"],
            pass_fds=[write], stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._processes.append(screen)
        os.close(write)
        number = b""
        while not number.endswith(b"\n"):
            number += os.read(read, 16)
        os.close(read)
        self.environment = {
            **{name: value for name, value in os.environ.items() if name != "QT_QPA_PLATFORM"},
            "DISPLAY": f":{number.decode().strip()}",
            "SKYSENSE_TEST_FOLDER": str(self.folder),
            "XDG_RUNTIME_DIR": str(self.folder),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "XDG_DATA_HOME": str(self.folder / "data"),  # models are trained here, not among the user's own
            "LIBGL_ALWAYS_SOFTWARE": "1",
        }
        self._start(["openbox"])
        self.start_qgis()

    def start_qgis(self) -> None:
        """Also again, after `close_qgis`."""
        self._start(
            ["qgis", "--nologo", "--noversioncheck", "--skipbadlayers", "--profiles-path", str(self.folder / "profiles"),
             "--code", str(Path(__file__).parent / "in_qgis.py"), *map(str, self._files)]
        )  # fmt: skip
        self.wait("'skysense_qgis' in plugins and len(layers()) >= " + str(len(self._files)), 120)
        # 96 dpi above and a window that QGIS itself maximises: Qt's positions are the screen's pixels.
        self.ask("iface.mainWindow().showMaximized()")
        time.sleep(1)

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def close_qgis(self) -> None:
        """As a user does it; the project has no changes to be asked about."""
        self.ask("QTimer.singleShot(0, lambda: iface.actionExit().trigger())")
        self._processes[-1].wait(20)

    def ask(self, expression: str, seconds: float = 30.0):
        """The value of an expression inside QGIS."""
        reply = self.folder / "answer"
        reply.unlink(missing_ok=True)
        part = self.folder / "ask.part"
        part.write_text(expression, encoding="utf-8")
        part.rename(self.folder / "ask")
        end = time.monotonic() + seconds
        while not reply.exists():
            if time.monotonic() > end:
                raise TimeoutError(f"QGIS did not answer: {expression}")
            time.sleep(0.02)
        value = json.loads(reply.read_text(encoding="utf-8"))
        if "error" in value:
            raise RuntimeError(f"{expression}: {value['error']}")
        return value["value"]

    def wait(self, expression: str, seconds: float = 60.0):
        """Ask until it is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                value = self.ask(expression, max(1.0, end - time.monotonic()))
            except RuntimeError:
                value = None
            if value:
                return value
            time.sleep(0.1)
        self.picture(self.folder / "timeout.png")
        raise TimeoutError(f"not within {seconds} s: {expression}; a picture lies in {self.folder}")

    def click(self, place: str, button: int = 1) -> None:
        """Press a mouse button at the place that an expression gives: where("…"), tab("…"), canvas(x, y)."""
        x, y = self.ask(place)
        self._tool("mousemove", str(x), str(y))
        time.sleep(0.15)
        self._tool("mousedown", str(button))
        time.sleep(0.08)  # a menu that opens on the press must not take the release for its own
        self._tool("mouseup", str(button))
        time.sleep(0.15)

    def key(self, name: str) -> None:
        self._tool("key", name)
        time.sleep(0.15)

    def type(self, text: str) -> None:
        self._tool("type", "--delay", "20", text)

    def picture(self, path: Path) -> None:
        """The whole screen."""
        subprocess.run(["import", "-window", "root", str(path)], env=self.environment, check=True)

    def _start(self, command: list[str]) -> None:
        log = (self.folder / f"{Path(command[0]).name}.log").open("wb")
        self._processes.append(subprocess.Popen(command, env=self.environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL))

    def _tool(self, *arguments: str) -> str:
        done = subprocess.run(["xdotool", *arguments], env=self.environment, check=True, capture_output=True, text=True)
        return done.stdout


if __name__ == "__main__":
    sys.exit("This module is imported by the desktop test and by docs/make_screenshots.py.")
