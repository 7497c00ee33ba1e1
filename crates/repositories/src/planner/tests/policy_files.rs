//! Tests a policy whose files are in a repository.

use super::world::World;
use super::*;

/// Returns an organisation with these files in the repository `admin`.
async fn admin(contents: &Value, more: &Value) -> World {
    let mut admin = json!({ "branches": { "main": {} }, "contents": contents });
    for (key, value) in more.as_object().unwrap() {
        admin[key] = value.clone();
    }
    let state = json!({ "orgs": { "acme": { "repos": { "admin": admin } } } });
    World::new(state, "repository: { has_wiki: false }").await
}

#[tokio::test(start_paused = true)]
async fn a_tree_that_github_cuts_is_read_folder_by_folder() {
    let contents = json!({
        "README.md": "r", "src/a.rs": "a", "src/b.rs": "b",
        ".github/settings.yml": "s", ".github/repos/shop.yml": "x", ".github/repos/till.yml": "y",
    });
    for limit in [100, 4, 2] {
        let world = admin(&contents, &json!({ "tree_limit": limit })).await;
        let reader = world.parts().0.reader;
        let commit = reader.commit("admin", "main").await.unwrap();
        let files = reader.files_at("admin", &commit.id, ".github").await.unwrap();
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["repos/shop.yml", "repos/till.yml", "settings.yml"], "{limit}");
        let missing = reader.files_at("admin", &commit.id, "policy").await.unwrap_err();
        assert_eq!(missing.class, beadle_engine::Class::Rejected, "{limit}: {missing}");
        world.check_calls();
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_names_its_author_and_keeps_its_files() {
    let world = admin(&json!({ "settings.yml": "one" }), &json!({})).await;
    let reader = world.parts().0.reader;
    let first = reader.commit("admin", "main").await.unwrap();
    let repository = json!({
        "contents": { "settings.yml": "two" },
        "commit": { "author": "ann", "message": "Change it\n\nFor a reason." },
    });
    world.control("PATCH", &json!({ "orgs": { "acme": { "repos": { "admin": repository } } } })).await;
    let second = reader.commit("admin", "main").await.unwrap();
    assert_eq!((second.author.as_str(), second.subject.as_str()), ("ann", "Change it"));
    for (commit, text) in [(&first, "one"), (&second, "two")] {
        let files = reader.files_at("admin", &commit.id, "").await.unwrap();
        let ids = vec![files[0].blob.clone()];
        assert_eq!(reader.blobs("admin", &ids).await.unwrap()[&ids[0]], text);
    }
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn a_text_is_whole_whatever_its_length_and_a_binary_file_has_none() {
    let long = "ä".repeat(400_000);
    let contents = json!({ "a.yml": "", "b.yml": long, "c.yml": "x\u{0}y" });
    let world = admin(&contents, &json!({})).await;
    let reader = world.parts().0.reader;
    let commit = reader.commit("admin", "main").await.unwrap();
    let files = reader.files_at("admin", &commit.id, "").await.unwrap();
    let ids: Vec<String> = files.iter().map(|file| file.blob.clone()).collect();
    let texts = reader.blobs("admin", &ids).await.unwrap();
    assert_eq!((texts[&ids[0]].as_str(), texts.get(&ids[1]), texts.get(&ids[2])), ("", Some(&long), None));
    assert!(reader.blobs("admin", &["0".repeat(40)]).await.is_err(), "there is no such content");
    world.check_calls();
}
