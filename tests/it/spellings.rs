//! What SSO takes as an identifier, SMS takes as a destination: each reads them by itself, and somebody whom only one of them takes never gets a code.

use std::{cell::Cell, collections::HashSet};

use proptest::{
    prelude::*,
    string::string_regex,
    test_runner::{Config, RngAlgorithm, RngSeed, TestCaseError, TestRunner},
};
use proto::sso::v1::{CodeDelivery, sign_up_request::Identifier};
use tonic::Code;

use crate::world::{Person, World};

/// What is odd about addresses: letters that grow or shrink, widths, spaces that are not seen, and what no address holds.
const ODD: &str = "[abzA-Z0-9+._İıßΣςﬁａＡ．＠½²ﷺ℀ＡǅΩÅ\u{a0}\u{a8}\u{ad}\u{200b}\u{3000}\u{301}\u{2024}\u{ff0d}-]";
/// Countries whose numbers are short, long or both.
const COUNTRIES: &str = r"(1|39|43|49|44|84|247|290|358|372|376|500|674|677|683|690|800|870|878|883)";

fn identifier() -> impl Strategy<Value = Identifier> {
    let like = |pattern: String| string_regex(&pattern).expect("a pattern");
    let emails = prop_oneof![
        like(format!(r"{ODD}{{1,12}}@{ODD}{{1,8}}\.{ODD}{{2,4}}")),
        like(format!(r"[a-z]{{1,8}}{ODD}{{0,2}}[a-z]@[a-z]{ODD}{{0,1}}[a-z]{{1,8}}{ODD}{{0,1}}\.com")),
        like(r"[aßİﬁ]{30,64}@[a-zß]{30,63}(\.[a-zİ]{30,63}){1,3}".to_owned()),
    ];
    let phones = prop_oneof![
        like(format!(r"\+{COUNTRIES}[ -]?[0-9]{{3,15}}")),
        like(r"\+(43111[0-9]{1,2}|[1-9][0-9]{4,15})".to_owned()),
    ];
    prop_oneof![emails.prop_map(Identifier::Email), phones.prop_map(Identifier::PhoneNumber)]
}

/// How many of them somebody could sign up with.
fn signed_up(identifiers: Vec<Identifier>) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let (world, mut taken, mut before) = (World::start().await, 0, HashSet::new());
        // A second code would have to wait.
        let once = identifiers.into_iter().filter(|identifier| before.insert(format!("{identifier:?}")));
        for (number, identifier) in once.enumerate() {
            let mut request = Person::with_email(&format!("person{number}")).sign_up();
            request.identifier = Some(identifier.clone());
            match world.auth().sign_up(request).await {
                Ok(answer) => {
                    let sent = answer.into_inner().verification.expect("a verification").delivery();
                    assert_eq!(sent, CodeDelivery::Sent, "{identifier:?}");
                    taken += 1;
                }
                Err(status) => assert_eq!(status.code(), Code::InvalidArgument, "{identifier:?}: {status:?}"),
            }
        }
        taken
    })
}

#[test]
fn whoever_can_sign_up_gets_a_code() {
    let config = Config {
        cases: 16,
        max_shrink_iters: 32,
        rng_seed: RngSeed::Fixed(1),
        rng_algorithm: RngAlgorithm::ChaCha,
        failure_persistence: None,
        ..Config::default()
    };
    let taken = Cell::new(0);
    let outcome = TestRunner::new(config).run(&prop::collection::vec(identifier(), 64), |identifiers| {
        taken.set(taken.get() + signed_up(identifiers));
        Ok::<_, TestCaseError>(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(taken.get() > 100, "{taken:?} of 1024: too few to show anything");
}
