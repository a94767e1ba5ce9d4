//! What is read of all users at once.

use std::time::UNIX_EPOCH;

use db::Db;

use super::*;
use crate::{
    error::Error,
    identifier::Identifier,
    model::AccountKind,
    store::{
        fixture::{postgres, sqlite},
        users::{NewUser, insert},
    },
    username::Username,
};

async fn sign_up(db: &Db, number: u128, password_hash: &str) {
    let user = NewUser {
        id: Uuid::from_u128(number),
        username: Username::parse(&format!("user{number}")).expect("a name"),
        kind: AccountKind::Customer,
        password_hash: password_hash.to_owned(),
        identifier_id: Uuid::from_u128(number),
        identifier: Identifier::email("anna@example.com").expect("an address"),
        is_verified: false,
        now: UNIX_EPOCH,
    };
    db.write("sign_up", move |c| insert(c, &user)).await.expect("signed up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_highest_cost_is_that_of_one_hash_among_many() {
    let folder = tempfile::tempdir().expect("a folder");
    for db in [Some(sqlite(&folder).await), postgres().await].into_iter().flatten() {
        let highest = async || db.read("highest", |c| Ok::<_, Error>(highest_cost(c)?)).await.expect("a look");
        assert_eq!(highest().await, None);
        for (number, cost) in (1..).zip(["10", "13", "09", "12"]) {
            sign_up(&db, number, &format!("$2b${cost}$abcdefghijklmnopqrstuuLv1AVsxBkI1UFbcBBLxYrVqyMcX5aFa")).await;
        }
        assert_eq!(highest().await.as_deref(), Some("13"));
    }
}
