# Sourced by the other scripts: finds a Python and keeps the checkout's own .venv up to date.
#
#   ensure_environment         installs pocketnas
#   ensure_environment dev     installs pocketnas and the tools that scripts/test and scripts/check call

# Prints the first interpreter that runs and is new enough.  A name on PATH is not proof: version
# managers leave shims behind that only print an error.
find_python() {
    local candidate
    for candidate in python3.11 python3.12 python3.13 python3.14 python3; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
    echo "error: pocketnas needs Python 3.11 or later; none found (on Debian: apt-get install python3 python3-venv)" >&2
    return 1
}

create_environment() {
    local python
    python=$(find_python) || return 1
    if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        echo "error: $python has no venv module (on Debian: apt-get install python3-venv)" >&2
        return 1
    fi
    "$python" -m venv --clear .venv
}

# The stamp holds what was installed, so a second call costs nothing and a changed pin is noticed.
ensure_environment() {
    local extra="${1:-}" wanted stamp
    wanted=$(cat pyproject.toml constraints.txt | cksum)
    for stamp in .venv/installed-dev ".venv/installed${extra:+-$extra}"; do
        if [[ -f $stamp && $(<"$stamp") == "$wanted" ]] && .venv/bin/python -c '' 2>/dev/null; then
            return
        fi
    done
    .venv/bin/python -m pip --version >/dev/null 2>&1 || create_environment || return 1
    echo "Installing pocketnas${extra:+[$extra]} into .venv (first time only: some minutes, about 1.5 GB) …" >&2
    .venv/bin/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e ".[datasets${extra:+,$extra}]" || return 1
    echo "$wanted" >".venv/installed${extra:+-$extra}"
}
