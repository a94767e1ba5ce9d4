//! The inbox of the development carrier.

use proto::sms::v1::ListMessagesRequest;
use tonic::Code;

use crate::{
    engine::{Engine, on_both_engines},
    world::World,
};

on_both_engines! {
    the_inbox_is_read_newest_first_page_by_page,
    a_page_is_asked_for_properly,
}

async fn the_inbox_is_read_newest_first_page_by_page(engine: Engine) {
    let world = World::new(engine).await;
    for number in 0..5 {
        world.opened(&format!("anna{number}@example.com")).await;
    }
    let mut request = ListMessagesRequest { page_size: 2, ..Default::default() };
    let mut seen = Vec::new();
    loop {
        let page = world.inbox.clone().list_messages(request.clone()).await.unwrap().into_inner();
        assert!(page.messages.len() <= 2);
        seen.extend(page.messages.into_iter().map(|message| message.destination));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let expected: Vec<_> = (0..5).rev().map(|number| format!("anna{number}@example.com")).collect();
    assert_eq!(seen, expected);
}

async fn a_page_is_asked_for_properly(engine: Engine) {
    let world = World::new(engine).await;
    let request = ListMessagesRequest { page_size: -1, page_token: "x".to_owned(), ..Default::default() };
    let status = world.inbox.clone().list_messages(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("page_size") && status.message().contains("page_token"), "{}", status.message());
}
