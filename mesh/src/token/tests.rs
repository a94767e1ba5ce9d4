use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use pasetors::{
    keys::SymmetricKey,
    version4::{LocalToken, PublicToken, V4},
};
use uuid::Uuid;

use super::*;
use crate::testing::{AUDIENCE, DEPLOYMENT, Keys};

/// A token of SSO's key with any payload and any footer.
fn forged(keys: &Keys, payload: &str, footer: &str) -> String {
    let (payload, footer) = (payload.as_bytes(), footer.as_bytes());
    PublicToken::sign(keys.sso.secret(), payload, Some(footer), Some(DEPLOYMENT.as_bytes())).expect("signs")
}

fn footer(keys: &Keys) -> String {
    format!(r#"{{"kid":"{}"}}"#, keys.sso.public().kid())
}

fn payload(keys: &Keys) -> String {
    keys.claims(Kind::Access).to_json()
}

#[tokio::test(start_paused = true)]
async fn what_was_signed_is_believed_twice() {
    let keys = Keys::new();
    let verifier = keys.verifier();
    for kind in [Kind::Access, Kind::Operator] {
        let token = keys.token(kind);
        assert!(token.len() <= MAX_TOKEN, "{}", token.len());
        assert_eq!(verifier.verify(&token), Ok(keys.claims(kind).into()));
        assert_eq!(verifier.verify(&token), Ok(keys.claims(kind).into()));
    }
    let token = keys.token(Kind::Peer);
    assert_eq!(verifier.verify_peer(&token, "echo"), Ok(keys.claims(Kind::Peer).into()));
    assert_eq!(verifier.verify_peer(&token, "sms"), Err(TokenError::Audience));
    assert_eq!(verifier.verify(&token), Err(TokenError::Kind));
    assert_eq!(verifier.verify_peer(&keys.token(Kind::Access), "echo"), Err(TokenError::Kind));
}

#[tokio::test(start_paused = true)]
async fn only_v4_public_is_looked_at() {
    let keys = Keys::new();
    let verifier = keys.verifier();
    let token = keys.token(Kind::Access);
    let local_key = SymmetricKey::<V4>::from(&[1; 32]).expect("a key");
    let local = LocalToken::encrypt(
        &local_key,
        payload(&keys).as_bytes(),
        Some(footer(&keys).as_bytes()),
        Some(DEPLOYMENT.as_bytes()),
    );
    let others = [
        String::new(),
        "v4.public.".to_owned(),
        local.expect("encrypts"),
        token.replace("v4.", "v1."),
        token.replace("v4.", "v2."),
        token.replace("v4.", "v3."),
        token.replace("public", "local"),
        format!("{token}.x"),
        format!("{token}="),
    ];
    for other in others {
        assert_eq!(verifier.verify(&other), Err(TokenError::Malformed), "{other}");
    }
    assert_eq!(verifier.verify(&"v4.public.".repeat(103)), Err(TokenError::TooLong));
}

#[tokio::test(start_paused = true)]
async fn the_footer_is_a_key_id_and_nothing_else() {
    let keys = Keys::new();
    let verifier = keys.verifier();
    let (kid, embedded) = (keys.sso.public().kid(), keys.sso.public().paserk());
    let refused = [
        "{}".to_owned(),
        kid.to_owned(),
        format!(r#"{{"kid":"{kid}","x":1}}"#),
        format!(r#"{{"kid":"{kid}","kid":"{kid}"}}"#),
        format!(r#"{{"kid":["{kid}"]}}"#),
        // A key that the token brings along itself.
        format!(r#"{{"kid":"{kid}","key":"{embedded}"}}"#),
        format!(r#"{{"key":"{embedded}"}}"#),
        format!(r#"{{"kid":"{kid}"}}{}"#, " ".repeat(256)),
    ];
    for footer in refused {
        assert_eq!(verifier.verify(&forged(&keys, &payload(&keys), &footer)), Err(TokenError::Footer), "{footer}");
    }
    let token = keys.token(Kind::Access);
    let (bare, _) = token.rsplit_once('.').expect("a footer");
    assert_eq!(verifier.verify(bare), Err(TokenError::Footer));
    for unknown in ["k4.pid.unknown", &embedded] {
        let foreign = forged(&keys, &payload(&keys), &format!(r#"{{"kid":"{unknown}"}}"#));
        assert_eq!(verifier.verify(&foreign), Err(TokenError::UnknownKey), "{unknown}");
    }
}

#[tokio::test(start_paused = true)]
async fn claims_are_whole_and_single() {
    let keys = Keys::new();
    let verifier = keys.verifier();
    let whole = payload(&keys);
    assert!(verifier.verify(&forged(&keys, &whole, &footer(&keys))).is_ok());
    let claim = |name: &str| {
        let value = whole.split(&format!(r#""{name}":""#)).nth(1).and_then(|rest| rest.split('"').next());
        format!(r#""{name}":"{}""#, value.expect("the claim"))
    };
    for name in ["typ", "iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp"] {
        let text = claim(name);
        let missing = whole.replace(&format!("{text},"), "").replace(&format!(",{text}"), "");
        assert_eq!(verifier.verify(&forged(&keys, &missing, &footer(&keys))), Err(TokenError::Claims), "no {name}");
        let double = whole.replace(&text, &format!("{text},{text}"));
        assert_eq!(verifier.verify(&forged(&keys, &double, &footer(&keys))), Err(TokenError::Claims), "double {name}");
    }
    let malformed = [
        whole.replace("{", r#"{"admin":true,"#),
        whole.replace(r#""access""#, r#""root""#),
        whole.replace("T", " "),
        whole.replace("Z", ""),
        format!("[{whole}]"),
        "null".to_owned(),
    ];
    for payload in malformed {
        assert_eq!(verifier.verify(&forged(&keys, &payload, &footer(&keys))), Err(TokenError::Claims), "{payload}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_is_for_one_issuer_audience_deployment_and_kind() {
    let keys = Keys::new();
    let verifier = keys.verifier();
    let access = keys.claims(Kind::Access);
    let issuer = Claims { issuer: "sms".to_owned(), ..access.clone() };
    assert_eq!(verifier.verify(&keys.sign(&issuer)), Err(TokenError::Issuer));
    let audience = Claims { audience: "other".to_owned(), ..access.clone() };
    assert_eq!(verifier.verify(&keys.sign(&audience)), Err(TokenError::Audience));
    // The peers' key may sign nothing but peers' tokens, SSO's nothing but people's.
    assert_eq!(verifier.verify(&keys.mesh.signer(Kind::Peer).sign(&access)), Err(TokenError::Kind));
    assert_eq!(verifier.verify(&keys.sso.sign(&keys.claims(Kind::Operator))), Err(TokenError::Kind));
    let elsewhere = Signer::from_bytes(keys.sso.to_bytes(), "production");
    assert_eq!(verifier.verify(&elsewhere.sign(&access)), Err(TokenError::Signature));
    let token = keys.token(Kind::Access);
    let flipped = if &token[20..21] == "A" { "B" } else { "A" };
    let tampered = format!("{}{flipped}{}", &token[..20], &token[21..]);
    assert_eq!(verifier.verify(&tampered), Err(TokenError::Signature));
}

#[tokio::test(start_paused = true)]
async fn time_has_leeway_before_and_none_after() {
    let keys = Keys::new();
    let verifier = keys.verifier();
    let now = keys.clock.now();
    let ahead = |seconds| {
        let at = now + Duration::from_secs(seconds);
        Claims { not_before: at, issued_at: at, ..keys.claims(Kind::Access) }
    };
    assert!(verifier.verify(&keys.sign(&ahead(10))).is_ok());
    assert_eq!(verifier.verify(&keys.sign(&ahead(11))), Err(TokenError::NotYet));
    let only_issued = Claims { issued_at: now + Duration::from_secs(11), ..keys.claims(Kind::Access) };
    assert_eq!(verifier.verify(&keys.sign(&only_issued)), Err(TokenError::NotYet));

    let token = keys.token(Kind::Access);
    tokio::time::advance(Duration::from_millis(59_999)).await;
    assert!(verifier.verify(&token).is_ok());
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(verifier.verify(&token), Err(TokenError::Expired), "although it was remembered");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_taken_away_or_ends_takes_its_tokens_with_it() {
    let keys = Keys::new();
    let verifier = keys.verifier();
    let token = keys.token(Kind::Access);
    assert!(verifier.verify(&token).is_ok());
    verifier.keyring().replace(Kind::Access, Vec::new());
    assert_eq!(verifier.verify(&token), Err(TokenError::UnknownKey));
    assert!(verifier.verify(&keys.token(Kind::Operator)).is_ok(), "other kinds keep their keys");
    let ends = keys.clock.now() + Duration::from_secs(5);
    verifier.keyring().replace(Kind::Access, vec![VerifyingKey { not_after: Some(ends), ..keys.sso_key() }]);
    assert!(verifier.verify(&token).is_ok());
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(verifier.verify(&token), Err(TokenError::UnknownKey));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_key_is_asked_for_once_in_a_while() {
    let keys = Keys::new();
    let asked = Arc::new(AtomicUsize::new(0));
    let (count, key) = (Arc::clone(&asked), keys.sso_key());
    let keyring = keys.mesh.keyring().with_refresh(Kind::Access, move || {
        // At first nobody can be asked, and then it is not known yet.
        let answer = match count.fetch_add(1, Ordering::SeqCst) {
            0 => None,
            1 => Some(Vec::new()),
            _ => Some(vec![key.clone()]),
        };
        async move { answer }
    });
    let verifier = Verifier::new(
        keyring,
        Expected { deployment: DEPLOYMENT, audience: AUDIENCE, issuer: "sso" },
        keys.clock.clone(),
    );
    let token = keys.token(Kind::Access);
    for (times, refused) in [(1, TokenError::Unreachable), (2, TokenError::UnknownKey)] {
        assert_eq!(verifier.verify_fresh(&token).await, Err(refused));
        assert_eq!(verifier.verify_fresh(&token).await, Err(refused), "as it was said");
        assert_eq!(asked.load(Ordering::SeqCst), times, "not asked again at once");
        tokio::time::advance(Duration::from_secs(3)).await;
    }
    let (one, other) = tokio::join!(verifier.verify_fresh(&token), verifier.verify_fresh(&token));
    assert!(one.is_ok() && other.is_ok());
    assert_eq!(asked.load(Ordering::SeqCst), 3, "asked once for both");
}

#[tokio::test(start_paused = true)]
async fn whoever_gives_up_while_a_key_is_fetched_takes_it_from_nobody() {
    let keys = Keys::new();
    let key = keys.sso_key();
    let keyring = keys.mesh.keyring().with_refresh(Kind::Access, move || {
        let answer = Some(vec![key.clone()]);
        async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            answer
        }
    });
    let verifier = Verifier::new(
        keyring,
        Expected { deployment: DEPLOYMENT, audience: AUDIENCE, issuer: "sso" },
        keys.clock.clone(),
    );
    let token = keys.token(Kind::Access);
    let hasty = tokio::time::timeout(Duration::from_millis(1), verifier.verify_fresh(&token));
    hasty.await.expect_err("it takes longer");
    verifier.verify_fresh(&token).await.expect("the key was on its way");
}

#[test]
fn keys_have_their_paserk_texts() {
    let signer = Signer::from_bytes([1; 32], DEPLOYMENT);
    let public = signer.public();
    assert!(public.kid().starts_with("k4.pid."), "{}", public.kid());
    for copy in [PublicKey::from_paserk(&public.paserk()), PublicKey::from_bytes(public.bytes())] {
        assert_eq!(copy.expect("a key").kid(), public.kid());
    }
    assert!(PublicKey::from_paserk("k4.public.x").is_err());
    assert!(PublicKey::from_bytes(&[0; 31]).is_err());
    assert_eq!(Signer::from_bytes(signer.to_bytes(), DEPLOYMENT).public().kid(), public.kid());
    assert!(!format!("{signer:?} {:?}", MeshKey::new([9; 32], DEPLOYMENT)).contains('9'), "prints no secret");
}

#[test]
fn the_mesh_key_is_made_once_and_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let random = crate::Random::seeded(1);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mesh.key");
    let made = MeshKey::load_or_create(&path, DEPLOYMENT, &random).expect("made");
    let read = MeshKey::load_or_create(&path, DEPLOYMENT, &random).expect("read");
    assert_eq!(made.signer(Kind::Peer).public().kid(), read.signer(Kind::Peer).public().kid());
    assert_ne!(made.signer(Kind::Peer).public().kid(), made.signer(Kind::Operator).public().kid());
    let files = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(files, 1, "nothing is left beside it");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o604)).expect("set");
    let error = MeshKey::load_or_create(&path, DEPLOYMENT, &random).expect_err("others may read it");
    assert!(error.to_string().contains("chmod 600"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_token_of_a_session_that_ended_is_refused_however_often_it_was_believed() {
    let keys = Keys::new();
    let verifier = keys.verifier();
    let (token, operator) = (keys.token(Kind::Access), keys.token(Kind::Operator));
    let (session, until) = (Uuid::from_u128(2), keys.clock.now() + Duration::from_secs(60));
    verifier.revoke(Uuid::from_u128(1), until);
    for _ in 0..2 {
        assert_eq!(verifier.verify(&token), Ok(keys.claims(Kind::Access).into()), "another session's end");
    }
    verifier.revoke(session, until);
    for _ in 0..2 {
        assert_eq!(verifier.verify(&token), Err(TokenError::Revoked));
    }
    assert_eq!(verifier.verify(&operator), Ok(keys.claims(Kind::Operator).into()), "an operator has no session");
}
