//! Tests of the undos that already reverted the selected writes.

use super::*;
use crate::app::operations::earlier_undos::{EarlierUndo, earlier_undos};

/// Returns the undos that already reverted the writes of a policy.
async fn earlier(store: &SqliteStore, policy: &str) -> Vec<EarlierUndo> {
    let writes = writes_of(store, policy).await.unwrap();
    let others = others_after(store, &writes).await.unwrap();
    earlier_undos(store, &writes, &others).await.unwrap()
}

#[tokio::test]
async fn an_undone_write_names_its_undo_until_somebody_undoes_the_undo() {
    let (_folder, store) = temporary();
    let policy = "d3ffdfc7c73a";
    let write = async |topic: &str, generation: &str| {
        write_of(&store, (topic, generation), Happened::Yes, Time(1000)).await
    };
    write("one", policy).await;
    write("two", policy).await;
    let (name, twice) = ("undo of policy d3ffdfc7c73a", "undo of undo 5");
    begun(&store, name, "labs").await;
    assert!(earlier(&store, policy).await.is_empty(), "the undo wrote nothing");
    let first = begun(&store, name, "acme").await;
    write("no one", name).await;
    let sentence = |which: &str, number: &str| {
        format!(
            "mona already undid {which} at 1970-01-01T00:00:01Z with undo {number}; to undo this undo: `beadle undo \
             {number}`"
        )
    };
    let found = earlier(&store, policy).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].sentence, sentence("1 of these writes", &first));
    assert_eq!(found[0].number.to_string(), first);
    // The operator repeats the undo, for example after an approval.
    let second = begun(&store, name, "acme").await;
    write("no two", name).await;
    let found: Vec<String> = earlier(&store, policy).await.into_iter().map(|undo| undo.sentence).collect();
    let both = [&second, &first].map(|number| sentence("1 of these writes", number));
    assert_eq!(found, both, "the newest comes first");
    begun(&store, twice, "acme").await;
    write("one", twice).await;
    write("two", twice).await;
    assert!(earlier(&store, policy).await.is_empty(), "somebody undid the undos");
}

#[tokio::test]
async fn an_undo_is_named_after_the_kinds_of_its_entries() {
    let (_folder, store) = temporary();
    let write = write(&store, "one", Happened::Yes).await.to_string();
    let run = run(&store, 1).await.to_string();
    let undo = begun(&store, "undo of run 3", "acme").await;
    let digest = change("one").digest(&key());
    let words = [write.clone(), run.clone(), undo.clone(), digest.clone()];
    let titles = named(&store, &words).await.unwrap().titles;
    let expected =
        [format!("write {write}"), format!("run {run}"), format!("undo {undo}"), format!("change {digest}")];
    assert_eq!(titles, expected);
}
