"""Finds the files of the repository and reports what is wrong with them."""
import os
import subprocess
import sys

SKIPPED_FOLDERS = {"build", ".git", ".cache", ".venv", "__pycache__"}


def files_of(root):
    """Paths of all files that belong to the repository, relative to `root`, sorted.

    Asks git, so that ignored files stay out; walks the folders where there is no git.
    """
    try:
        listed = subprocess.run(
            ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            capture_output=True, check=True).stdout.decode("utf-8", "surrogateescape").split("\0")
        if any(listed):
            return sorted(f for f in set(listed) if f and os.path.isfile(os.path.join(root, f)))
    except (OSError, subprocess.CalledProcessError):
        pass
    found = []
    for folder, inner, names in os.walk(root):
        inner[:] = [name for name in inner if name not in SKIPPED_FOLDERS]
        found += [os.path.relpath(os.path.join(folder, name), root) for name in names]
    return sorted(found)


def read_text(root, path):
    """The text of a file, or None where it is binary."""
    with open(os.path.join(root, path), "rb") as file:
        data = file.read()
    if b"\0" in data[:8192]:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def is_script(root, path):
    """True for a file without extension that starts with a #! line."""
    if "." in os.path.basename(path):
        return False
    with open(os.path.join(root, path), "rb") as file:
        return file.read(2) == b"#!"


def repository_root():
    """The folder given as the first argument, else the one this file lies in."""
    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else here


def finish(tool, findings, checked):
    """Prints the findings, one a line, and returns the exit status."""
    for finding in findings:
        print(finding)
    print(f"{tool}: {checked}, {len(findings)} finding{'' if len(findings) == 1 else 's'}")
    return 1 if findings else 0
