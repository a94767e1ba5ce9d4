//! Whose turn it is: which of the SSOs are asked, and which are started again.

use tonic::{Code, Status};

use super::{Duration, History, Ordering, Range, Weather, World};

impl History {
    /// From now on these are asked. One that has stopped is started again when its turn comes, and meanwhile the other goes on.
    pub(super) async fn turn_to(&mut self, by: Range<usize>) {
        self.by = if self.weathers.len() > 1 { by } else { 0..1 };
        self.world.turn_to(self.by.start);
        for sso in self.by.clone() {
            self.revive(sso).await;
        }
    }

    /// What goes wrong with those whose turn it is.
    pub(super) fn weathers(&self) -> impl Iterator<Item = &Weather> {
        self.weathers[self.by.clone()].iter()
    }

    /// Asks the same again until it is answered, as a client does: the next time it turns to the other, if there is one.
    pub(super) async fn until_answered<T>(
        &mut self,
        ask: impl AsyncFn(&World) -> Result<T, Status>,
    ) -> Result<T, Status> {
        for _ in 0..20 {
            match self.asked(&ask).await {
                Err(status) if is_passing(&status) => {
                    self.world.pass(Duration::from_millis(500)).await;
                    let next = (self.by.end) % self.weathers.len();
                    self.turn_to(next..next + 1).await;
                }
                answer => return answer,
            }
        }
        panic!("no answer");
    }

    /// Asks those whose turn it is, at once if they are two. Both say the same then.
    async fn asked<T>(&self, ask: &impl AsyncFn(&World) -> Result<T, Status>) -> Result<T, Status> {
        let of = async |sso| {
            self.world.turn_to(sso);
            ask(&self.world).await
        };
        let (first, last) = (self.by.start, self.by.end - 1);
        if first == last {
            return of(first).await;
        }
        match tokio::join!(of(first), of(last)) {
            (answer, Err(status)) | (Err(status), answer) if is_passing(&status) => answer,
            (one, other) => {
                let codes = [&one, &other].map(|answer| answer.as_ref().map_or_else(Status::code, |_| Code::Ok));
                assert_eq!(codes[0], codes[1], "two answers to one request");
                one
            }
        }
    }

    /// All run, and none is about to stop.
    pub(super) async fn revive_all(&mut self) {
        for sso in 0..self.weathers.len() {
            self.revive(sso).await;
            self.weathers[sso].left.store(-1, Ordering::SeqCst);
        }
    }

    /// Starts an SSO again if it has stopped: its leases are left as they are.
    async fn revive(&mut self, sso: usize) {
        if self.weathers[sso].has_stopped() {
            self.world.stop_sso(sso).await;
            self.weathers[sso].left.store(-1, Ordering::SeqCst);
            self.world.start_sso(sso).await;
        }
    }
}

fn is_passing(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded)
}
