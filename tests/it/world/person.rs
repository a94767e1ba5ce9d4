//! Somebody who uses Plaza.

use proto::sso::v1::{
    AccountType, CreateUserRequest, SignInRequest, SignUpRequest, create_user_request, sign_in_request, sign_up_request,
};

use super::id;

/// Somebody who signs up: an address and what they would type.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) address: String,
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) account_type: AccountType,
}

impl Person {
    /// A customer with an e-mail address.
    pub(crate) fn with_email(name: &str) -> Self {
        Self::new(name, format!("{name}@example.com"))
    }

    /// A customer with a phone number.
    pub(crate) fn with_phone(name: &str, number: &str) -> Self {
        Self::new(name, number.to_owned())
    }

    fn new(name: &str, address: String) -> Self {
        let (username, password) = (name.to_owned(), "correct horse battery".to_owned());
        Self { address, username, password, account_type: AccountType::Customer }
    }

    /// The same, as an official account.
    pub(crate) fn official(self) -> Self {
        Self { account_type: AccountType::Official, ..self }
    }

    /// The request of a sign-up, with a fresh id.
    pub(crate) fn sign_up(&self) -> SignUpRequest {
        use sign_up_request::Identifier;
        let address = self.address.clone();
        let identifier =
            if address.contains('@') { Identifier::Email(address) } else { Identifier::PhoneNumber(address) };
        SignUpRequest {
            request_id: id(),
            identifier: Some(identifier),
            password: self.password.clone(),
            username: self.username.clone(),
            account_type: self.account_type.into(),
        }
    }

    /// The request of an operator who creates them and vouches for the address, with a fresh id.
    pub(crate) fn create(&self) -> CreateUserRequest {
        CreateUserRequest {
            request_id: id(),
            identifier: Some(create_user_request::Identifier::Email(self.address.clone())),
            password: self.password.clone(),
            username: self.username.clone(),
            account_type: self.account_type.into(),
            vouch_identifier: true,
            ..CreateUserRequest::default()
        }
    }

    /// The request of a sign-in, with a fresh id.
    pub(crate) fn sign_in(&self) -> SignInRequest {
        use sign_in_request::Identifier;
        let address = self.address.clone();
        let identifier =
            if address.contains('@') { Identifier::Email(address) } else { Identifier::PhoneNumber(address) };
        SignInRequest {
            request_id: id(),
            identifier: Some(identifier),
            password: self.password.clone(),
            device_label: "a phone".to_owned(),
        }
    }
}
