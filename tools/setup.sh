# What ./run, ./test and .ci/run share: Debian packages, the build, and the Python packages of the tests.
# Sourced by bash from the root of the repository.

say() { printf '%s\n' "headgate: $*" >&2; }

# Debian 12 has Boost 1.74 as default and 1.81 beside it; later releases have a newer default.
boost_packages() {
  local version=""
  [ -r /etc/os-release ] && version=$(. /etc/os-release && printf '%s' "${VERSION_ID:-}")
  if [ "$version" = 12 ]; then echo libboost1.81-dev libboost-json1.81-dev; else echo libboost-dev libboost-json-dev; fi
}

# What the web page shows Markdown and formulas with; the build copies it into the binary.
WEB_PACKAGES="libjs-marked node-dompurify libjs-katex fonts-katex"
BUILD_PACKAGES="g++ cmake ninja-build pkg-config $(boost_packages) libcli11-dev libspdlog-dev libfmt-dev libtomlplusplus-dev libedit-dev libssl-dev libsqlite3-dev libxxhash-dev libcurl4-openssl-dev prometheus-cpp-dev $WEB_PACKAGES"
TEST_PACKAGES="libgtest-dev libbenchmark-dev binutils git python3 python3-venv"
CLANG_PACKAGES="clang libclang-rt-dev llvm"
CI_PACKAGES="ccache clang-format chromium json-schema-test-suite libopenmpi-dev openmpi-bin $CLANG_PACKAGES"

# Says which of the packages named are not installed.
missing_packages() {
  local installed package
  installed=" $(dpkg-query -W -f='${Package}:${db:Status-Status} ' "$@" 2>/dev/null || true)"
  for package in "$@"; do
    [[ $installed == *" $package:installed "* ]] || echo "$package"
  done
}

# need_packages NAMES...: installs what is missing when that needs no password; else prints the one line and gives up.
need_packages() {
  if ! command -v dpkg-query >/dev/null; then
    say "this is not a Debian system: make sure that the equivalents of these are installed: $*"
    return 0
  fi
  local missing as_root="" log
  missing=$(missing_packages "$@" | tr '\n' ' ')
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" != 0 ]; then
    if ! sudo -n true 2>/dev/null; then
      say "these packages are missing; install them and try again:"
      printf '  sudo apt-get install -y %s\n' "$missing" >&2
      exit 1
    fi
    as_root="sudo -n"
  fi
  say "installing Debian packages: $missing"
  mkdir -p build
  log=build/apt.log
  if ! { $as_root apt-get update && $as_root env DEBIAN_FRONTEND=noninteractive \
         apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
    tail -n 15 "$log" >&2
    say "apt-get failed (all of it: $log). Install by hand and try again:"
    printf '  sudo apt-get install -y %s\n' "$missing" >&2
    exit 1
  fi
}

# One compile job per core, but no more than one per 2 GiB of memory that is free.
jobs_for_this_machine() {
  local cores memory
  cores=$(nproc)
  memory=$(awk '/^MemAvailable:/ {print int($2 / 2097152)}' /proc/meminfo)
  [ "${memory:-0}" -ge 1 ] || memory=1
  if [ "$cores" -lt "$memory" ]; then echo "$cores"; else echo "$memory"; fi
}

# configure PRESET: where the build folder is new, was moved with the sources, or lacks some of CMAKE_ARGUMENTS.
configure() {
  local folder=build/$1 home known wanted
  home=$(sed -n 's/^CMAKE_HOME_DIRECTORY:INTERNAL=//p' "$folder/CMakeCache.txt" 2>/dev/null || true)
  if [ -n "$home" ] && [ "$home" != "$PWD" ]; then rm -rf "$folder"; fi
  wanted=$(echo ${CMAKE_ARGUMENTS:-})
  known=$(cat "$folder/arguments" 2>/dev/null || true)
  if [ -f "$folder/build.ninja" ] && [[ " $known " == *" $wanted "* || -z $wanted ]]; then
    return 0   # ninja itself runs cmake again where a CMakeLists.txt changed
  fi
  mkdir -p "$folder"
  if ! cmake --preset "$1" ${CMAKE_ARGUMENTS:-} >"$folder/configure.log" 2>&1; then
    cat "$folder/configure.log" >&2
    say "cmake could not configure $folder"
    return 1
  fi
  printf '%s\n' "$wanted" >"$folder/arguments"
}

# build PRESET TARGETS...: quiet unless it fails or draws on a terminal, where ninja keeps one line of progress.
build() {
  local preset=$1 folder=build/$1 log=build/$1/build.log jobs
  shift
  configure "$preset" || return 1
  if ninja -C "$folder" -n "$@" 2>/dev/null | grep -q 'no work to do'; then return 0; fi
  jobs=$(jobs_for_this_machine)
  say "building $folder with $jobs jobs (a first build takes some minutes)"
  if [ -t 2 ]; then
    ninja -C "$folder" -j "$jobs" "$@" >&2
  elif ! ninja -C "$folder" -j "$jobs" "$@" >"$log" 2>&1; then
    grep -aE -A 12 'FAILED:|error' "$log" | head -n 60 >&2 || tail -n 20 "$log" >&2
    say "the build failed (all of it: $log)"
    return 1
  fi
}

# Python packages that tests compare with, in build/venv; PYTHON_EXTRAS names more, PYTHON_ALONE some that are installed without what
# they ask for, since their bounds would hold the others back. Tests that need them skip where this does not work.
python_packages() {
  local venv=build/venv wanted="tokenizers jinja2 gguf numpy safetensors unicodedata2 jsonschema llguidance openai anthropic${PYTHON_EXTRAS:+ $PYTHON_EXTRAS}"
  # Found, not imported: some of them take seconds for that. "name[part]" is package name with what part of it needs.
  if "$venv/bin/python" -c 'import sys, importlib.util as u; sys.exit(any(u.find_spec(n.split("[")[0]) is None for n in sys.argv[1:]))' \
       $wanted ${PYTHON_ALONE:-} 2>/dev/null; then return 0; fi
  say "installing Python packages into $venv: $wanted ${PYTHON_ALONE:-}"
  mkdir -p build
  local install="$venv/bin/python -m pip install --quiet --disable-pip-version-check --retries 1 --no-compile"
  if ! { python3 -m venv "$venv" && $install $wanted && { [ -z "${PYTHON_ALONE:-}" ] || $install --no-deps $PYTHON_ALONE; }; } \
         >build/pip.log 2>&1; then
    tail -n 3 build/pip.log >&2
    say "the Python packages could not be installed (all of it: build/pip.log); tests that compare with them will skip"
    return 1
  fi
}
