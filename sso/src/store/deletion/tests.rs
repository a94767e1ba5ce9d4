//! The two guards that only show between two transactions.

use std::{
    sync::mpsc,
    time::{Duration, UNIX_EPOCH},
};

use db::{Db, Lease};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};
use uuid::Uuid;

use super::*;
use crate::{
    challenge::Challenge,
    error::Error,
    identifier::Identifier,
    model::{AccountKind, Purpose, Target},
    revocations::Place,
    session::Session,
    store::{
        fixture::{postgres, sqlite},
        revocations,
        users::NewUser,
    },
    username::Username,
};

const USER: Uuid = Uuid::from_u128(1);

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_900_000_000)
}

/// Someone who signed up and has verified nothing.
async fn sign_up(db: &Db) -> Identifier {
    let identifier = Identifier::email("anna@example.com").expect("an address");
    let user = NewUser {
        id: USER,
        username: Username::parse("anna").expect("a name"),
        kind: AccountKind::Customer,
        password_hash: String::new(),
        identifier_id: Uuid::from_u128(2),
        identifier: identifier.clone(),
        is_verified: false,
        now: now(),
    };
    db.write("sign_up", move |c| users::insert(c, &user)).await.expect("signed up");
    identifier
}

#[tokio::test]
async fn whoever_verified_since_the_reaper_looked_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = sqlite(&folder).await;
    let identifier = sign_up(&db).await;
    let until = now() + Duration::from_secs(1);
    let seen = db.read("seen", move |c| Ok::<_, Error>(never_verified(c, until, 9)?)).await.expect("a look");
    assert_eq!(seen, [USER]);
    db.write("verify", move |c| users::verify(c, USER, &identifier, now())).await.expect("verified");
    let reap = move |c: &mut Conn| Ok::<_, Error>(delete(c, USER, Some(until), now())?);
    assert_eq!(db.write("reap", reap).await.expect("reaped"), None);
    assert!(db.read("there", |c| Ok::<_, Error>(users::find(c, USER)?)).await.expect("a look").is_some());
}

#[tokio::test]
async fn whoever_signed_up_again_since_the_reaper_looked_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = sqlite(&folder).await;
    sign_up(&db).await;
    let before = now() - Duration::from_secs(1);
    let reap = move |c: &mut Conn| Ok::<_, Error>(delete(c, USER, Some(before), now())?);
    assert_eq!(db.write("reap", reap).await.expect("reaped"), None);
}

/// On SQLite there is one writer, and nothing to show.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_targets_that_answer_at_once_the_second_takes_the_tombstone_away() {
    let Some(db) = postgres().await else { return };
    let leases = Target::ALL.map(|target| Lease::held(USER, target as i16, Uuid::from_u128(7)));
    db.write("delete", move |c| {
        bury(c, USER, 2, now())?;
        for lease in &leases {
            DEBTS.owe(c, Uuid::from_u128(lease.target as u128), lease, at(now()), at(now()))?;
        }
        Ok::<_, Error>(())
    })
    .await
    .expect("deleted");

    let ((arrived, has_arrived), (go, may_go)) = (mpsc::channel(), mpsc::channel::<()>());
    let one = db.clone();
    let first = tokio::spawn(async move {
        one.write("first", move |c| {
            let finished = finish(c, &leases[0])?;
            // The transaction is still open while the other target answers. A second run finds nobody waiting, and passes.
            let _ = arrived.send(());
            let _ = may_go.recv();
            Ok::<_, Error>(finished)
        })
        .await
    });
    tokio::task::spawn_blocking(move || has_arrived.recv()).await.expect("no panic").expect("it arrives");
    let mut second = tokio::spawn({
        let db = db.clone();
        async move { db.write("second", move |c| Ok::<_, Error>(finish(c, &leases[1])?)).await }
    });
    assert!(timeout(Duration::from_millis(300), &mut second).await.is_err(), "it waits for the first");
    drop(go);
    assert_eq!(first.await.expect("no panic").expect("committed"), End::Done);
    assert_eq!(second.await.expect("no panic").expect("committed"), End::Done);
    let left = db.read("left", |c| Ok::<_, Error>(truth(c, USER)?)).await.expect("a look");
    assert!(left.is_none(), "the tombstone stays for ever: {left:?}");
}

/// The lock of `bury`: whoever owes another target the deletion that the last one is just acknowledging would find the tombstone gone. On PostgreSQL alone, as above.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tombstone_stays_for_what_is_owed_while_the_last_target_answers() {
    let Some(db) = postgres().await else { return };
    let [social, blog] = Target::ALL.map(|target| Lease::held(USER, target as i16, Uuid::from_u128(7)));
    let owe =
        |c: &mut Conn, lease: &Lease| DEBTS.owe(c, Uuid::from_u128(lease.target as u128), lease, at(now()), at(now()));
    db.write("delete", move |c| {
        bury(c, USER, 2, now())?;
        Ok::<_, Error>(owe(c, &social)?)
    })
    .await
    .expect("deleted");

    let ((arrived, has_arrived), (go, may_go)) = (mpsc::channel(), mpsc::channel::<()>());
    let one = db.clone();
    let mending = tokio::spawn(async move {
        one.write("mend", move |c| {
            bury(c, USER, 9, now())?;
            owe(c, &blog)?;
            let _ = arrived.send(());
            let _ = may_go.recv();
            Ok::<_, Error>(())
        })
        .await
    });
    tokio::task::spawn_blocking(move || has_arrived.recv()).await.expect("no panic").expect("it arrives");
    let mut last = tokio::spawn({
        let db = db.clone();
        async move { db.write("last", move |c| Ok::<_, Error>(finish(c, &social)?)).await }
    });
    assert!(timeout(Duration::from_millis(300), &mut last).await.is_err(), "it waits for the other");
    drop(go);
    mending.await.expect("no panic").expect("owed");
    assert_eq!(last.await.expect("no panic").expect("committed"), End::Done);
    let left = db.read("left", |c| Ok::<_, Error>(truth(c, USER)?)).await.expect("a look");
    assert!(matches!(left, Some(Truth::Deleted { version: 2 })), "{left:?}");
}

/// The lock of `unlocked_owner`: the foreign key of what is left of a user who is being deleted was INTERNAL. On PostgreSQL alone, as above.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_that_is_asked_for_while_its_user_is_deleted_is_a_decoy() {
    let Some(db) = postgres().await else { return };
    let identifier = sign_up(&db).await;
    let address = identifier.clone();
    db.write("verify", move |c| users::verify(c, USER, &address, now())).await.expect("verified");

    let ((arrived, has_arrived), (go, may_go)) = (mpsc::channel(), mpsc::channel::<()>());
    let one = db.clone();
    let deleting = tokio::spawn(async move {
        one.write("delete", move |c| {
            let deleted = delete(c, USER, None, now())?;
            let _ = arrived.send(());
            let _ = may_go.recv();
            Ok::<_, Error>(deleted)
        })
        .await
    });
    tokio::task::spawn_blocking(move || has_arrived.recv()).await.expect("no panic").expect("it arrives");
    let mut asking = tokio::spawn(async move {
        db.write("ask", move |c| {
            let owner = users::unlocked_owner(c, &identifier)?;
            let (id, purpose) = (Uuid::from_u128(5), Purpose::ResetPassword);
            challenges::insert(c, &Challenge::begin(id, owner, identifier.clone(), purpose), now())?;
            Ok::<_, Error>(owner)
        })
        .await
    });
    assert!(timeout(Duration::from_millis(300), &mut asking).await.is_err(), "it waits for the deletion");
    drop(go);
    assert!(deleting.await.expect("no panic").expect("deleted").is_some());
    assert_eq!(asking.await.expect("no panic").expect("a decoy"), None);
}

fn ending() -> Ending {
    Ending { at: now(), until: now() + Duration::from_secs(900) }
}

/// As after a backup of SSO was restored.
#[tokio::test]
async fn whoever_goes_because_a_target_says_so_has_no_session_left_anywhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = sqlite(&folder).await;
    sign_up(&db).await;
    let (session_id, lease) = (Uuid::from_u128(3), Lease::held(USER, Target::Blog as i16, Uuid::from_u128(7)));
    let session = Session {
        id: session_id,
        user_id: USER,
        generation: 1,
        device_label: String::new(),
        network: String::new(),
        created_at: now(),
        refreshed_at: now(),
    };
    let believed = db.write("believe", move |c| {
        sessions::insert(c, &session)?;
        DEBTS.owe(c, Uuid::from_u128(4), &lease, at(now()), at(now()))?;
        Ok::<_, Error>(believe(c, &lease, &Debts::default(), ending())?)
    });
    assert_eq!(believed.await.expect("believed"), (End::Done, true));
    let first = Place { revoked_at: now(), session_id: Uuid::nil() };
    let revoked = db.read("revoked", move |c| Ok::<_, Error>(revocations::page(c, first, now(), 9)?));
    let revoked: Vec<_> = revoked.await.expect("a look").into_iter().map(|one| one.place.session_id).collect();
    assert_eq!(revoked, [session_id]);
}

/// Each held its debt and waited for the user, or for the other's debt, until PostgreSQL ended one of them, a second later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_targets_that_say_so_at_once_do_not_wait_for_each_other() {
    let Some(db) = postgres().await else { return };
    for round in 0..20 {
        sign_up(&db).await;
        let leases = Target::ALL.map(|target| Lease::held(USER, target as i16, Uuid::from_u128(7)));
        let debts: Debts = leases.iter().map(|lease| (Uuid::from_u128(lease.target as u128), *lease, now())).collect();
        let owed = debts.clone();
        db.write("owe", move |c| Ok::<_, Error>(owed.owe(c, now())?)).await.expect("owed");
        let (begun, mut both) = (Instant::now(), JoinSet::new());
        for lease in leases {
            let (db, debts) = (db.clone(), debts.clone());
            let believe = move |c: &mut Conn| Ok::<_, Error>(believe(c, &lease, &debts, ending())?);
            both.spawn(async move { db.write("believe", believe).await });
        }
        for end in both.join_all().await {
            end.expect("believed");
        }
        assert!(begun.elapsed() < Duration::from_millis(500), "{:?} in round {round}", begun.elapsed());
        let clean = |c: &mut Conn| {
            on!(c => diesel::delete(debts::table).execute(c))?;
            Ok::<_, Error>(on!(c => diesel::delete(tombstones::table).execute(c))?)
        };
        db.write("clean", clean).await.expect("clean");
    }
}
