//! Tests the limits of the sign-in.

use super::signed_in_tests::{HOST, cookie, world};

#[tokio::test]
async fn too_many_sign_ins_are_refused() {
    let world = world().await;
    let mut refused = 0;
    for _ in 0..70 {
        refused += usize::from(world.get("/sign-in", "").await.0.status == 429);
    }
    assert_eq!(refused, 10);
}

#[tokio::test]
async fn another_website_does_not_use_up_the_sign_ins() {
    let world = world().await;
    let sent = async |dest: &str, mode: &str| {
        let headers = [HOST, ("sec-fetch-dest", dest), ("sec-fetch-mode", mode)];
        world.send("GET", "/sign-in", &headers, "").await.0
    };
    for _ in 0..30 {
        for (dest, mode) in [("image", "no-cors"), ("iframe", "navigate"), ("empty", "cors")] {
            let head = sent(dest, mode).await;
            let attempt = cookie(&head, "__Host-beadle-sign-in");
            assert_eq!((head.status.as_u16(), attempt), (403, None), "{dest}");
        }
    }
    assert_eq!(sent("document", "navigate").await.status, 303, "a person opens the address");
}
