//! What holds on both engines, in every mode.

use crate::world::everywhere;

everywhere!(
    statements_are_written_once,
    values_survive,
    a_violation_names_its_index,
    a_refusal_is_rolled_back,
    a_panic_is_rolled_back,
    a_read_may_not_write,
    a_deferred_constraint_fails_its_own_job,
    concurrent_writers_fail_alone,
    a_closed_database_refuses,
);

mod stories {
    use crate::store::{self, User, id, user};
    use db::{At, Conn, Db, Error};

    pub async fn statements_are_written_once(db: Db) {
        db.write("statements", |c| {
            store::insert(c, &user(1))?;
            assert_eq!(store::insert_if_new(c, &user(2))?, Some(id(2)));
            assert_eq!(store::insert_if_new(c, &User { id: id(3), email: "new".to_owned(), ..user(2) })?, None);
            let changed = store::upsert(c, &User { seen_at: Some(At(7)), username: "no".to_owned(), ..user(1) })?;
            assert_eq!(changed, User { seen_at: Some(At(7)), ..user(1) });
            assert_eq!((store::visit(c, id(1), 0)?, store::visit(c, id(1), 0)?), (1, 0));
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
        db.read("statements", |c| {
            assert_eq!(store::find(c, id(1))?.unwrap().visits, 1);
            assert_eq!(store::find(c, id(9))?, None);
            assert_eq!(store::some_of(c, &[id(2), id(1), id(9)])?, ["user1", "user2"]);
            assert_eq!(store::newest(c)?, Some(user(2).created_at));
            let first = store::page(c, None, 1)?.remove(0);
            assert_eq!(first, user(2));
            assert_eq!(store::page(c, Some((first.created_at, first.id)), 5)?.len(), 1);
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    }

    pub async fn values_survive(db: Db) {
        for (number, micros) in [(1, 0), (2, -1), (3, 946_684_800_000_000), (4, 4_102_444_800_123_456)] {
            let user =
                User { created_at: At(micros), id: id(u128::MAX - number), seen_at: Some(At(-micros)), ..user(number) };
            let stored = user.clone();
            let found = db.write("store", move |c| {
                store::insert(c, &stored)?;
                Ok::<_, Error>(store::find(c, stored.id)?)
            });
            assert_eq!(found.await.unwrap(), Some(user));
        }
    }

    pub async fn a_violation_names_its_index(db: Db) {
        db.write("first", |c| Ok::<_, Error>(store::insert(c, &user(1))?)).await.unwrap();
        let same_name = User { email: "other".to_owned(), id: id(2), ..user(1) };
        let error = db.write("name", move |c| Ok::<_, Error>(store::insert(c, &same_name)?)).await.unwrap_err();
        assert!(error.is_unique("users_kind_username_key"), "{error:?}");
        let same_email = User { email: "USER1@EXAMPLE.COM".to_owned(), ..user(2) };
        let error = db.write("email", move |c| Ok::<_, Error>(store::insert(c, &same_email)?)).await.unwrap_err();
        assert!(error.is_unique("users_lower_email"), "{error:?}");
        assert!(!error.is_unique("users_kind_username_key"));
    }

    pub async fn a_refusal_is_rolled_back(db: Db) {
        let refused = db.write("refused", |c| {
            store::insert(c, &user(1))?;
            Err::<(), _>(Error::Late)
        });
        assert!(matches!(refused.await, Err(Error::Late)));
        assert_eq!(users(&db).await, 0);
    }

    pub async fn a_panic_is_rolled_back(db: Db) {
        let panicked = db.write("panicking", |c: &mut Conn| -> Result<(), Error> {
            store::insert(c, &user(1))?;
            panic!("on purpose")
        });
        assert!(matches!(panicked.await, Err(Error::Panicked)));
        let panicked = db.read("panicking", |_| -> Result<(), Error> { panic!("on purpose") });
        assert!(matches!(panicked.await, Err(Error::Panicked)));
        assert_eq!(users(&db).await, 0);
        db.write("after", |c| Ok::<_, Error>(store::insert(c, &user(1))?)).await.unwrap();
        assert_eq!(users(&db).await, 1);
    }

    pub async fn a_read_may_not_write(db: Db) {
        let refused = db.read("writing", |c| Ok::<_, Error>(store::insert(c, &user(1))?)).await;
        assert!(refused.is_err());
        assert_eq!(users(&db).await, 0);
        db.write("after", |c| Ok::<_, Error>(store::insert(c, &user(1))?)).await.unwrap();
    }

    pub async fn a_deferred_constraint_fails_its_own_job(db: Db) {
        db.write("user", |c| Ok::<_, Error>(store::insert(c, &user(1))?)).await.unwrap();
        let jobs: Vec<_> = (0..20)
            .map(|number| {
                let db = db.clone();
                let user = id(if number % 5 == 0 { 99 } else { 1 });
                let note =
                    async move { db.write("note", move |c| Ok::<_, Error>(store::note(c, id(number), user)?)).await };
                (number, tokio::spawn(note))
            })
            .collect();
        for (number, job) in jobs {
            match job.await.unwrap() {
                Ok(written) => assert!(written == 1 && number % 5 != 0),
                Err(error) => assert!(matches!(error, Error::Query(_)) && number % 5 == 0, "{number}: {error:?}"),
            }
        }
    }

    pub async fn concurrent_writers_fail_alone(db: Db) {
        let jobs: Vec<_> = (0..200u128)
            .map(|number| {
                let db = db.clone();
                tokio::spawn(async move {
                    let write = db.write("concurrent", move |c| {
                        store::insert(c, &user(number))?;
                        assert!(number % 50 != 7, "on purpose");
                        if number % 10 == 3 { Err(Error::Full) } else { Ok(()) }
                    });
                    (number, write.await)
                })
            })
            .collect();
        for job in jobs {
            match job.await.unwrap() {
                (number, Err(Error::Panicked)) => assert_eq!(number % 50, 7),
                (number, Err(Error::Full)) => assert_eq!(number % 10, 3),
                (number, result) => assert!(result.is_ok() && number % 50 != 7 && number % 10 != 3),
            }
        }
        assert_eq!(users(&db).await, 200 - 20 - 4);
    }

    pub async fn a_closed_database_refuses(db: Db) {
        let other = db.clone();
        db.close().await;
        assert!(matches!(other.write("closed", |_| Ok::<_, Error>(())).await, Err(Error::Unavailable)));
        assert!(matches!(other.read("closed", |_| Ok::<_, Error>(())).await, Err(Error::Unavailable)));
    }

    async fn users(db: &Db) -> i64 {
        db.read("count", |c| Ok::<_, Error>(store::count(c)?)).await.unwrap()
    }
}
