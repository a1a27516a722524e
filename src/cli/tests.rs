//! Claims about the command line: what it takes, and with which code it ends.

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use super::{Cli, Context, dispatch, exit};
use crate::domain::health::HealthStatus;
use crate::http::tests::house::House;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("agent-system").chain(line.split_whitespace()))
}

/// What the command at the end of `line` ends with, told to the daemon at `url`.
async fn run(url: &str, line: &str) -> u8 {
    let Cli { global, command } = parse(&format!("--url {url} {line}")).unwrap();
    let context = match Context::new(global) {
        Ok(context) => context,
        Err(failure) => return failure.code,
    };
    match dispatch(context, command).await {
        Err(failure) => failure.code,
        Ok(code) if code == ExitCode::SUCCESS => 0,
        Ok(_) => exit::UNHEALTHY,
    }
}

#[test]
fn the_command_tree_is_sound() {
    Cli::command().debug_assert();
}

/// Command lines of the contract, and of the habits of those who know others of its kind.
#[rustfmt::skip]
const CONTRACT: &[&str] = &[
    "serve --env testing --config a.toml --config b.toml --data-dir d --port 0",
    "agents list -o json",
    "agents list --state ready --kind process --role writer --group writers",
    "agents get echo -o json",
    "agents tree",
    "agents start echo",
    "agents stop echo#1",
    "agents restart echo",
    "agents scale echo 3",
    "agents pause echo",
    "agents pause echo --until 2026-11-23T06:00:00Z",
    "agents pause echo --for 10m",
    "agents resume echo",
    "agents logs echo",
    "agents logs echo --tail 20",
    "agents crashes echo",
    "agents explain echo",
    "tasks submit --agent echo --payload {} --wait",
    "tasks submit --role writer --name n --payload-file f --priority 9 --run-at 2026-11-23T06:00:00Z --max-attempts 2 --timeout 30s --label a=b --label c=d --idempotency-key k",
    "tasks submit --queue default",
    "tasks list --state queued",
    "tasks get tsk_1",
    "tasks wait tsk_1",
    "tasks cancel tsk_1 --reason r",
    "tasks retry tsk_1",
    "tasks explain tsk_1",
    "dead-letters list --agent echo --queue default --label a=b",
    "dead-letters get tsk_1",
    "dead-letters retry tsk_1",
    "dead-letters retry --filter agent=echo --dry-run",
    "dead-letters purge --dry-run",
    "schedules list",
    "schedules pause s --for 1h --reason r",
    "schedules trigger s",
    "workflows run f.toml --input file=README.md --wait",
    "workflows list",
    "workflows get wfl_1",
    "workflows graph wfl_1",
    "workflows cancel wfl_1",
    "workflows retry wfl_1",
    "workflows validate f.toml",
    "queues list",
    "queues get default",
    "health",
    "health --ready --quiet",
    "health check database",
    "health history database",
    "recovery list",
    "recovery run restart",
    "recovery run restart --check agent.echo",
    "recovery history",
    "top --once",
    "events --follow --types task.* --since 2026-11-23T06:00:00Z",
    "messages list --to echo --from sum --type event --state waiting --limit 5",
    "messages send echo {}",
    "messages send echo",
    "messages send --to echo --type status_update --content {} --idempotency-key k",
    "metrics",
    "db status --data-dir d",
    "db migrate up --to 2",
    "db migrate down --to 1",
    "db migrate status",
    "db migrate history",
    "db history",
    "db prune --dry-run",
    "--token t --no-color -q -o name agents list",
    "agents list --url http://127.0.0.1:1 --token-file f",
];

#[test]
fn what_the_contract_names_is_taken() {
    for line in CONTRACT {
        assert!(parse(line).is_ok(), "{line}: {}", parse(line).unwrap_err());
    }
}

#[test]
fn what_needs_no_daemon_is_taken() {
    for line in [
        "agents test echo --payload [1] --timeout 5s --config a.toml",
        "agents test -o json -- python3 agent.py --flag",
        "init",
        "init some/where",
        "openapi",
        "config show --sources",
        "config validate --env production",
        "config schema",
        "doctor --config a.toml --data-dir d -o json",
        "version",
        "completion bash",
    ] {
        assert!(parse(line).is_ok(), "{line}: {}", parse(line).unwrap_err());
    }
}

#[test]
fn what_cannot_be_read_is_a_usage_error() {
    for line in [
        "",
        "agnts list",
        "agents get",
        "agents test",
        "agents test echo -- cat",
        "agents list -o yaml",
        "agents scale echo many",
        "tasks submit",
        "tasks submit --agent a --role b",
        "tasks submit --agent a --priority 10",
        "tasks submit --agent a --timeout soon",
        "tasks submit --agent a --run-at soon",
        "tasks submit --agent a --label x",
        "workflows run f.toml --input x",
        "messages send",
        "messages send echo 1 --content 2",
        "dead-letters retry tsk_1 --filter agent=echo",
        "db migrate down",
        "serve --env moon",
    ] {
        let error = parse(line).expect_err(line);
        assert!(error.use_stderr(), "{line}");
        assert_eq!(super::usage(&error), ExitCode::from(2), "{line}");
    }
    assert!(!parse("--help").unwrap_err().use_stderr());
}

#[tokio::test]
async fn each_end_has_its_code() {
    let house = House::open().await;
    let url = house.url("");
    let task = house
        .post("/api/v1/tasks", "{\"agent\":\"echo\"}")
        .await
        .json();
    let id = task["id"].as_str().unwrap();
    let cases = [
        ("agents list", 0),
        ("agents get echo", 0),
        ("agents get ehco", exit::NOT_FOUND),
        ("agents stop echo", 0),
        ("agents scale echo 2", 0),
        ("agents logs echo -n 1", 0),
        ("agents tree", 0),
        ("agents pause echo", exit::FAILED),
        ("tasks submit --agent echo --payload {}", 0),
        ("tasks submit --agent echo --payload {", exit::USAGE),
        (
            "tasks submit --agent echo --wait --wait-timeout 20ms",
            exit::TIMEOUT,
        ),
        ("tasks list -o jsonl", 0),
        ("tasks list --state done", exit::FAILED),
        ("tasks get nonsense", exit::NOT_FOUND),
        (&format!("tasks cancel {id}"), 0),
        (&format!("tasks wait {id}"), exit::UNHEALTHY),
        (&format!("tasks retry {id}"), 0),
        ("workflows validate /nowhere.toml", exit::FAILED),
        ("workflows get wfl_1", exit::NOT_FOUND),
        ("queues get defalt", exit::NOT_FOUND),
        ("health", 0),
        ("health check agent.ehco", exit::NOT_FOUND),
        ("health -o json check agent.echo", 0),
        ("health --ready check agent.echo", exit::USAGE),
        ("recovery list", 0),
        ("recovery run restart_echo", 0),
        ("recovery run restart-agent", exit::USAGE),
        ("recovery run restart-agent --check agent.echo", 0),
        ("recovery run restart-agnt", exit::NOT_FOUND),
        ("events -o jsonl", 0),
        ("messages send --to echo --content 7", 0),
        ("messages send --to echo --content seven", exit::USAGE),
        ("messages send echo 7", 0),
        ("messages send echo", 0),
        ("messages send echo seven", exit::USAGE),
        ("agents list --role nobody", 0),
        (&format!("dead-letters retry {id}"), exit::CONFLICT),
        ("dead-letters retry nonsense", exit::NOT_FOUND),
        ("messages list --to echo", 0),
        ("metrics", 0),
        ("metrics --agents", 0),
        ("version", 0),
    ];
    for (line, code) in cases {
        assert_eq!(run(&url, line).await, code, "{line}");
    }
}

#[tokio::test]
async fn what_is_unhealthy_unready_or_unreachable_has_its_code() {
    let house = House::open().await;
    let url = house.url("");
    *house.rooms.status.lock() = HealthStatus::Critical;
    assert_eq!(run(&url, "health").await, exit::UNHEALTHY);
    assert_eq!(run(&url, "health --ready").await, 0, "critical, yet ready");
    house.readiness.send_modify(|ready| ready.draining = true);
    assert_eq!(run(&url, "health --ready").await, exit::UNHEALTHY);
    let nobody = run("http://127.0.0.1:1", "health --ready --quiet").await;
    assert_eq!(nobody, exit::UNREACHABLE);
    assert_eq!(
        run("http://127.0.0.1:1", "agents list").await,
        exit::UNREACHABLE
    );
    assert_eq!(run("ftp://there", "agents list").await, exit::USAGE);
}

#[tokio::test]
async fn a_file_named_as_input_is_uploaded_and_a_missing_one_is_an_error() {
    let house = House::open().await;
    let scratch = tempfile::tempdir().unwrap();
    let definition = scratch.path().join("w.toml");
    let text = "name = \"w\"\n[input]\nfile = { \"$artifact\" = \"\" }\n\
        [[tasks]]\nname = \"split\"\nagent = \"echo\"\npayload = { \"$ref\" = \"input.file\" }\n";
    std::fs::write(&definition, text).unwrap();
    let words = scratch.path().join("words.txt");
    std::fs::write(&words, b"a \xff b").unwrap();
    let (definition, words) = (definition.display(), words.display());
    let url = house.url("");
    assert_eq!(
        run(&url, &format!("workflows validate {definition}")).await,
        0
    );
    assert_eq!(
        run(&url, &format!("workflows run {definition}")).await,
        exit::USAGE
    );
    let missing = format!("workflows run {definition} --input file=/nowhere.txt");
    assert_eq!(run(&url, &missing).await, exit::FAILED);
    let misspelt = format!("workflows run {definition} --input fiel={words}");
    assert_eq!(run(&url, &misspelt).await, exit::USAGE);
    assert_eq!(
        run(
            &url,
            &format!("workflows run {definition} --input file={words}")
        )
        .await,
        0
    );
    let runs = house.get("/api/v1/workflows").await.json();
    let input = &runs["items"][0]["input"]["file"];
    let stored = input["$artifact"].as_str().unwrap();
    assert_eq!(input["bytes"], 5);
    assert_eq!(
        &house
            .get(&format!("/api/v1/artifacts/{stored}"))
            .await
            .bytes[..],
        b"a \xff b"
    );
}
