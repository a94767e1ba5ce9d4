//! What the program says first: where everything is, and a line to paste for each step of the way in.

use std::{collections::BTreeMap, fmt::Write as _, net::SocketAddr, path::Path};

use mesh::{Clock, Random, uuid_v7};
use sms::CarrierConfig;

use crate::{Config, Part};

/// A password for the lines below. It is no secret.
const PASSWORD: &str = "a quiet morning on the square";

/// The welcome. Request ids, the username and the address are new each time, so that the lines work again after each start.
/// `token` is the command line that prints an operator's token.
pub fn text(
    config: &Config,
    addresses: &BTreeMap<Part, SocketAddr>,
    token: &str,
    clock: &Clock,
    random: &Random,
) -> String {
    let at = |part: Part| addresses.get(&part).copied().unwrap_or_else(|| config.listen(part)).to_string();
    let roots = |part: Part| Some(&config.tls(part).roots).filter(|roots| !roots.as_os_str().is_empty());
    let reach = |part: Part| Reach { address: at(part), roots: roots(part).map(|path| quoted(path)) };
    let steps = Steps {
        sso: reach(Part::Sso),
        sms: reach(Part::Sms),
        social: reach(Part::Social),
        name: format!("anna-{:06x}", random.below(1 << 24)),
        token: token.to_owned(),
    };
    let mut text = String::from(
        "Plaza is up: four services in one process. Ctrl-C stops it; its data is there when it starts again.\n\n",
    );
    for (part, what) in [
        (Part::Sso, "accounts: signing up, signing in, tokens"),
        (Part::Sms, "one-time codes, and the inbox they go to"),
        (Part::Social, "profiles"),
        (Part::Blog, "authors"),
    ] {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {:8} {:22} {what}", part.name(), at(part));
    }
    let folder = std::path::absolute(&config.data).unwrap_or_else(|_| config.data.clone());
    let _ = writeln!(text, "  {:8} {}", "data", folder.display());
    let _ = writeln!(text, "  {:8} {}\n", "codes", codes(&config.sms.carrier));
    steps.write(&mut text, &mut || uuid_v7(clock, random).to_string());
    text
}

fn codes(carrier: &CarrierConfig) -> &'static str {
    match carrier {
        CarrierConfig::Development { console: true } => {
            "here, and in sms.v1.InboxService; they reach no phone and no mailbox"
        }
        CarrierConfig::Development { console: false } => "in sms.v1.InboxService; they reach no phone and no mailbox",
        CarrierConfig::Embedded => "to the carrier",
    }
}

/// How grpcurl gets to a service.
struct Reach {
    address: String,
    /// What its certificate is checked against; `None` in plain text.
    roots: Option<String>,
}

/// What the lines have in common.
struct Steps {
    sso: Reach,
    sms: Reach,
    social: Reach,
    name: String,
    token: String,
}

impl Steps {
    fn write(&self, text: &mut String, id: &mut impl FnMut() -> String) {
        let Self { sso, sms, social, name, token } = self;
        let who = format!(r#""email": "{name}@example.com", "password": "{PASSWORD}""#);
        let mut step = |what: &str, lines: &[String]| {
            let _ = writeln!(text, "{what}\n\n{}\n", lines.join("\n"));
        };
        step(
            "1. Sign somebody up; paste it as it is.",
            &[call(
                sso,
                "sso.v1.AuthService/SignUp",
                "",
                &format!(
                    r#"{{"request_id": "{}", {who}, "username": "{name}", "account_type": "ACCOUNT_TYPE_CUSTOMER"}}"#,
                    id()
                ),
            )],
        );
        step(
            "2. Look up the code, and give it back with `verificationId` of the answer. A new guess wants a new request_id.",
            &[
                call(
                    sms,
                    "sms.v1.InboxService/ListMessages",
                    "",
                    &format!(r#"{{"destination": "{name}@example.com"}}"#),
                ),
                call(
                    sso,
                    "sso.v1.AuthService/VerifyOtp",
                    "",
                    &format!(r#"{{"request_id": "{}", "verification_id": "VERIFICATION_ID", "code": "CODE"}}"#, id()),
                ),
            ],
        );
        step(
            "3. Use `accessToken` of the answer. When it is over, sign in for another.",
            &[
                call(
                    social,
                    "social.v1.ProfileService/UpdateProfile",
                    "-H 'authorization: Bearer ACCESS_TOKEN' ",
                    r#"{"display_name": "Anna", "about": "Hello."}"#,
                ),
                call(sso, "sso.v1.AuthService/SignIn", "", &format!(r#"{{"request_id": "{}", {who}}}"#, id())),
            ],
        );
        step(
            "4. As an operator, with `user.id` of the first answer.",
            &[call(
                sso,
                "sso.v1.UserService/GetProvisioning",
                &format!("-H \"authorization: Bearer $({token})\" "),
                r#"{"user_id": "USER_ID"}"#,
            )],
        );
    }
}

fn call(Reach { address, roots }: &Reach, method: &str, headers: &str, body: &str) -> String {
    let trust = roots.as_ref().map_or_else(|| "-plaintext".to_owned(), |roots| format!("-cacert {roots}"));
    format!("grpcurl {trust} {headers}-d '{body}' {address} {method}")
}

/// `path` as a word of a shell.
pub fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::Path};

    use mesh::{Clock, Random};

    use super::{quoted, text};
    use crate::Config;

    #[test]
    fn each_start_has_lines_of_its_own() {
        let config = Config::embedded(Path::new("data")).expect("the defaults");
        let (clock, random) = (Clock::system(), Random::seeded(1));
        let say = || text(&config, &BTreeMap::new(), "plaza token --operator", &clock, &random);
        let (first, second) = (say(), say());
        let sign_up =
            |text: &str| text.lines().find(|line| line.contains("/SignUp")).map(str::to_owned).expect("a line");
        assert_ne!(sign_up(&first), sign_up(&second));
        assert!(first.contains("$(plaza token --operator)"));
    }

    #[test]
    fn over_tls_the_lines_say_what_to_trust() {
        let mut config = Config::embedded(Path::new("data")).expect("the defaults");
        config.sso.tls.roots = "my certs/roots.pem".into();
        let text = text(&config, &BTreeMap::new(), "token", &Clock::system(), &Random::seeded(1));
        let line = |part: &str| text.lines().find(|line| line.contains(part)).map(str::to_owned).expect("a line");
        assert!(line("sso.v1.AuthService/SignUp").starts_with("grpcurl -cacert 'my certs/roots.pem' -d"));
        assert!(line("InboxService/ListMessages").starts_with("grpcurl -plaintext -d"));
    }

    #[test]
    fn a_path_with_a_space_is_one_word() {
        assert_eq!(quoted(Path::new("/a/b-c.d")), "/a/b-c.d");
        assert_eq!(quoted(Path::new("/a b/it's")), r"'/a b/it'\''s'");
    }
}
