//! Leased work, on both engines and in every mode.

use crate::world::everywhere;

everywhere!(
    a_row_born_held_is_left_alone_until_its_lease_is_over,
    whoever_lost_the_token_ends_and_postpones_nothing,
    who_holds_on_is_left_alone_for_longer,
    what_is_owed_again_begins_anew,
    what_is_parked_waits_for_somebody,
    what_waits_is_brought_forward_but_not_what_is_held,
    many_claimers_take_each_row_once,
);

mod stories {
    use std::collections::HashSet;

    use db::{
        At, Conn, Db, Error, Lease, Work,
        work::{Backlog, End},
    };
    use tokio::task::JoinSet;
    use uuid::Uuid;

    const ERRANDS: Work = Work::new("errands", "whose");

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    /// Runs it in a transaction of its own.
    async fn run<T: Send + 'static>(
        db: &Db,
        f: impl FnMut(&mut Conn) -> Result<T, diesel::result::Error> + Send + 'static,
    ) -> T {
        let mut f = f;
        db.write("errand", move |c| Ok::<_, Error>(f(c)?)).await.unwrap()
    }

    async fn owe(db: &Db, lease: Lease, due_at: At) {
        let row = id(lease.subject.as_u128() * 10 + lease.target as u128);
        run(db, move |c| ERRANDS.owe(c, row, &lease, due_at, At(0))).await;
    }

    async fn claim(db: &Db, token: u128, now: i64) -> Vec<Lease> {
        run(db, move |c| ERRANDS.claim(c, 1, 10, id(token), At(now + 100), At(now))).await
    }

    async fn backlog(db: &Db, most: i64) -> Backlog {
        db.read("backlog", move |c| Ok::<_, Error>(ERRANDS.backlogs(c, [1], most)?)).await.unwrap()[0]
    }

    pub async fn a_row_born_held_is_left_alone_until_its_lease_is_over(db: Db) {
        owe(&db, Lease::held(id(1), 1, id(70)), At(50)).await;
        owe(&db, Lease::held(id(1), 2, id(70)), At(50)).await;
        assert_eq!(claim(&db, 71, 49).await, []);
        let taken = claim(&db, 71, 50).await;
        assert_eq!(taken, [Lease { subject: id(1), target: 1, token: id(71), attempts: 2 }], "of its target alone");
        assert_eq!(claim(&db, 72, 149).await, [], "held again");
        assert_eq!(claim(&db, 72, 150).await[0].attempts, 3);
    }

    pub async fn whoever_lost_the_token_ends_and_postpones_nothing(db: Db) {
        let late = Lease::held(id(1), 1, id(70));
        owe(&db, late, At(50)).await;
        let taken = claim(&db, 71, 50).await[0];
        assert_eq!(run(&db, move |c| ERRANDS.finish(c, &late)).await, End::Fenced);
        assert_eq!(run(&db, move |c| ERRANDS.postpone(c, &late, None, "LATE")).await, End::Fenced);
        assert_eq!(backlog(&db, 9).await, Backlog { target: 1, pending: 1, parked: 0, oldest: Some(At(0)) });
        assert_eq!(run(&db, move |c| ERRANDS.postpone(c, &taken, Some(At(90)), "AGAIN")).await, End::Postponed);
        assert_eq!(run(&db, move |c| ERRANDS.finish(c, &taken)).await, End::Fenced, "postponed is let go");
        let again = claim(&db, 72, 90).await[0];
        assert_eq!(run(&db, move |c| ERRANDS.finish(c, &again)).await, End::Done);
        assert_eq!(backlog(&db, 9).await, Backlog { target: 1, pending: 0, parked: 0, oldest: None });
    }

    pub async fn who_holds_on_is_left_alone_for_longer(db: Db) {
        owe(&db, Lease::held(id(1), 1, id(70)), At(50)).await;
        let first = claim(&db, 71, 50).await[0];
        assert!(run(&db, move |c| ERRANDS.hold(c, &first, At(300))).await);
        assert_eq!(claim(&db, 72, 299).await, []);
        let second = claim(&db, 72, 300).await[0];
        assert!(!run(&db, move |c| ERRANDS.hold(c, &first, At(900))).await, "it is somebody else's");
        assert_eq!(claim(&db, 73, 400).await.len(), 1, "and that one's time is its own");
        assert_eq!(run(&db, move |c| ERRANDS.finish(c, &second)).await, End::Fenced);
    }

    pub async fn what_is_owed_again_begins_anew(db: Db) {
        let first = Lease::held(id(1), 1, id(70));
        owe(&db, first, At(50)).await;
        let second = Lease::held(id(1), 1, id(80));
        run(&db, move |c| ERRANDS.owe(c, id(2), &second, At(60), At(9))).await;
        assert_eq!(run(&db, move |c| ERRANDS.finish(c, &first)).await, End::Fenced, "what it did may be too little");
        assert_eq!(
            backlog(&db, 9).await,
            Backlog { target: 1, pending: 1, parked: 0, oldest: Some(At(0)) },
            "one row, as old"
        );
        assert_eq!(run(&db, move |c| ERRANDS.finish(c, &second)).await, End::Done);
    }

    pub async fn what_is_parked_waits_for_somebody(db: Db) {
        for number in 1..=5 {
            let lease = Lease::held(id(number), 1, id(70));
            owe(&db, lease, At(50)).await;
            assert_eq!(run(&db, move |c| ERRANDS.postpone(c, &lease, None, "REFUSED")).await, End::Parked);
        }
        assert_eq!(claim(&db, 71, i64::MAX / 2).await, []);
        assert_eq!(backlog(&db, 9).await, Backlog { target: 1, pending: 0, parked: 5, oldest: Some(At(0)) });
        assert_eq!(backlog(&db, 3).await.parked, 3, "no more are counted");
        assert_eq!(
            run(&db, |c| ERRANDS.retry_parked(c, 2, Uuid::nil(), 9, At(90))).await.len(),
            0,
            "of another target"
        );
        let first = run(&db, |c| ERRANDS.retry_parked(c, 1, Uuid::nil(), 2, At(90))).await;
        assert_eq!(first.len(), 2, "no more than asked for");
        let taken = claim(&db, 71, 90).await;
        assert_eq!(taken.len(), 2);
        for lease in taken {
            run(&db, move |c| ERRANDS.postpone(c, &lease, None, "REFUSED")).await;
        }
        let last = first.iter().copied().max().unwrap();
        let rest = run(&db, move |c| ERRANDS.retry_parked(c, 1, last, 9, At(90))).await;
        assert_eq!(rest.len(), 3, "those that were parked again come before");
        assert_eq!(run(&db, |c| ERRANDS.retry(c, id(1), At(95))).await, 1, "whatever its state");
        assert!(claim(&db, 72, 95).await.iter().any(|lease| lease.subject == id(1) && lease.attempts == 1));
    }

    pub async fn what_waits_is_brought_forward_but_not_what_is_held(db: Db) {
        for number in 1..=3 {
            owe(&db, Lease::free(id(number), 1), At(900)).await;
        }
        owe(&db, Lease::held(id(4), 1, id(70)), At(900)).await;
        assert_eq!((backlog(&db, 9).await.pending, backlog(&db, 3).await.pending), (4, 3));
        assert_eq!(run(&db, |c| ERRANDS.bring_forward(c, 1, 2, At(10))).await, 2);
        assert_eq!(run(&db, |c| ERRANDS.bring_forward(c, 1, 2, At(10))).await, 1);
        let taken: Vec<_> = claim(&db, 71, 10).await.into_iter().map(|lease| (lease.token, lease.attempts)).collect();
        assert_eq!(taken, [(id(71), 1); 3]);
    }

    pub async fn many_claimers_take_each_row_once(db: Db) {
        run(&db, |c| {
            (1..=300)
                .try_for_each(|number| ERRANDS.owe(c, id(number), &Lease::free(id(number), 1), At(0), At(0)).map(drop))
        })
        .await;
        let mut claimers = JoinSet::new();
        for claimer in 1..=8 {
            let db = db.clone();
            claimers.spawn(async move {
                let mut taken = Vec::new();
                loop {
                    let some = claim(&db, 1000 + claimer, 10).await;
                    assert!(some.len() <= 10, "more than asked for");
                    if some.is_empty() {
                        return taken;
                    }
                    taken.extend(some);
                }
            });
        }
        let taken = claimers.join_all().await.concat();
        let subjects: HashSet<_> = taken.iter().map(|lease| lease.subject).collect();
        // On PostgreSQL a claimer that finds all the rest locked may stop early; then another takes them.
        assert_eq!((taken.len(), subjects.len()), (300, 300));
    }
}
