//! Who is let in, who is refused, and what is said of it.

use super::*;

fn with_token(keys: &Keys) -> Request<String> {
    let mut request = Request::new(String::new());
    request.metadata_mut().insert("x-plaza-peer", keys.token(Kind::Peer).parse().expect("ASCII"));
    request
}

#[tokio::test]
async fn the_certificate_says_who_calls_and_the_policy_whether_it_may() {
    let (keys, root) = (Keys::new(), Authority::new("root"));
    let service = |name| Folder::new(&root.service(name), &[&root]).load(name, &keys);
    let running = Running::start(service("echo"), &keys).await;
    let sso = running.connect(&keys, &service("sso"));
    assert_eq!(say(&sso, "Peer", "hello").await.expect("named by the policy"), "hello");
    let social = running.connect(&keys, &service("social"));
    assert_eq!(say(&social, "Peer", "hello").await.expect_err("not named").code(), Code::PermissionDenied);
    assert_eq!(say(&social, "Public", "hello").await.expect("public"), "hello");
    running.stop().await;
}

#[tokio::test]
async fn without_a_certificate_one_is_nobody_whatever_token_one_has() {
    let (keys, root) = (Keys::new(), Authority::new("root"));
    let service = |name| Folder::new(&root.service(name), &[&root]).load(name, &keys);
    let running = Running::start(service("echo"), &keys).await;
    let person = running.connect(&keys, &nobody(&[&root], &keys));
    assert_eq!(say(&person, "Public", "hello").await.expect("public"), "hello");
    let (log, _guard) = Log::begin();
    for _ in 0..3 {
        assert_eq!(say(&person, "Peer", "hello").await.expect_err("nobody").code(), Code::PermissionDenied);
    }
    let lines = log.refusals();
    let [line] = lines.as_slice() else { panic!("the log is not filled: {lines:?}") };
    for part in ["a caller was refused", "no certificate", "/test.v1.EchoService/Peer", "127.0.0.1"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    // A token of sso's, which holds in plain text: not here, neither without a certificate nor with another's.
    for channel in [person, running.connect(&keys, &service("social"))] {
        let refused = call(&channel, "Peer", with_token(&keys)).await.expect_err("a token is no certificate");
        assert_eq!(refused.code(), Code::PermissionDenied);
    }
    running.stop().await;
}

#[tokio::test]
async fn a_certificate_that_does_not_hold_is_refused_in_the_handshake_and_the_log_says_who_and_why() {
    let (keys, root, foreign) = (Keys::new(), Authority::new("root"), Authority::new("foreign"));
    let folder = Folder::new(&root.service("echo"), &[&root]);
    let (sso, blog) = (spiffe("sso"), spiffe("blog"));
    let now = 1_800_000_000;
    let bad = [
        (root.sign_for(&[&sso], (0, now - 60)), "expired", sso.as_str()),
        (root.sign_for(&[&sso], (now + 60, now + 120)), "not valid yet", &sso),
        (foreign.service("sso"), "no authority among the roots", &sso),
        (root.sign(&[&sso, &blog]), "2 URIs", &blog),
        (root.sign(&[]), "0 URIs", "without a URI"),
        (root.sign(&["spiffe://elsewhere/sso"]), "another trust domain", "spiffe://elsewhere/sso"),
        (root.sign(&["https://test.plaza/sso"]), "not of the form", "https://test.plaza/sso"),
        (root.sign(&["spiffe://test.plaza/a/sso"]), "not of the form", "spiffe://test.plaza/a/sso"),
        (root.sign(&["spiffe://test.plaza/"]), "not of the form", "spiffe://test.plaza/"),
    ];
    for (signed, why, who) in bad {
        // One has a line in 10 s.
        let running = Running::start(folder.load("echo", &keys), &keys).await;
        let (log, _guard) = Log::begin();
        let channel = running.connect(&keys, &unchecked(&signed, &[&root], &keys));
        // Even where anybody may call: who shows a certificate must have one that holds.
        let refused = say(&channel, "Once", "hello").await.expect_err(why);
        assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
        let lines = log.refusals();
        let parts = ["a caller was refused", why, who, "127.0.0.1:"];
        let said = |line: &String| parts.iter().all(|part| line.contains(part));
        assert!(lines.iter().any(said), "{why} and {who}: {refused:?} {lines:?}");
        running.stop().await;
    }
}

/// Whatever anybody at the port makes the log say is little.
#[tokio::test]
async fn whoever_knocks_does_not_fill_the_log() {
    let (keys, root, foreign) = (Keys::new(), Authority::new("root"), Authority::new("foreign"));
    let running = Running::start(Folder::new(&root.service("echo"), &[&root]).load("echo", &keys), &keys).await;
    let (log, _guard) = Log::begin();
    for _ in 0..5 {
        let mut plain = TcpStream::connect(running.address).await.expect("accepted");
        plain.write_all(b"hello, is anybody there?\r\n").await.expect("sent");
        timeout(Duration::from_secs(2), plain.read_to_end(&mut Vec::new())).await.expect("refused").ok();
    }
    assert!(!log.text().contains("handshake"), "{}", log.text());
    let names: Vec<_> = (0..500).map(|n| spiffe(&format!("a-service-of-nobody-{n}"))).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let tls = unchecked(&foreign.sign(&names), &[&root], &keys);
    for _ in 0..3 {
        say(&running.connect(&keys, &tls), "Once", "hello").await.expect_err("foreign");
    }
    let lines: Vec<_> = log.refusals().into_iter().filter(|line| line.contains("a caller was refused")).collect();
    let [line] = lines.as_slice() else { panic!("{} lines", lines.len()) };
    assert!(line.contains("a-service-of-nobody-0") && line.len() < 600, "{line}");
    running.stop().await;
}

#[tokio::test]
async fn a_callee_that_is_another_is_refused() {
    let (keys, root, foreign) = (Keys::new(), Authority::new("root"), Authority::new("foreign"));
    let sso = Folder::new(&root.service("sso"), &[&root]).load("sso", &keys);
    let now = 1_800_000_000;
    let bad = [
        (root.service("blog"), "not the expected"),
        (foreign.service("echo"), "no authority among the roots"),
        (root.sign_for(&[&spiffe("echo")], (0, now - 60)), "expired"),
        (root.sign(&["spiffe://elsewhere/echo"]), "another trust domain"),
        (root.sign(&[&spiffe("echo"), &spiffe("blog")]), "2 URIs"),
    ];
    for (signed, why) in bad {
        let running = Running::start(unchecked(&signed, &[&root], &keys), &keys).await;
        let (log, _guard) = Log::begin();
        let refused = say(&running.connect(&keys, &sso), "Once", "hello").await.expect_err(why);
        assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
        let lines = log.refusals();
        let Some(line) = lines.iter().find(|line| line.contains("a callee was refused")) else {
            panic!("{refused:?} {lines:?}")
        };
        assert!(line.contains(why) && line.contains("callee=\"echo\""), "{why}: {line}");
        running.stop().await;
    }
}

#[tokio::test]
async fn a_caller_learns_in_its_own_log_that_it_was_refused() {
    let (keys, root, foreign) = (Keys::new(), Authority::new("root"), Authority::new("foreign"));
    let running = Running::start(Folder::new(&root.service("echo"), &[&root]).load("echo", &keys), &keys).await;
    let (log, _guard) = Log::begin();
    let channel = running.connect(&keys, &unchecked(&foreign.service("sso"), &[&root], &keys));
    say(&channel, "Once", "hello").await.expect_err("foreign");
    until(|| log.text().contains("the callee refused this service's certificate")).await;
    running.stop().await;
}

/// Who tries again and again is told of once; a callee that merely restarts is refused by nobody, and refuses nobody.
#[tokio::test]
async fn a_callee_that_is_tried_again_and_again_does_not_fill_the_log() {
    let (keys, root, foreign) = (Keys::new(), Authority::new("root"), Authority::new("foreign"));
    let good = |name| Some(Folder::new(&root.service(name), &[&root]).load(name, &keys));
    let bad = || unchecked(&foreign.service("echo"), &[&root], &keys);
    let refused = "a callee was refused";
    let told = "the callee refused this service's certificate";
    for (callee, caller, line) in
        [(Some(bad()), good("sso"), refused), (good("echo"), Some(bad()), told), (None, good("sso"), "")]
    {
        let (log, _guard) = Log::begin();
        let listener = bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let channel = connect(address, "echo", &keys, caller.as_ref().expect("a caller"));
        let calling = channel.clone();
        let called = tokio::spawn(async move { say(&calling, "Once", "hello").await });
        for _ in 0..5 {
            let accepted = timeout(Duration::from_secs(10), listener.accept()).await;
            let (mut stream, _) = accepted.expect("tried again").expect("accepted");
            match &callee {
                Some(callee) => drop(callee.accept(stream).await),
                // Cut off in the middle of the handshake.
                None => drop(stream.read(&mut [0]).await),
            }
        }
        called.abort();
        let lines: Vec<_> = log.refusals().into_iter().filter(|line| !line.contains("a caller was refused")).collect();
        match (lines.as_slice(), line) {
            ([], "") => {}
            ([one], line) if !line.is_empty() && one.contains(line) => {}
            _ => panic!("{line}: {lines:?}"),
        }
    }
}

#[tokio::test]
async fn whoever_does_not_shake_hands_is_let_go() {
    let (keys, root) = (Keys::new(), Authority::new("root"));
    let running = Running::start(Folder::new(&root.service("echo"), &[&root]).load("echo", &keys), &keys).await;
    // The beginning of a ClientHello, and not a byte more.
    let mut half = TcpStream::connect(running.address).await.expect("accepted");
    half.write_all(&[22, 3, 1, 2, 0, 1]).await.expect("sent");
    let began = Instant::now();
    let mut rest = Vec::new();
    let ended = timeout(Duration::from_secs(20), half.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "a silent peer is held for ever");
    assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
    // One that speaks in plain text is told at once.
    let mut plain = TcpStream::connect(running.address).await.expect("accepted");
    plain.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("sent");
    timeout(Duration::from_secs(2), plain.read_to_end(&mut rest)).await.expect("refused").ok();
    running.stop().await;
}

#[tokio::test]
async fn stopping_does_not_wait_for_a_handshake() {
    let (keys, root) = (Keys::new(), Authority::new("root"));
    let running = Running::start(Folder::new(&root.service("echo"), &[&root]).load("echo", &keys), &keys).await;
    let mut half = TcpStream::connect(running.address).await.expect("accepted");
    half.write_all(&[22, 3, 1, 2, 0, 1]).await.expect("sent");
    let channel = running.connect(&keys, &nobody(&[&root], &keys));
    say(&channel, "Public", "").await.expect("the one before it was accepted too");
    timeout(Duration::from_secs(2), running.stop()).await.expect("at once");
}
