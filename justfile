# Everyday commands. `just` alone lists them.

default:
    @just --list

# What CI runs, from formatting to tests.
check:
    .ci/run

# The whole test suite.
test *args:
    scripts/test {{args}}

# Formatting and lints.
lint:
    cargo fmt --check
    cargo clippy --all-targets --all-features -- -D warnings

# Start the daemon in the development environment.
serve *args:
    cargo run --release -- serve {{args}}

# The README's first lines against a daemon of their own, on free ports.
smoke:
    scripts/smoke

# All benchmarks; benches/README.md explains the figures.
bench *args:
    cargo bench {{args}}

# The image, from public base images.
image:
    docker build -t agent-system:latest .

# Documentation of the crate, private items too.
doc:
    cargo doc --no-deps --document-private-items --open

# Kills the daemon, then its agents, at random moments; all that was acknowledged must be done once.
kill-storm *args:
    scripts/kill-storm {{args}}
