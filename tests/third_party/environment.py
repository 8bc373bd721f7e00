"""A virtual environment with a stranger's distribution in it, which sees our packages by a .pth file."""

from __future__ import annotations

import os
import site
import subprocess
import sys
import sysconfig
from pathlib import Path

from attrs import frozen

DPB = ("-P", "-c", "from dpb_framework.cli import main; main(prog_name='dpb')")
"""The command `dpb` of an interpreter whose environment has no script for it."""


@frozen
class World:
    """A folder to work in, the interpreter of the environment, and that one's variables."""

    folder: Path
    python: Path
    environment: dict[str, str]

    def run(self, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.python), *arguments],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip

    def dpb(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run(*DPB, *arguments)


def installed(base: Path, project: Path, folder: Path) -> World:
    """Build *project*, install it into a new environment in *base*, and return that, to work in *folder*."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST_", "DPB_"))
    }
    environment |= {"XDG_CACHE_HOME": str(base / "cache"), "XDG_DATA_HOME": str(base / "data")}
    # What our own distributions compile is the same here: once for all tests is enough.
    environment["NUMBA_CACHE_DIR"] = str(Path(os.environ["XDG_CACHE_HOME"]) / "dpb-pathcomp")

    def run(*command: str | Path) -> None:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"

    wheels = base / "wheels"
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", wheels, project)
    run(sys.executable, "-m", "venv", "--without-pip", base / "venv")
    python = base / "venv" / "bin" / "python"
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(base / "venv"), "platbase": str(base / "venv")}))
    # addsitedir, and not just the path: editable installs are .pth files there, which are to be followed.
    ours = [path for path in [*site.getsitepackages(), sysconfig.get_path("purelib")] if Path(path).is_dir()]
    lines = [f"import site; site.addsitedir({path!r})" for path in dict.fromkeys(ours)]
    (packages / "ours.pth").write_text("\n".join(lines) + "\n", "utf-8")
    (wheel,) = wheels.glob("*.whl")
    run(sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index", wheel)
    return World(folder, python, environment)
