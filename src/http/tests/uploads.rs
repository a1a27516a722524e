//! Claims about uploads that may be repeated.

use super::house::House;

#[tokio::test]
async fn an_upload_under_a_key_is_stored_once_and_other_bytes_under_it_are_refused() {
    let house = House::open().await;
    let upload = async |key: &str, bytes: &str| {
        let headers = [("idempotency-key", key)];
        let method = hyper::Method::POST;
        house
            .ask(method, "/api/v1/artifacts", &headers, bytes)
            .await
    };
    let first = upload("k 1", "abc").await;
    let again = upload("k 1", "abc").await;
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 200));
    assert_eq!(first.json(), again.json());
    let other = upload("k 1", "abd").await;
    assert_eq!(other.status, 422);
    assert_eq!(other.json()["code"], "idempotency_mismatch");
    let elsewhere = upload("k 2", "abd").await;
    assert_eq!(elsewhere.status, 201);
    let name = first.json()["$artifact"].as_str().unwrap().to_owned();
    let kept = house.get(&format!("/api/v1/artifacts/{name}")).await;
    assert_eq!(&kept.bytes[..], b"abc");
    assert_eq!(upload("", "abc").await.status, 400);
}
