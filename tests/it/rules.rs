//! The rules of OWASP ASVS 5.0 (V…) and NIST SP 800-63B (N…) that Plaza is held to, each with the tests that show it. A test that is renamed or taken away
//! leaves a rule unshown, and this fails.

use std::{collections::HashMap, fs, path::Path};

/// A file, and a test in it.
type Test = (&'static str, &'static str);

/// A rule, what it asks, and where it is shown.
const RULES: &[(&str, &str, &[Test])] = &[
    (
        "V2.3.1",
        "steps in their order",
        &[("tests/it/signin.rs", "an_unverified_person_gets_a_verification_and_no_message")],
    ),
    (
        "V2.3.3",
        "all of a transaction or nothing",
        &[("tests/it/signup.rs", "one_request_in_eight_calls_at_once_is_one_user")],
    ),
    ("V2.3.4", "what exists once has one winner", &[("tests/it/signup.rs", "a_username_has_one_winner")]),
    (
        "V2.4.1",
        "limits on costly calls",
        &[
            ("sms/src/limits.rs", "the_eleventh_send_of_a_day_waits_for_the_first_to_be_a_day_old"),
            ("tests/it/otp.rs", "sends_cool_down_and_say_until_when"),
            ("sms/tests/flows/races.rs", "of_eight_sends_to_one_destination_one_goes_out"),
            ("tests/it/networks.rs", "a_network_has_so_many_sign_ups_an_hour"),
            ("tests/it/networks.rs", "of_sign_ups_at_once_a_network_has_no_more"),
        ],
    ),
    (
        "V4.1.3",
        "no forged forwarding headers",
        &[
            ("tests/it/networks.rs", "a_forwarding_header_moves_nobody"),
            ("tests/it/networks.rs", "a_listed_proxy_says_whom_it_speaks_for"),
            ("mesh/src/proxies.rs", "what_the_client_wrote_before_the_proxy_did_is_not_looked_at"),
        ],
    ),
    (
        "V6.2.1, V6.2.9",
        "passwords of 8 characters and more, and of 64 and more",
        &[("sso/src/password.rs", "lengths_are_counted_in_characters")],
    ),
    (
        "V6.2.2, V6.2.3",
        "a person changes the password with the old one",
        &[("tests/it/recovery.rs", "a_changed_password_ends_the_other_sessions_and_open_codes")],
    ),
    (
        "V6.2.4, V6.2.11",
        "no common passwords, none of the context",
        &[("sso/src/password.rs", "common_ones_and_the_own_name_are_refused")],
    ),
    (
        "V6.2.5, V6.2.8, N-5.1.1.2",
        "any characters, compared as they were given",
        &[
            ("sso/src/password.rs", "composed_and_decomposed_are_one_password"),
            ("sso/src/password.rs", "length_beyond_72_bytes_counts"),
        ],
    ),
    (
        "V6.3.1, V6.6.3, N-5.2.2",
        "guesses are bounded, however they come",
        &[
            ("tests/it/throttle.rs", "fifty_guesses_at_once_are_five"),
            ("tests/it/networks/codes.rs", "codes_that_sign_in_count_with_a_networks_misses"),
            ("tests/it/networks/codes.rs", "codes_that_verify_count_with_a_networks_misses"),
            ("tests/it/networks/codes.rs", "codes_for_another_identifier_count_with_a_networks_misses"),
            ("tests/it/networks.rs", "passwords_of_those_who_are_signed_in_count_with_a_networks_misses"),
            ("tests/it/networks/codes.rs", "resets_count_with_a_networks_misses"),
            ("tests/it/otp.rs", "five_wrong_guesses_are_all_there_are"),
            ("sms/tests/flows/races.rs", "of_fifty_wrong_guesses_five_are_compared"),
        ],
    ),
    (
        "V6.3.7",
        "users are told of changes to how they sign in",
        &[
            ("tests/it/notices.rs", "a_changed_password_is_told_once"),
            ("tests/it/notices.rs", "a_reset_is_told_and_costs_no_code"),
            ("tests/it/notices.rs", "a_notice_outlives_an_outage_of_sms_and_restarts"),
            ("tests/it/identifiers.rs", "a_new_address_takes_the_place_of_the_old_one_once_it_is_proven"),
        ],
    ),
    (
        "V6.3.8",
        "nobody learns who has an account",
        &[
            ("tests/it/signin.rs", "unknown_and_wrong_are_one_answer"),
            ("tests/it/signup.rs", "signing_up_with_somebodys_address_looks_the_same_and_gives_no_code"),
            ("tests/it/recovery.rs", "a_reset_looks_the_same_whoever_asks_for_whatever"),
            ("tests/it/passwordless.rs", "a_sign_in_by_code_looks_the_same_whoever_asks_for_whatever"),
            ("tests/it/operators.rs", "a_locked_user_is_out_and_looks_like_nobody"),
            ("tests/it/same_work.rs", "a_wrong_password_costs_the_same_for_everybody"),
            ("tests/it/same_work.rs", "a_reset_costs_the_same_for_everybody"),
            ("tests/it/same_work.rs", "a_sign_in_by_code_costs_the_same_for_everybody"),
            ("tests/it/same_work.rs", "a_sign_up_and_its_codes_cost_the_same_for_every_address"),
        ],
    ),
    (
        "V6.4.3, V7.4.3",
        "a reset ends all sessions and signs nobody in, and before that ends nothing",
        &[
            ("tests/it/recovery.rs", "a_code_sets_a_new_password_and_ends_all_sessions"),
            ("tests/it/recovery.rs", "of_changes_at_once_one_wins_and_no_old_session_survives"),
            ("tests/it/throttle.rs", "a_throttled_owner_gets_in_by_a_reset_and_a_restart_forgets_nothing"),
        ],
    ),
    (
        "V6.5.1",
        "a code works once",
        &[
            ("sms/tests/flows/races.rs", "of_eight_right_guesses_one_is_approved"),
            ("tests/it/otp.rs", "eight_right_codes_at_once_have_one_winner"),
            ("tests/it/races.rs", "of_eight_right_codes_at_once_one_signs_in"),
        ],
    ),
    (
        "V6.5.4, V6.5.5",
        "codes of 20 bits and more, for 10 minutes at most",
        &[
            ("sms/src/config.rs", "a_code_that_works_over_ten_minutes_is_refused_with_every_other_mistake"),
            ("tests/it/otp.rs", "a_code_lives_five_minutes"),
        ],
    ),
    (
        "V6.6.2",
        "a code is bound to what asked for it",
        &[
            ("tests/it/otp.rs", "a_code_of_one_verification_is_worth_nothing_for_another"),
            ("tests/it/recovery.rs", "a_code_for_one_purpose_is_worth_nothing_for_the_other"),
            ("tests/it/passwordless.rs", "a_code_is_worth_nothing_anywhere_else"),
        ],
    ),
    ("V7.1.2", "a bound on sessions", &[("tests/it/sessions.rs", "a_fifty_first_session_ends_the_one_idle_longest")]),
    (
        "V7.2.3, V9.1.1",
        "tokens that cannot be made or changed",
        &[
            ("sso/src/refresh.rs", "no_bit_of_a_token_may_change"),
            ("mesh/src/token/vectors.rs", "signed_tokens_open_and_are_made_alike"),
        ],
    ),
    ("V7.2.4", "each sign-in begins a session", &[("tests/it/signin.rs", "a_repeated_sign_in_is_the_same_session")]),
    (
        "V7.3.1, V7.3.2",
        "sessions end, idle and absolutely",
        &[("tests/it/sessions.rs", "a_session_ends_when_it_is_idle_and_when_it_is_old")],
    ),
    (
        "V7.4.1, V7.4.2",
        "whoever signs out, or is locked or deleted, is out",
        &[
            ("tests/it/sessions.rs", "signing_out_ends_one_session"),
            ("tests/it/access.rs", "a_locked_person_is_out_whatever_token_is_left"),
            ("tests/it/recovery.rs", "a_locked_user_sets_no_password"),
            ("tests/it/deletion.rs", "a_deleted_user_is_gone_everywhere_and_its_names_are_free"),
        ],
    ),
    (
        "V7.5.1",
        "what changes how one signs in asks for more than a session",
        &[("tests/it/identifiers/refused.rs", "an_old_session_needs_the_password")],
    ),
    (
        "V7.5.2",
        "persons see and end their sessions",
        &[("tests/it/sessions.rs", "a_person_ends_sessions_of_their_own_alone")],
    ),
    ("V8.2.1, V8.3.1", "every method says who may call it", &[("tests/it/access.rs", "everybody_tries_everything")]),
    (
        "V9.1.2, V9.1.3, V9.2.1-V9.2.4",
        "one kind of token, one issuer, one audience, one time",
        &[
            ("mesh/src/token/tests.rs", "only_v4_public_is_looked_at"),
            ("tests/it/sessions.rs", "what_is_no_refresh_token_is_refused_and_ends_nothing"),
            ("mesh/src/token/tests.rs", "the_footer_is_a_key_id_and_nothing_else"),
            ("mesh/src/token/tests.rs", "claims_are_whole_and_single"),
            ("mesh/src/token/tests.rs", "a_token_is_for_one_issuer_audience_deployment_and_kind"),
            ("mesh/src/token/tests.rs", "time_has_leeway_before_and_none_after"),
        ],
    ),
    (
        "V12.3.5",
        "services prove who they are",
        &[("tests/it/wire.rs", "social_may_not_call_sms"), ("tests/it/wire.rs", "an_outsider_on_the_port_is_nobody")],
    ),
    ("V16.2.5", "no secrets in logs", &[("tests/it/trace.rs", "a_leak_is_seen")]),
    (
        "V16.3.1-V16.3.3",
        "decisions are recorded",
        &[
            ("tests/it/audit.rs", "every_decision_about_a_user_is_told_with_its_reason"),
            ("tests/it/audit.rs", "what_ends_a_session_and_what_does_not_is_told"),
            ("tests/it/audit.rs", "a_refused_refresh_is_told_with_its_reason"),
            ("tests/it/audit.rs", "refusals_are_summed_and_nobody_is_named"),
            ("tests/it/refusals.rs", "what_a_person_may_not_change_is_told_with_its_reason"),
            ("tests/it/refusals.rs", "what_an_operator_may_not_do_is_told_with_its_reason"),
        ],
    ),
    (
        "V16.5.3",
        "what fails, fails shut",
        &[
            ("tests/it/signup.rs", "sms_down_at_sign_up_creates_the_user_and_the_code_comes_later"),
            ("tests/it/networks.rs", "what_cannot_be_counted_is_not_tried"),
        ],
    ),
];

#[test]
fn every_rule_is_shown_by_tests_that_there_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
    let mut files = HashMap::new();
    for (rule, asked, shown) in RULES {
        assert!(!shown.is_empty(), "{rule}, {asked}: shown by nothing");
        for (file, test) in *shown {
            let text = files.entry(*file).or_insert_with(|| fs::read_to_string(root.join(file)).unwrap_or_default());
            assert!(is_test(text, test), "{rule}, {asked}: {file} has no test {test}");
        }
    }
}

/// Whether the text has a function of that name under an attribute that makes it a test, or in the list of a macro that does.
fn is_test(text: &str, name: &str) -> bool {
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let begins = |line: &str| {
        let line = line.strip_prefix("async ").unwrap_or(line);
        line.strip_prefix("fn ").and_then(|rest| rest.strip_prefix(name)).is_some_and(|rest| rest.starts_with('('))
    };
    let tested =
        |above: &[&str]| above.iter().rev().take_while(|line| line.starts_with("#[")).any(|line| line.contains("test"));
    let listed = lines.iter().any(|line| line.strip_suffix(',') == Some(name));
    listed || lines.iter().enumerate().any(|(at, line)| begins(line) && tested(&lines[..at]))
}
