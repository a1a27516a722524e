//! What agents say in figures: what they have spent, and gauges of their own.

use agent_system::actors::work::{AgentOutcome, AgentSpent};
use agent_system::domain::spend::Usage;
use agent_system::telemetry::metrics::Metrics;
use serde_json::json;

use super::http::{rig_of, says, server, silent};
use super::rig::{Rig, failed_with, hello, output, speaking, task};

/// What was said, and whether it came with an answer.
const fn told(spent: &AgentSpent) -> (Option<u64>, Option<u64>, Option<u64>, bool) {
    let Usage {
        cost_micros,
        input_tokens,
        output_tokens,
    } = spent.usage;
    (cost_micros, input_tokens, output_tokens, spent.with_answer)
}

/// The errors that a life has counted.
async fn errors(rig: &Rig) -> u64 {
    rig.probe().await.unwrap().errors
}

#[actix_rt::test]
async fn a_childs_usage_is_counted_for_its_task_or_for_none() {
    let rig = Rig::start(speaking(
        r#"echo '{"type":"usage","cost_usd":0.25,"model":"m","provider":"p"}';
           echo '{"type":"usage","task_id":"'$id'","input_tokens":7,"output_tokens":0}';
           echo '{"type":"result","task_id":"'$id'","lease_id":"'$lease'","output":1,"usage":{"cost_usd":1}}'"#,
    ));
    let task = task(hello());
    let (id, of) = (task.id, Some((task.id, task.lease_id)));
    rig.port().await.assign(task).unwrap();
    assert_eq!(output(rig.settled(id).await), json!(1));
    let spent = rig.memory.spent.lock().clone();
    let told: Vec<_> = spent.iter().map(|it| (it.of, told(it))).collect();
    assert_eq!(
        told,
        [
            (None, (Some(250_000), None, None, false)),
            (of, (None, Some(7), Some(0), false)),
            (of, (Some(1_000_000), None, None, true)),
        ]
    );
    assert_eq!(errors(&rig).await, 0);
}

#[actix_rt::test]
async fn usage_that_is_no_figure_is_an_error_of_the_child_and_ends_no_task() {
    let rig = Rig::start(speaking(
        r#"echo '{"type":"usage","task_id":"'$id'","cost_usd":-1}';
           echo '{"type":"usage","task_id":"'$id'","input_tokens":"many"}';
           echo '{"type":"usage","task_id":"'$id'"}';
           echo '{"type":"usage","task_id":"'$id'","cost_usd":1e999}';
           echo '{"type":"result","task_id":"'$id'","lease_id":"'$lease'","output":1,"usage":{"cost_usd":-2}}'"#,
    ));
    assert_eq!(output(rig.run(hello()).await), json!(1));
    assert_eq!(rig.memory.spent.lock().len(), 0);
    assert_eq!(errors(&rig).await, 5);
}

#[actix_rt::test]
async fn a_services_usage_comes_with_its_answer_and_with_its_error() {
    for (answer, error, spent) in [
        (
            says(
                "200 OK",
                r#"{"output":1,"usage":{"cost_usd":0.5,"output_tokens":3}}"#,
            ),
            None,
            vec![(Some(500_000), None, Some(3), true)],
        ),
        (
            says("500 No", r#"{"code":"odd","usage":{"input_tokens":9}}"#),
            Some("odd"),
            vec![(None, Some(9), None, true)],
        ),
        (
            says("200 OK", r#"{"output":1,"usage":{"cost_usd":-5}}"#),
            None,
            vec![],
        ),
        (
            says("200 OK", r#"{"output":1,"usage":"much"}"#),
            None,
            vec![],
        ),
    ] {
        let (url, _asked) = server(answer).await;
        let rig = rig_of(url);
        let outcome = rig.run(hello()).await;
        match error {
            None => assert_eq!(outcome, AgentOutcome::Output(json!(1))),
            Some(code) => assert_eq!(failed_with(&outcome), (code.to_owned(), true)),
        }
        let told: Vec<_> = rig.memory.spent.lock().iter().map(told).collect();
        let bad = spent.is_empty();
        assert_eq!(told, spent);
        let counted = errors(&rig).await;
        assert_eq!(counted, u64::from(bad || error.is_some()));
    }
}

#[actix_rt::test]
async fn what_never_reached_anybody_has_cost_nothing() {
    let (_held, url) = silent();
    let rig = rig_of(url);
    let outcome = rig.run(hello()).await;
    assert_eq!(failed_with(&outcome), ("unreachable".to_owned(), true));
    assert_eq!(rig.memory.spent.lock()[0].usage, Usage::NOTHING);
}

#[actix_rt::test]
async fn a_childs_metrics_are_gauges_of_its_own_and_what_is_none_is_refused() {
    let metrics = Metrics::install().unwrap();
    let rig = Rig::start(speaking(
        r#"echo '{"type":"metric","name":"documents","value":41}';
           echo '{"type":"metric","name":"documents","value":42.5,"labels":{"a":"b"}}';
           echo '{"type":"metric","name":"Documents","value":1}';
           echo '{"type":"metric","name":"a-b","value":1}';
           for n in $(seq 1 32); do echo '{"type":"metric","name":"m'$n'","value":1}'; done;
           echo '{"type":"result","task_id":"'$id'","lease_id":"'$lease'"}'"#,
    ));
    rig.run(hello()).await;
    let text = metrics.render();
    let series: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("agent_system_agent_reported{agent=\"subject\""))
        .collect();
    assert_eq!(series.len(), 32, "{text}");
    assert_eq!(
        series[0],
        "agent_system_agent_reported{agent=\"subject\",metric=\"documents\"} 42.5"
    );
    assert!(!text.contains("metric=\"m32\""));
    assert_eq!(errors(&rig).await, 3);
}
