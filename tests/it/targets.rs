//! What Social and Blog know of a user, as SSO sees it; and what operators do about it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use mesh::channel::{Fate, Faults};
use onebox::Part;
use proto::{
    blog::v1::{self as blog, user_service_client::UserServiceClient as BlogUsers},
    social::v1::{self as social, user_service_client::UserServiceClient as SocialUsers},
    sso::v1::{self as sso, AccountType, OfficialTier, OwedProvisioning, Provisioning},
};
use tonic::{Code, Response, Status};

use crate::world::{World, id};

/// A Blog that can be told to refuse everything for good.
#[derive(Clone, Default)]
pub(crate) struct Stubborn(Arc<AtomicBool>);

impl Stubborn {
    pub(crate) fn refuse(&self, refuse: bool) {
        self.0.store(refuse, Ordering::SeqCst);
    }

    pub(crate) fn faults(&self) -> onebox::Faults {
        let refuses = Arc::clone(&self.0);
        let fate = move |path: &str| match refuses.load(Ordering::SeqCst) && path.starts_with("/blog.v1.UserService/") {
            true => Fate::Refuse(Code::InvalidArgument),
            false => Fate::Pass,
        };
        onebox::Faults { calls: Faults::new(fate), ..Default::default() }
    }
}

/// A user as a target knows it: name, account type, tier and version. None of the services has these in one type.
pub(crate) type Known = Option<(String, i32, i32, i64)>;

impl World {
    /// What Social knows of a user.
    pub(crate) async fn social_knows(&self, user_id: &str) -> Known {
        let channel = self.plaza().peer(Part::Social, Part::Sso).expect("it runs");
        let request = social::GetUserRequest { user_id: user_id.to_owned() };
        let user = found(SocialUsers::new(channel).get_user(request).await)?.user?;
        Some((user.username, user.account_type, user.official_tier, user.version))
    }

    /// What Blog knows of a user.
    pub(crate) async fn blog_knows(&self, user_id: &str) -> Known {
        let channel = self.plaza().peer(Part::Blog, Part::Sso).expect("it runs");
        let request = blog::GetUserRequest { user_id: user_id.to_owned() };
        let user = found(BlogUsers::new(channel).get_user(request).await)?.user?;
        Some((user.username, user.account_type, user.official_tier, user.version))
    }

    /// What SSO knows of a user, in the same form.
    pub(crate) async fn sso_knows(&self, user_id: &str) -> Known {
        let request = self.as_operator(sso::GetUserRequest { user_id: user_id.to_owned() });
        let user = found(self.users().get_user(request).await)?.user?;
        Some((user.username, user.account_type, user.official_tier, user.version))
    }

    /// An operator makes a user an official account of a tier.
    pub(crate) async fn make_official(
        &self,
        user_id: &str,
        tier: OfficialTier,
    ) -> Result<sso::UpdateUserResponse, Status> {
        self.update(change(user_id, tier)).await
    }

    /// An operator changes a user.
    pub(crate) async fn update(&self, request: sso::UpdateUserRequest) -> Result<sso::UpdateUserResponse, Status> {
        self.users().update_user(self.as_operator(request)).await.map(Response::into_inner)
    }

    /// An operator deletes a user.
    pub(crate) async fn delete(&self, request_id: &str, user_id: &str) -> Result<Vec<Provisioning>, Status> {
        let request = sso::DeleteUserRequest { request_id: request_id.to_owned(), user_id: user_id.to_owned() };
        Ok(self.users().delete_user(self.as_operator(request)).await?.into_inner().provisioning)
    }

    /// All that is owed, page by page.
    pub(crate) async fn owed(&self, filter: sso::ListProvisioningRequest) -> Vec<OwedProvisioning> {
        let (mut all, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = sso::ListProvisioningRequest { page_token, ..filter.clone() };
            let page = self.users().list_provisioning(self.as_operator(request)).await.expect("a page").into_inner();
            all.extend(page.owed);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return all;
            }
        }
    }

    /// Everything that is owed.
    pub(crate) async fn all_owed(&self) -> Vec<OwedProvisioning> {
        self.owed(sso::ListProvisioningRequest::default()).await
    }

    /// Lets time pass until nothing is owed; two minutes at most.
    pub(crate) async fn settled(&self) {
        for _ in 0..240 {
            if self.all_owed().await.is_empty() {
                return;
            }
            self.pass(std::time::Duration::from_millis(500)).await;
        }
        panic!("still owed after two minutes: {:?}", self.all_owed().await);
    }

    /// Both targets know the user as SSO does, or none of the three knows it.
    pub(crate) async fn agree(&self, user_id: &str, when: &str) {
        let truth = self.sso_knows(user_id).await;
        assert_eq!(self.social_knows(user_id).await, truth, "Social {when}");
        assert_eq!(self.blog_knows(user_id).await, truth, "Blog {when}");
    }
}

/// A change to an official account of a tier, with a fresh id.
pub(crate) fn change(user_id: &str, tier: OfficialTier) -> sso::UpdateUserRequest {
    sso::UpdateUserRequest {
        request_id: id(),
        user_id: user_id.to_owned(),
        account_type: AccountType::Official.into(),
        official_tier: tier.into(),
        ..Default::default()
    }
}

fn found<T>(answer: Result<Response<T>, Status>) -> Option<T> {
    match answer {
        Ok(answer) => Some(answer.into_inner()),
        Err(status) if status.code() == Code::NotFound => None,
        Err(status) => panic!("it does not answer: {status:?}"),
    }
}
