# Sourced by tests that need more than Rust: installs Debian's packages where a command is missing.

# ensure COMMAND PACKAGE...: the command is there, or its packages are installed.
ensure() {
    local command=$1
    shift
    if command -v "$command" >/dev/null; then return 0; fi
    if ! command -v apt-get >/dev/null; then
        echo "$command is missing; on Debian it is in: $*" >&2
        return 1
    fi
    echo "$command is missing: installing $*." >&2
    local sudo=""
    [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq "$@" >/dev/null
}
