//! What messages say. A text message is billed by 160 characters of the GSM alphabet: every text here fits in one.

use std::time::Duration;

use crate::{
    code::{Code, Reference},
    destination::Destination,
    notice::Notice,
    send::Purpose,
};

/// The message that carries a code: the code, what it does, which message it is, how long it works.
pub(crate) fn code(purpose: Purpose, code: &Code, reference: &Reference, lifetime: Duration) -> String {
    let (code, reference, lifetime) = (code.expose(), reference.as_str(), spoken(lifetime));
    let what = match purpose {
        Purpose::VerifyIdentifier => "is your code",
        Purpose::ResetPassword => "sets your new password",
        Purpose::SignIn => "signs you in",
        Purpose::ChangeIdentifier => "makes this yours to sign in with",
    };
    format!("Plaza: {code} {what} (ref {reference}). It works for {lifetime}. Never share it.")
}

/// The message to whoever has a destination that somebody else tried to use.
pub(crate) fn decoy(purpose: Purpose, destination: &Destination) -> String {
    let what = match destination {
        Destination::Email(_) => "e-mail address",
        Destination::Phone(_) => "number",
    };
    match purpose {
        Purpose::VerifyIdentifier => format!(
            "Plaza: somebody tried to sign up with this {what}. It has an account already. If it was you, sign in. If not, ignore this."
        ),
        Purpose::ResetPassword => format!(
            "Plaza: somebody asked for a new password with this {what}. No account can have one by it. If it was not you, ignore this."
        ),
        Purpose::ChangeIdentifier => format!(
            "Plaza: somebody tried to add this {what} to another account. It stays with yours. If it was not you, ignore this."
        ),
        Purpose::SignIn => format!(
            "Plaza: somebody asked to sign in by a code with this {what}. No account takes one by it. If it was not you, ignore this."
        ),
    }
}

/// The message that tells what was done with an account.
pub(crate) fn notice(notice: Notice) -> &'static str {
    match notice {
        Notice::PasswordChanged => {
            "Plaza: your password was changed. If it was not you, set a new one by \"forgot password\" at once."
        }
        Notice::PasswordReset => {
            "Plaza: your password was replaced by means of a code, and all devices are signed out. If it was not you, do the same at once."
        }
        Notice::IdentifierChanged => {
            "Plaza: an address or number that you sign in with was replaced. If it was not you, set a new password at once or ask for help."
        }
        Notice::IdentifierAdded => {
            "Plaza: another address or number was added to sign in with. If it was not you, set a new password and remove it at once."
        }
        Notice::IdentifierRemoved => {
            "Plaza: an address or number that you sign in with was taken away. If it was not you, set a new password at once or ask for help."
        }
    }
}

fn spoken(lifetime: Duration) -> String {
    match lifetime.as_secs() {
        60 => "1 minute".to_owned(),
        seconds if seconds % 60 == 0 => format!("{} minutes", seconds / 60),
        seconds => format!("{seconds} seconds"),
    }
}

#[cfg(test)]
mod tests {
    use mesh::Random;

    use uuid::Uuid;

    use super::*;
    use crate::code::Keys;

    #[test]
    fn the_code_message_names_code_reference_and_lifetime() {
        let (number, reference) = (Code::parse("012345").expect("a code"), Reference::stored("KD".into()));
        assert_eq!(
            code(Purpose::VerifyIdentifier, &number, &reference, Duration::from_secs(300)),
            "Plaza: 012345 is your code (ref KD). It works for 5 minutes. Never share it."
        );
        assert_eq!(spoken(Duration::from_secs(60)), "1 minute");
        assert_eq!(spoken(Duration::from_secs(90)), "90 seconds");
    }

    #[test]
    fn every_text_is_one_text_message() {
        let random = Random::seeded(1);
        let ten_digits = Keys::derive(&[1; 32]).draw(Uuid::nil(), Uuid::nil(), 10);
        let email = Destination::email("anna@example.com").expect("an address");
        for purpose in [1, 2, 3, 4].map(Purpose::stored) {
            let longest = code(purpose, &ten_digits, &Reference::draw(&random), Duration::from_secs(599));
            for text in [longest, decoy(purpose, &email)] {
                assert!(text.len() <= 160 && text.is_ascii(), "{} {text}", text.len());
            }
        }
        for text in Notice::ALL.map(notice) {
            assert!(text.len() <= 160 && text.is_ascii(), "{} {text}", text.len());
        }
    }
}
