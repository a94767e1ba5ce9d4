//! Users to create, by themselves or by operators.

use mesh::{Failure, Fields};
use proto::sso::v1::{AccountType, CreateUserRequest, OfficialTier, SignUpRequest};

use super::{Given, identifier};
use crate::{
    create::{By, Create},
    model::{AccountKind, Tier},
    password::Password,
    username::Username,
};

impl TryFrom<SignUpRequest> for Create {
    type Error = Failure;

    fn try_from(request: SignUpRequest) -> Result<Self, Failure> {
        let given = request.identifier.map(Given::from);
        let mut fields = Fields::default();
        let kind = match AccountType::try_from(request.account_type) {
            Ok(AccountType::Customer) => Some(AccountKind::Customer),
            Ok(AccountType::Official) => Some(AccountKind::Official(Tier::Unverified)),
            _ => fields.refuse("account_type", "is required"),
        };
        let rest = Common { request_id: request.request_id, password: request.password, username: request.username };
        create(fields, given, rest, kind, By::Person)
    }
}

impl TryFrom<CreateUserRequest> for Create {
    type Error = Failure;

    fn try_from(request: CreateUserRequest) -> Result<Self, Failure> {
        let mut fields = Fields::default();
        let kind = account_kind(&mut fields, request.account_type, request.official_tier);
        let given = request.identifier.map(Given::from);
        let rest = Common { request_id: request.request_id, password: request.password, username: request.username };
        create(fields, given, rest, kind, By::Operator { vouches: request.vouch_identifier })
    }
}

/// The account type and tier that operators give.
pub(in crate::service) fn account_kind(
    fields: &mut Fields,
    account_type: i32,
    official_tier: i32,
) -> Option<AccountKind> {
    match (AccountType::try_from(account_type), OfficialTier::try_from(official_tier)) {
        (Ok(AccountType::Customer), Ok(OfficialTier::Unspecified)) => Some(AccountKind::Customer),
        (Ok(AccountType::Customer), _) => fields.refuse("official_tier", "is for official accounts"),
        (Ok(AccountType::Official), Ok(OfficialTier::Verified)) => Some(AccountKind::Official(Tier::Verified)),
        (Ok(AccountType::Official), Ok(OfficialTier::Premium)) => Some(AccountKind::Official(Tier::Premium)),
        (Ok(AccountType::Official), Ok(_)) => Some(AccountKind::Official(Tier::Unverified)),
        (Ok(AccountType::Official), Err(_)) => fields.refuse("official_tier", "is unknown"),
        _ => fields.refuse("account_type", "is required"),
    }
}

/// The fields that SignUp and CreateUser share.
struct Common {
    request_id: String,
    password: String,
    username: String,
}

fn create(
    mut fields: Fields,
    given: Option<Given>,
    rest: Common,
    kind: Option<AccountKind>,
    by: By,
) -> Result<Create, Failure> {
    let request_id = fields.request_id(&rest.request_id);
    let identifier = identifier(&mut fields, given);
    let username = fields.take("username", Username::parse(&rest.username));
    let password = fields.take("password", Password::new(&rest.password, username.as_ref()));
    let parsed = (|| {
        Some(Create {
            request_id: request_id?,
            identifier: identifier?,
            password: password?,
            username: username?,
            kind: kind?,
            by,
        })
    })();
    fields.finish(parsed)
}
