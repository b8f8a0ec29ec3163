"""Fetches and builds llama.cpp from PyPI's llama-cpp-python source distribution, into a folder outside the repository."""
import glob
import json
import os
import shutil
import subprocess
import sys
import tarfile

HERE = os.path.dirname(os.path.abspath(__file__))
TARGETS = ("llama", "llama-bench")
OPTIONS = ("-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=ON", "-DBUILD_SHARED_LIBS=ON", "-DLLAMA_BUILD_TESTS=OFF",
           "-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_SERVER=OFF", "-DLLAMA_BUILD_TOOLS=ON", "-DLLAMA_OPENSSL=OFF")
# The server without its web page, whose files would be fetched from elsewhere.
SERVER_OPTIONS = ("-DLLAMA_BUILD_SERVER=ON", "-DLLAMA_BUILD_UI=OFF", "-DLLAMA_USE_PREBUILT_UI=OFF")
COMPILERS = {"clang": ("clang", "clang++"), "gcc": ("gcc", "g++")}


class PeerError(Exception):
    """Something about the peer that a person has to put right, in one line."""


def run_logged(command, log, what):
    """Runs a command with its output in a file; a failure names the file and shows its last lines."""
    with open(log, "a", encoding="utf-8") as out:
        out.write("$ " + " ".join(command) + "\n")
        out.flush()
        try:
            status = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, check=False).returncode
        except FileNotFoundError:
            raise PeerError(f"{what}: {command[0]} is not installed") from None
    if status != 0:
        with open(log, encoding="utf-8", errors="replace") as text:
            tail = "".join(text.readlines()[-12:])
        raise PeerError(f"{what}: {command[0]} ended with status {status}; see {log}\n{tail}")


class Peer:
    """llama.cpp in a work folder: source/, build-COMPILER/, and the driver that is timed."""

    def __init__(self, work_dir, compiler="clang", version="", jobs=0):
        self.work_dir = os.path.abspath(work_dir)
        self.compiler = compiler
        self.version = version
        self.jobs = jobs or os.cpu_count() or 1
        self.build_dir = os.path.join(self.work_dir, "build-" + compiler)
        self.driver = os.path.join(self.work_dir, "llama_peer_" + compiler)
        self.llama_bench = os.path.join(self.build_dir, "bin", "llama-bench")
        self.server = os.path.join(self.work_dir, "build-server-" + compiler, "bin", "llama-server")

    def source(self):
        """The folder of llama.cpp's source, fetched at the first call."""
        pattern = os.path.join(self.work_dir, "src", f"llama_cpp_python-{self.version or '*'}", "vendor", "llama.cpp")
        if not glob.glob(pattern):
            self.fetch()
        found = sorted(glob.glob(pattern))
        if not found:
            raise PeerError(f"source: found no {pattern}")
        return found[-1]

    def fetch(self):
        folder = os.path.join(self.work_dir, "src")
        os.makedirs(folder, exist_ok=True)
        package = "llama-cpp-python" + (f"=={self.version}" if self.version else "")
        print(f"fetching the source of {package}", file=sys.stderr)
        run_logged([sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", "llama-cpp-python", "-d", folder,
                    package], os.path.join(self.work_dir, "fetch.log"), "source")
        for archive in glob.glob(os.path.join(folder, "llama_cpp_python-*.tar.gz")):
            with tarfile.open(archive) as tar:
                tar.extractall(folder, filter="data") if hasattr(tarfile, "data_filter") else tar.extractall(folder)

    def build(self):
        """Builds what is missing. Compiling takes ten minutes on two cores, once."""
        source = self.source()
        log = self.build_dir + ".log"
        if not os.path.exists(self.llama_bench):
            print(f"building llama.cpp with {self.compiler} in {self.build_dir} (log: {log})", file=sys.stderr)
            os.makedirs(self.work_dir, exist_ok=True)
            c, cxx = COMPILERS[self.compiler]
            generator = ["-G", "Ninja"] if shutil.which("ninja") else []
            run_logged(["cmake", "-S", source, "-B", self.build_dir, *generator, *OPTIONS, f"-DCMAKE_C_COMPILER={c}",
                        f"-DCMAKE_CXX_COMPILER={cxx}"], log, "configure")
            run_logged(["cmake", "--build", self.build_dir, "-j", str(self.jobs), "--target", *TARGETS], log, "build")
        self.build_driver(source, log)

    def build_server(self):
        """llama-server in a folder of its own, where it is not there yet. Compiling takes a quarter of an hour on two cores, once."""
        if os.path.exists(self.server):
            return
        source = self.source()
        folder = os.path.dirname(os.path.dirname(self.server))
        log = folder + ".log"
        print(f"building llama-server with {self.compiler} in {folder} (log: {log})", file=sys.stderr)
        c, cxx = COMPILERS[self.compiler]
        generator = ["-G", "Ninja"] if shutil.which("ninja") else []
        run_logged(["cmake", "-S", source, "-B", folder, *generator, *OPTIONS, *SERVER_OPTIONS, f"-DCMAKE_C_COMPILER={c}",
                    f"-DCMAKE_CXX_COMPILER={cxx}"], log, "configure")
        run_logged(["cmake", "--build", folder, "-j", str(self.jobs), "--target", "llama-server"], log, "build")

    def build_driver(self, source, log):
        code = os.path.join(HERE, "llama_cpp_driver.cpp")
        if os.path.exists(self.driver) and os.path.getmtime(self.driver) > os.path.getmtime(code):
            return
        libraries = os.path.join(self.build_dir, "bin")
        run_logged([COMPILERS[self.compiler][1], "-O2", "-std=c++17", code, "-o", self.driver, f"-I{source}/include",
                    f"-I{source}/ggml/include", f"-L{libraries}", f"-Wl,-rpath,{libraries}", "-lllama", "-lggml", "-lggml-base",
                    "-lggml-cpu"], log, "driver")

    def describe(self):
        """What was built, for the report."""
        version = os.path.basename(os.path.dirname(os.path.dirname(self.source())))
        c = subprocess.run([COMPILERS[self.compiler][0], "--version"], capture_output=True, text=True, check=False)
        return {"package": version, "compiler": c.stdout.split("\n")[0], "options": list(OPTIONS)}

    def bench(self, model, threads, settings, tests):
        """One run of llama-bench itself: tokens per second by test, to show that the driver measures the same."""
        command = [self.llama_bench, "-m", model, "-t", str(threads), "-o", "json", "-r", "3", "-ngl", "0",
                   "--repack", str(settings["repack"]), "-ub", str(settings["micro_batch"]),
                   "-fa", "on" if settings["flash"] else "off", "-ctk", settings["kv"], "-ctv", settings["kv"], *tests]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise PeerError(f"llama-bench ended with status {done.returncode}: {done.stderr.strip()[-300:]}")
        return [{"prompt": r["n_prompt"], "generate": r["n_gen"], "depth": r["n_depth"], "tokens_per_second": r["avg_ts"],
                 "samples": r["samples_ts"]} for r in json.loads(done.stdout)]
