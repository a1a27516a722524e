# Installs tools that a script needs, only if they are missing. To be sourced.

# need COMMAND PACKAGE: the command exists afterwards, from Debian's package if it was missing.
need() {
    command -v "$1" >/dev/null 2>&1 && return
    local as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    echo "installing $2 (for $1)" >&2
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2" >&2
}

# need_nextest: cargo-nextest exists afterwards, built from crates.io if it was missing.
need_nextest() {
    cargo nextest --version >/dev/null 2>&1 && return
    echo "installing cargo-nextest" >&2
    cargo install --locked cargo-nextest >&2
}

# need_postgres: PostgreSQL's server programs exist afterwards. Debian keeps them out of PATH.
need_postgres() {
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || need initdb postgresql
}
