//! Checking a code. A guess is taken from the verification *before* it is compared, in one conditional UPDATE, so that
//! guesses made at the same moment cannot share one; a second one approves, so that one guess in the life of a verification
//! is told so. Every counted guess leaves its answer, to be given again when the reply was lost.

use std::{sync::Arc, time::Duration};

use db::{At, Conn, Id};
use uuid::Uuid;

use crate::{
    code::{Code, Seal},
    core::{Core, LIFE},
    error::Error,
    limits::{DAY, Limits},
    send::{Purpose, count},
    store::{self, APPROVED, Verification},
};

/// How long an approval that nobody acknowledged can be repeated to the guess that got it.
const APPROVAL_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// The most answers kept for a verification: those of its guesses, and some that found the code expired, which cost no guess
/// and could otherwise fill the table.
const MOST_ANSWERS: i64 = 32;

/// A guess.
#[derive(Debug, Clone)]
pub(crate) struct Guess {
    pub(crate) request_id: Uuid,
    pub(crate) verification_id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) purpose: Purpose,
    pub(crate) code: Code,
}

/// What came of a guess. The numbers stand in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub(crate) enum Verdict {
    Approved = 1,
    WrongCode = 2,
    CodeExpired = 3,
    GuessesExhausted = 4,
    CodeUsed = 5,
}

impl Verdict {
    fn stored(number: i16) -> Self {
        match number {
            1 => Self::Approved,
            2 => Self::WrongCode,
            3 => Self::CodeExpired,
            4 => Self::GuessesExhausted,
            _ => Self::CodeUsed,
        }
    }
}

/// What is answered to a guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) verdict: Verdict,
    pub(crate) guesses_left: u16,
}

/// Checks a code.
pub(crate) async fn verify(core: &Core, guess: Guess) -> Result<Answer, Error> {
    let id = guess.verification_id;
    let judge = Judge {
        limits: Arc::clone(&core.limits),
        code: core.keys.code(id, &guess.code),
        seal: core.keys.guess(id, guess.request_id, &guess.code),
        guess,
    };
    let answer = core.write("verify_otp", move |c, now| judge.answer(c, now)).await?;
    tracing::info!(verification = %id, verdict = ?answer.verdict, "code checked");
    Ok(answer)
}

/// One guess with all that its transaction needs, owned, for it runs elsewhere and maybe twice.
#[derive(Clone)]
struct Judge {
    limits: Arc<Limits>,
    guess: Guess,
    /// What the code's seal is if the guess is right.
    code: Seal,
    /// What this guess is known by when it comes again.
    seal: Seal,
}

impl Judge {
    fn answer(&self, c: &mut Conn, now: At) -> Result<Answer, Error> {
        let verification = self.verification(c)?;
        store::lock_destination(c, &verification.destination, now.plus(LIFE))?;
        let lives = now < verification.ends_at;
        if let Some(answer) = self.answered_before(c, lives)? {
            return Ok(answer);
        }
        if !lives {
            return Err(Error::NotFound);
        }
        let most = i16::try_from(self.limits.guesses_per_verification).unwrap_or(i16::MAX);
        match store::claim_guess(c, self.guess.verification_id, most, now)? {
            Some((guesses, sealed)) => self.compare(c, &verification, guesses, &sealed, now),
            None => self.refuse(c, now),
        }
    }

    /// The verification, if it is this user's and for this purpose. Whose else it is, is nobody's business.
    fn verification(&self, c: &mut Conn) -> Result<Verification, Error> {
        store::verification(c, self.guess.verification_id)?
            .filter(|found| found.user_id.0 == self.guess.user_id && found.purpose == self.guess.purpose as i16)
            .ok_or(Error::NotFound)
    }

    /// The answer this request id got. An approval is repeated for as long as it is kept; anything else while the
    /// verification lives.
    fn answered_before(&self, c: &mut Conn, lives: bool) -> Result<Option<Answer>, Error> {
        let Some(past) = store::guess(c, self.guess.verification_id, self.guess.request_id)? else { return Ok(None) };
        let verdict = Verdict::stored(past.verdict);
        if !lives && verdict != Verdict::Approved {
            return Ok(None);
        }
        match Seal::stored(&past.guess_seal) {
            Some(seal) if seal.matches(&self.seal) => {
                Ok(Some(Answer { verdict, guesses_left: count(past.guesses_left) }))
            }
            _ => Err(Error::RequestIdReused),
        }
    }

    /// Judges a guess that is counted. An error takes the count back with everything else.
    fn compare(&self, c: &mut Conn, of: &Verification, guesses: i16, sealed: &[u8], now: At) -> Result<Answer, Error> {
        let past = store::past_guesses(c, &of.destination, now.minus(DAY), self.limits.guesses_per_day)?;
        if let Some(wait) = self.limits.guess_wait(now, &past) {
            return Err(Error::DestinationGuessed(wait));
        }
        let right = Seal::stored(sealed).is_some_and(|seal| seal.matches(&self.code));
        let kept_until = now.plus(APPROVAL_KEPT);
        let verdict = match right {
            false => Verdict::WrongCode,
            true if store::approve(c, of.id.0, now, kept_until)? == 1 => Verdict::Approved,
            true => Verdict::CodeUsed,
        };
        let answer = Answer { verdict, guesses_left: self.limits.guesses_left(count(guesses)) };
        self.keep(c, &of.destination, answer, true, now)?;
        Ok(answer)
    }

    /// Says why a guess was not counted.
    fn refuse(&self, c: &mut Conn, now: At) -> Result<Answer, Error> {
        let found = self.verification(c)?;
        let guesses_left = self.limits.guesses_left(count(found.guesses));
        let verdict = match found.state {
            APPROVED => Verdict::CodeUsed,
            _ if guesses_left == 0 => Verdict::GuessesExhausted,
            _ => Verdict::CodeExpired,
        };
        let answer = Answer { verdict, guesses_left };
        // The other two are the same for ever; this one a resend would change.
        if verdict == Verdict::CodeExpired && store::answers(c, found.id.0)? < MOST_ANSWERS {
            self.keep(c, &found.destination, answer, false, now)?;
        }
        Ok(answer)
    }

    fn keep(&self, c: &mut Conn, destination: &str, answer: Answer, counted: bool, now: At) -> Result<(), Error> {
        let kept = if answer.verdict == Verdict::Approved { APPROVAL_KEPT } else { LIFE };
        let row = store::Guess {
            verification_id: Id(self.guess.verification_id),
            request_id: Id(self.guess.request_id),
            destination: destination.to_owned(),
            guess_seal: self.seal.as_bytes().to_vec(),
            counted,
            verdict: answer.verdict as i16,
            guesses_left: i16::try_from(answer.guesses_left).unwrap_or(i16::MAX),
            guessed_at: now,
            kept_until: now.plus(kept),
        };
        store::insert_guess(c, &row)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_survive_the_database() {
        for number in 1..=5 {
            assert_eq!(Verdict::stored(number) as i16, number);
        }
    }
}
