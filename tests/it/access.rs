//! Who may call what: every method, tried as everybody. A method without a row here fails.

use mesh::Channel;
use onebox::Part;
use proto::sso::v1::sign_in_response::Outcome;
use tonic::{Code, Request, Status, client::Grpc, codegen::http::uri::PathAndQuery};
use tonic_prost::ProstCodec;

use crate::world::{Person, World, bearer, reason, verification};

/// Who may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum May {
    Anyone,
    Person,
    Operator,
    Peers(&'static [&'static str]),
}

const SSO: May = May::Peers(&["sso"]);

/// Every method there is, in the order of the policy table.
const TABLE: &[(&str, May)] = &[
    ("/blog.v1.AuthorService/GetAuthor", May::Anyone),
    ("/blog.v1.AuthorService/UpdateAuthor", May::Person),
    ("/blog.v1.UserService/CreateUser", SSO),
    ("/blog.v1.UserService/DeleteUser", SSO),
    ("/blog.v1.UserService/GetUser", SSO),
    ("/blog.v1.UserService/ListUsers", SSO),
    ("/blog.v1.UserService/UpdateUser", SSO),
    ("/sms.v1.InboxService/ListMessages", May::Anyone),
    ("/sms.v1.MessageService/SendMessage", SSO),
    ("/sms.v1.OtpService/AcknowledgeOtp", SSO),
    ("/sms.v1.OtpService/ResendOtp", SSO),
    ("/sms.v1.OtpService/SendOtp", SSO),
    ("/sms.v1.OtpService/VerifyOtp", SSO),
    ("/social.v1.ProfileService/GetProfile", May::Anyone),
    ("/social.v1.ProfileService/UpdateProfile", May::Person),
    ("/social.v1.UserService/CreateUser", SSO),
    ("/social.v1.UserService/DeleteUser", SSO),
    ("/social.v1.UserService/GetUser", SSO),
    ("/social.v1.UserService/ListUsers", SSO),
    ("/social.v1.UserService/UpdateUser", SSO),
    ("/sso.v1.AccountService/ChangePassword", May::Person),
    ("/sso.v1.AccountService/ChangeUsername", May::Person),
    ("/sso.v1.AccountService/ConfirmIdentifierChange", May::Person),
    ("/sso.v1.AccountService/DeleteAccount", May::Person),
    ("/sso.v1.AccountService/GetAccount", May::Person),
    ("/sso.v1.AccountService/ListSessions", May::Person),
    ("/sso.v1.AccountService/RemoveIdentifier", May::Person),
    ("/sso.v1.AccountService/RevokeOtherSessions", May::Person),
    ("/sso.v1.AccountService/RevokeSession", May::Person),
    ("/sso.v1.AccountService/StartIdentifierChange", May::Person),
    ("/sso.v1.AuthService/CompleteCodeSignIn", May::Anyone),
    ("/sso.v1.AuthService/CompletePasswordReset", May::Anyone),
    ("/sso.v1.AuthService/RefreshToken", May::Anyone),
    ("/sso.v1.AuthService/SendOtp", May::Anyone),
    ("/sso.v1.AuthService/SignIn", May::Anyone),
    ("/sso.v1.AuthService/SignOut", May::Anyone),
    ("/sso.v1.AuthService/SignUp", May::Anyone),
    ("/sso.v1.AuthService/StartCodeSignIn", May::Anyone),
    ("/sso.v1.AuthService/StartPasswordReset", May::Anyone),
    ("/sso.v1.AuthService/VerifyOtp", May::Anyone),
    ("/sso.v1.TokenService/IntrospectToken", May::Peers(&["social", "blog"])),
    ("/sso.v1.TokenService/ListPublicKeys", May::Peers(&["social", "blog"])),
    ("/sso.v1.TokenService/RotateKey", May::Operator),
    ("/sso.v1.TokenService/WatchRevocations", May::Peers(&["social", "blog"])),
    ("/sso.v1.UserService/BatchGetUsers", May::Operator),
    ("/sso.v1.UserService/CreateUser", May::Operator),
    ("/sso.v1.UserService/DeleteUser", May::Operator),
    ("/sso.v1.UserService/GetProvisioning", May::Operator),
    ("/sso.v1.UserService/GetUser", May::Operator),
    ("/sso.v1.UserService/ListAuditEvents", May::Operator),
    ("/sso.v1.UserService/ListProvisioning", May::Operator),
    ("/sso.v1.UserService/ListUsers", May::Operator),
    ("/sso.v1.UserService/LockUser", May::Operator),
    ("/sso.v1.UserService/ReconcileProvisioning", May::Operator),
    ("/sso.v1.UserService/RetryProvisioning", May::Operator),
    ("/sso.v1.UserService/UnlockUser", May::Operator),
    ("/sso.v1.UserService/UpdateUser", May::Operator),
];

#[test]
fn every_method_has_a_row() {
    let rows: Vec<_> = TABLE.iter().map(|(path, _)| *path).collect();
    let methods: Vec<_> = proto::POLICIES.iter().map(|policy| policy.path).collect();
    assert_eq!(rows, methods);
}

#[tokio::test(start_paused = true)]
async fn everybody_tries_everything() {
    let world = World::start().await;
    let (_, tokens) = world.join(&Person::with_email("anna")).await;
    let operator = world.plaza().operator_token("root", std::time::Duration::from_secs(900)).expect("a token");
    let signed_up = world.sign_up(&Person::with_email("cleo")).await.expect("signs up");
    let signed_in = world.sign_in(&Person::with_email("cleo")).await.expect("an answer");
    let Some(Outcome::Verification(asked)) = signed_in.outcome else { panic!("a token for somebody unverified") };
    assert_ne!(asked.verification_id, verification(&signed_up));
    let verification = asked.verification_id;
    for (path, may) in TABLE {
        let part = Part::ALL.into_iter().find(|part| path.starts_with(&format!("/{part}."))).expect("a service");
        let outside = || world.plaza().client(part).expect("it runs");

        let nobody = call(outside(), path, None).await;
        match may {
            May::Anyone => assert!(admitted(&nobody), "{path} refuses nobody: {nobody:?}"),
            May::Person => assert_eq!(code(&nobody), Code::Unauthenticated, "{path} as nobody"),
            // To an outsider a door for others is shut, with or without a key.
            May::Operator | May::Peers(_) => assert!(refused(&nobody), "{path} admits nobody: {nobody:?}"),
        }
        let person = call(outside(), path, Some(&tokens.access_token)).await;
        assert_eq!(admitted(&person), matches!(may, May::Anyone | May::Person), "{path} as a person: {person:?}");
        let as_operator = call(outside(), path, Some(&operator)).await;
        let expected = matches!(may, May::Anyone | May::Operator);
        assert_eq!(admitted(&as_operator), expected, "{path} as an operator: {as_operator:?}");
        // Whoever is not verified has no token, but the name of a verification.
        let unverified = call(outside(), path, Some(&verification)).await;
        assert_eq!(admitted(&unverified), *may == May::Anyone, "{path} as somebody unverified: {unverified:?}");
        for caller in Part::ALL {
            let name = caller.name();
            let peer = call(world.plaza().peer(part, caller).expect("it runs"), path, None).await;
            let expected = match may {
                May::Anyone => true,
                May::Peers(names) => names.contains(&name),
                May::Person | May::Operator => false,
            };
            assert_eq!(admitted(&peer), expected, "{path} as {name}: {peer:?}");
        }
    }
}

/// SSO asks whether the session has ended, for itself at once; what the others honour ends with the token.
#[tokio::test(start_paused = true)]
async fn a_locked_person_is_out_whatever_token_is_left() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    let (user, tokens) = world.join(&anna).await;
    world.lock(&user.id).await.expect("locked");
    assert_eq!(reason(&world.sign_in(&anna).await.expect_err("no new token")), "CREDENTIALS_INVALID");
    let persons = || TABLE.iter().filter(|(_, may)| *may == May::Person);
    for (path, _) in persons().filter(|(path, _)| path.starts_with("/sso.")) {
        let status = call(world.plaza().client(Part::Sso).expect("it runs"), path, Some(&tokens.access_token)).await;
        let status = status.expect_err("a locked person is served");
        // Some look at the empty message first.
        assert!(["SESSION_ENDED", "INVALID_FIELDS"].contains(&reason(&status).as_str()), "{path}: {status:?}");
    }
    world.leap(std::time::Duration::from_secs(900)).await;
    for (path, _) in persons() {
        let part = Part::ALL.into_iter().find(|part| path.starts_with(&format!("/{part}."))).expect("a service");
        let status = call(world.plaza().client(part).expect("it runs"), path, Some(&tokens.access_token)).await;
        assert_eq!(reason(&status.expect_err("it has expired")), "TOKEN_INVALID", "{path}");
    }
}

/// Calls with an empty message: whether it gets past the door is all that is asked.
async fn call(channel: Channel, path: &'static str, token: Option<&str>) -> Result<(), Status> {
    let mut grpc = Grpc::new(channel);
    grpc.ready().await?;
    let request = token.map_or_else(|| Request::new(()), |token| bearer((), token));
    grpc.unary(request, PathAndQuery::from_static(path), ProstCodec::<(), ()>::default()).await.map(drop)
}

fn code(answer: &Result<(), Status>) -> Code {
    answer.as_ref().map_or_else(Status::code, |()| Code::Ok)
}

/// The mesh's own refusal; a service's INVALID_ARGUMENT comes from behind the door.
fn refused(answer: &Result<(), Status>) -> bool {
    let reason = answer.as_ref().err().and_then(mesh::failure::reason);
    matches!(reason.as_deref(), Some("ACCESS_DENIED" | "TOKEN_INVALID"))
}

fn admitted(answer: &Result<(), Status>) -> bool {
    !refused(answer)
}
