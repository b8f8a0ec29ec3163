#!/usr/bin/env python3
"""Random requests of schemathesis, made from /openapi.json: no 5xx, and every answer as the document says.

Usage: openapi_test.py PROGRAM. HEADGATE_OPENAPI_EXAMPLES says how many requests each endpoint gets (default 10; a long run: 1000).
Exits with 77 where schemathesis is not installed.
"""
import importlib.util
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from served import Served

CHECKS = ("not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,"
          "negative_data_rejection,unsupported_method,allow_header_conformance,use_after_free")


def main():
    """Runs schemathesis; its exit status."""
    if importlib.util.find_spec("schemathesis") is None:
        print("skipped: no Python package schemathesis")
        return 77
    examples = os.environ.get("HEADGATE_OPENAPI_EXAMPLES", "10")
    # A small context bounds what a request can cost.
    sessions = tempfile.TemporaryDirectory(prefix="headgate-sessions-")
    server = Served(sys.argv[1], "--name", "nano", "--ctx", "256", "--max-queue", "4096", "--sessions", sessions.name)
    try:
        command = [sys.executable, "-m", "schemathesis.cli", "run", server.url + "/openapi.json", "--checks", CHECKS, "--max-examples", examples,
                   "--phases", "examples,coverage,fuzzing,stateful", "--generation-deterministic", "--workers", "1",
                   "--request-timeout", "60", "--suppress-health-check", "all", "--no-color"]
        done = subprocess.run(command, check=False, cwd=server.folder.name, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
        if server.process.poll() is not None:
            print("the server ended:", server.log())
            return 1
        return done.returncode
    finally:
        server.close()
        sessions.cleanup()


if __name__ == "__main__":
    sys.exit(main())
