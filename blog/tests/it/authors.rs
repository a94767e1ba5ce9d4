//! Anyone may look; persons change their own.

use proto::blog::v1 as pb;
use tonic::Code;

use crate::world::{START, World, bad_fields, reason};

fn change(display_name: Option<&str>, about: Option<&str>) -> pb::UpdateAuthorRequest {
    pb::UpdateAuthorRequest { display_name: display_name.map(str::to_owned), about: about.map(str::to_owned) }
}

#[tokio::test(start_paused = true)]
async fn a_new_author_shows_the_username() {
    let world = World::start_paused().await;
    let id = world.id();
    world.tell(id, "Anna", 1).await;
    let author = world.author(id).await.unwrap();
    assert_eq!((author.username.as_str(), author.display_name.as_str()), ("Anna", "Anna"));
    assert_eq!(author.account_type(), pb::AccountType::Customer);
    assert_eq!(author.about, "");
    assert_eq!(author.create_time.unwrap().seconds.unsigned_abs(), START);
    world.stop().await;
}

#[tokio::test]
async fn a_username_is_found_without_regard_to_case() {
    let world = World::start().await;
    for (written, asked) in
        [("Anna", "aNNa"), ("Nguyễn.Văn", "NGUYỄN.VĂN"), ("МАРИЯ", "мария"), ("山田太郎", "山田太郎")]
    {
        let id = world.id();
        world.tell(id, written, 1).await;
        let author = world.named(asked).await.unwrap();
        assert_eq!((author.user_id, author.username.as_str()), (id.to_string(), written));
    }
    let unknown = world.named("nobody").await.unwrap_err();
    assert_eq!((unknown.code(), reason(&unknown).as_str()), (Code::NotFound, "USER_NOT_FOUND"));
    world.stop().await;
}

#[tokio::test]
async fn an_old_name_finds_nobody() {
    let world = World::start().await;
    let id = world.id();
    world.tell(id, "anna", 1).await;
    world.tell(id, "anne", 2).await;
    assert_eq!(world.named("anna").await.unwrap_err().code(), Code::NotFound);
    assert_eq!(world.named("ANNE").await.unwrap().user_id, id.to_string());
    world.stop().await;
}

#[tokio::test]
async fn text_in_any_script_comes_back_as_it_was() {
    let world = World::start().await;
    let id = world.id();
    world.tell(id, "anna", 1).await;
    let token = world.token(id);
    for text in [
        "Nguyễn Thị Ánh",
        "e\u{301}",
        "مرحبا بالعالم",
        "שלום",
        "हिन्दी",
        "山田 太郎",
        "👩‍👩‍👧‍👦 🇻🇳",
        "'; DROP TABLE users; --",
    ] {
        let about = format!("{text}\n\n{text}");
        let changed = world.change(&token, change(Some(text), Some(&about))).await.unwrap();
        assert_eq!((changed.display_name.as_str(), changed.about.as_str()), (text, about.as_str()));
        assert_eq!(world.author(id).await.unwrap(), changed);
    }
    world.stop().await;
}

#[tokio::test]
async fn what_is_not_set_stays() {
    let world = World::start().await;
    let id = world.id();
    world.tell(id, "anna", 1).await;
    let token = world.token(id);
    world.change(&token, change(Some("Anna"), Some("Hello"))).await.unwrap();
    let author = world.change(&token, change(None, Some(""))).await.unwrap();
    assert_eq!((author.display_name.as_str(), author.about.as_str()), ("Anna", ""));
    assert_eq!(world.change(&token, change(None, None)).await.unwrap(), author);
    world.tell(id, "annabel", 2).await;
    let renamed = world.author(id).await.unwrap();
    assert_eq!((renamed.username.as_str(), renamed.display_name.as_str()), ("annabel", "Anna"));
    world.stop().await;
}

#[tokio::test]
async fn all_bad_fields_are_named() {
    let world = World::start().await;
    let id = world.id();
    world.tell(id, "anna", 1).await;
    let token = world.token(id);
    let long = "字".repeat(1001);
    for (display_name, about) in [("", "a\0b"), ("a\nb", "a\u{7f}b"), (&"x".repeat(101), long.as_str()), (" ", "a\rb")]
    {
        let refusal = world.change(&token, change(Some(display_name), Some(about))).await.unwrap_err();
        assert_eq!((refusal.code(), reason(&refusal).as_str()), (Code::InvalidArgument, "INVALID_FIELDS"));
        assert_eq!(bad_fields(&refusal), ["display_name", "about"]);
    }
    assert_eq!(world.author(id).await.unwrap().display_name, "anna");
    world.stop().await;
}

#[tokio::test]
async fn the_longest_texts_are_taken() {
    let world = World::start().await;
    let id = world.id();
    world.tell(id, "anna", 1).await;
    let (name, about) = ("ễ".repeat(100), "👋".repeat(1000));
    let author = world.change(&world.token(id), change(Some(&name), Some(&about))).await.unwrap();
    assert_eq!((author.display_name, author.about), (name, about));
    world.stop().await;
}

#[tokio::test]
async fn a_key_is_wanted() {
    let world = World::start().await;
    let mut authors = world.authors();
    let missing = authors.get_author(pb::GetAuthorRequest { key: None }).await.unwrap_err();
    assert_eq!(bad_fields(&missing), ["key"]);
    let bad_id = pb::get_author_request::Key::UserId("anna".into());
    let refusal = authors.get_author(pb::GetAuthorRequest { key: Some(bad_id) }).await.unwrap_err();
    assert_eq!(bad_fields(&refusal), ["user_id"]);
    assert_eq!(bad_fields(&world.named("").await.unwrap_err()), ["username"]);
    world.stop().await;
}

#[tokio::test]
async fn a_person_sso_did_not_tell_of_has_no_author() {
    let world = World::start().await;
    let id = world.id();
    for asked in [change(Some("Anna"), None), change(None, None)] {
        let refusal = world.change(&world.token(id), asked).await.unwrap_err();
        assert_eq!((refusal.code(), reason(&refusal).as_str()), (Code::NotFound, "USER_NOT_FOUND"));
    }
    world.stop().await;
}
