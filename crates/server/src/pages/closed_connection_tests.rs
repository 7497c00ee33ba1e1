//! Tests a caller that closes the connection while the server works on the request.

use std::time::Duration;

use super::signed_in_tests::world;

#[tokio::test]
async fn a_decision_ends_although_the_caller_closes_the_connection() {
    let world = world().await;
    let session = world.sign_in("approver").await;
    let token = world.token(&session).await;
    let body = format!("token={token}&code=slow&ruling=reject&reason=r&shown=1");
    let slow = &world.decided.3;
    tokio::select! {
        answer = world.post("/holds/decide", &session, &body) => panic!("{answer:?}"),
        () = slow.begun.notified() => {}
    }
    slow.may_end.notify_one();
    for _ in 0..1_000 {
        if world.decisions().len() == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the decision ended with its connection");
}
