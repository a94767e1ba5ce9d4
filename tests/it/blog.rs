//! Blog keeps SSO's users by the same roster as Social, whose own tests tell what that does; here is that Blog is wired to it.

use onebox::Part;
use proto::blog::v1::{self as blog, get_author_request::Key, user_service_client::UserServiceClient};
use tonic::Code;

use crate::world::{World, nobody, reason};

fn user(version: i64, username: &str) -> Option<blog::User> {
    Some(blog::User {
        id: nobody(),
        username: username.to_owned(),
        account_type: blog::AccountType::Official.into(),
        official_tier: blog::OfficialTier::Verified.into(),
        version,
    })
}

#[tokio::test(start_paused = true)]
async fn blog_keeps_the_newest_version_and_a_tombstone() {
    let world = World::start().await;
    let mut users = UserServiceClient::new(world.plaza().peer(Part::Blog, Part::Sso).expect("it runs"));
    users.create_user(blog::CreateUserRequest { user: user(2, "anna") }).await.expect("created");
    users.update_user(blog::UpdateUserRequest { user: user(1, "older") }).await.expect("an older version is OK");
    let key = Some(Key::Username("ANNA".to_owned()));
    let author = world.authors().get_author(blog::GetAuthorRequest { key }).await.expect("known").into_inner().author;
    let author = author.expect("an author");
    assert_eq!(author.official_tier(), blog::OfficialTier::Verified);
    assert_eq!((author.username.as_str(), author.display_name.as_str(), author.about.as_str()), ("anna", "anna", ""));

    users.delete_user(blog::DeleteUserRequest { user_id: nobody(), version: 3 }).await.expect("deleted");
    let late = users.create_user(blog::CreateUserRequest { user: user(3, "anna") }).await.expect_err("too late");
    assert_eq!((late.code(), reason(&late).as_str()), (Code::FailedPrecondition, "USER_DELETED"));
    let gone = users.get_user(blog::GetUserRequest { user_id: nobody() }).await.expect_err("gone");
    assert_eq!((gone.code(), reason(&gone).as_str()), (Code::NotFound, "USER_NOT_FOUND"));
}
