#!/usr/bin/env python3
"""Grades a submission of Classroom 50 with feedgrade.

Classroom 50's runner starts this in the learner's checkout and reads ./result.json. It ends with 0
when there is a grade, whatever the grade is, and with 1 when the machine failed: then there is no
result, and no zero.

feedgrade is taken from the bundle (a file `feedgrade` beside this one), else from the PATH (an image
that your `runtime` block names), else compiled from SOURCE. A folder `content` beside this file holds
a course's own exercises.
"""

import os
import pathlib
import secrets
import shutil
import subprocess
import sys
import tempfile

# The address and revision of your course's feedgrade repository, for `cargo install --git`.
SOURCE = ""
REVISION = ""


def program(bundle):
    """The feedgrade to run, or None with the reason told."""
    packed = bundle / "feedgrade"
    if packed.is_file():
        packed.chmod(0o755)
        return str(packed)
    found = shutil.which("feedgrade")
    if found or not SOURCE:
        return found
    root = pathlib.Path(tempfile.mkdtemp())
    command = ["cargo", "install", "--locked", "--root", str(root), "--git", SOURCE]
    command += ["--rev", REVISION] if REVISION else []
    # Not from the learner's folder, whose .cargo/config.toml must have no say here.
    subprocess.run(command, check=True, cwd=root)
    return str(root / "bin" / "feedgrade")


def put(source, name):
    """Puts a file into the checkout, in the place of whatever a learner committed there.

    A link is replaced and not followed, because it could name any file of this machine.
    """
    place = pathlib.Path.cwd() / name
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    with tempfile.NamedTemporaryFile(dir=place.parent, delete=False) as file:
        file.write(source.read_bytes())
    os.chmod(file.name, 0o644)
    os.replace(file.name, place)


def main():
    here = pathlib.Path(__file__).resolve().parent
    bundle = pathlib.Path(os.environ.get("CLASSROOM50_BUNDLE_DIR") or here)
    feedgrade = program(bundle)
    if feedgrade is None:
        print("there is no feedgrade: put it into the bundle or on the PATH, or name SOURCE")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder)
        command = [feedgrade, "--color", "never"]
        if (bundle / "content").is_dir():
            command += ["--content", str(bundle / "content")]
        database = os.environ.get("FEEDGRADE_DATABASE", "auto")
        command += ["check", "--exit-zero", "--out", folder, "--database", database]
        command += ["--write", f"classroom50={out / 'result.json'}"]
        command += ["--write", f"markdown={out / 'release-body.md'}", "."]
        # What the learner's build and server say is no command for the job's log.
        token = secrets.token_hex(16)
        print(f"::stop-commands::{token}", flush=True)
        code = subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode
        print(f"\n::{token}::", flush=True)
        if code != 0:
            print(f"not graded, and this is no zero: feedgrade ended with {code}")
            return 1
        put(out / "result.json", "result.json")
        put(out / "release-body.md", "release-body.md")
        put(out / "report.html", "feedgrade-report.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
