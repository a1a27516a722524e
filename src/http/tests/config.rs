//! Claims about the plan of a configuration and its application.

use super::house::{House, READ};

#[tokio::test]
async fn a_plan_changes_nothing_and_an_application_does_it_once() {
    let house = House::open().await;
    let planned = house.post("/api/v1/config:plan", "{}").await;
    assert_eq!(planned.status.as_u16(), 200, "{planned:?}");
    let planned = planned.json();
    assert_eq!(
        (&planned["plan"], &planned["changes"]),
        (&READ.into(), &true.into())
    );
    assert_eq!(planned["units"][0]["does"], "restart");
    assert_eq!(planned["counts"]["restarted"], 1);
    assert_eq!(house.post("/api/v1/config:plan", "").await.json(), planned);
    let body = format!(r#"{{"plan": "{READ}"}}"#);
    assert_eq!(
        house.post("/api/v1/config:apply", &body).await.json(),
        planned
    );
    let again = house.post("/api/v1/config:apply", "").await.json();
    assert_eq!(
        (&again["changes"], &again["units"]),
        (&false.into(), &serde_json::json!([]))
    );
}

#[tokio::test]
async fn another_plan_than_the_one_looked_at_is_refused() {
    let house = House::open().await;
    let body = format!(r#"{{"plan": "{}"}}"#, READ.replace('0', "1"));
    let refused = house.post("/api/v1/config:apply", &body).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json()["code"]),
        (409, &"state_conflict".into())
    );
    for body in [r#"{"plan": "no"}"#, r#"{"agents": {}}"#] {
        let refused = house.post("/api/v1/config:apply", body).await;
        assert_eq!(refused.status.as_u16(), 422, "{body}: {refused:?}");
    }
}
