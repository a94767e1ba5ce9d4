//! Files that change while calls go on.

use super::*;
use crate::admin::Admin;

/// Calls without a pause until it is told to stop, each time on another of `channels`; how many calls there were. None may fail.
struct Load {
    stop: Shutdown,
    calling: JoinHandle<u32>,
}

impl Load {
    fn begin(channels: Vec<Channel>) -> Self {
        let stop = Shutdown::manual();
        let stopping = stop.clone();
        let calling = tokio::spawn(async move {
            let mut calls = 0;
            while !stopping.is_begun() {
                for channel in &channels {
                    // Not repeatable: nothing saves a call that is lost.
                    say(channel, "Once", "").await.expect("no call is lost");
                    calls += 1;
                }
            }
            calls
        });
        Self { stop, calling }
    }

    async fn end(self) -> u32 {
        self.stop.begin();
        self.calling.await.expect("no call was lost")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_takes_the_place_of_another_and_no_call_is_lost() {
    let (keys, old, new) = (Keys::new(), Authority::new("old"), Authority::new("new"));
    let (echo, sso) = (Folder::new(&old.service("echo"), &[&old]), Folder::new(&old.service("sso"), &[&old]));
    let running = Running::start(echo.load("echo", &keys), &keys).await;
    let tls = sso.load("sso", &keys);
    let load = Load::begin(vec![running.connect(&keys, &tls)]);
    let refresh = || [&running.tls, &tls].map(Tls::refresh);
    let reached = async |what: &str| say(&running.connect(&keys, &tls), "Peer", what).await;

    assert_eq!(reached("before").await.expect("the old one"), "before");
    let steps: [&dyn Fn(); 4] = [
        &|| [&echo, &sso].into_iter().for_each(|folder| folder.roots(&[&old, &new])),
        &|| echo.write(&new.service("echo")),
        &|| sso.write(&new.service("sso")),
        &|| [&echo, &sso].into_iter().for_each(|folder| folder.roots(&[&new])),
    ];
    for (number, step) in steps.into_iter().enumerate() {
        let before = [running.tls.material(), tls.material()];
        step();
        refresh();
        let taken = before.iter().zip([&running.tls, &tls]).any(|(before, tls)| !Arc::ptr_eq(before, &tls.material()));
        assert!(taken, "step {number} holds by itself");
        assert_eq!(reached("again").await.expect("a new connection"), "again", "after step {number}");
    }
    assert!(load.end().await > 0);

    let late = unchecked(&old.service("sso"), &[&old, &new], &keys);
    let refused = say(&running.connect(&keys, &late), "Once", "").await.expect_err("the old authority is gone");
    assert_eq!(refused.code(), Code::Unavailable);
    running.stop().await;
}

#[tokio::test]
async fn what_does_not_hold_together_changes_nothing_and_is_said_once() {
    let (keys, root, other) = (Keys::new(), Authority::new("root"), Authority::new("other"));
    let echo = Folder::new(&root.service("echo"), &[&root]);
    let running = Running::start(echo.load("echo", &keys), &keys).await;
    let sso = Folder::new(&root.service("sso"), &[&root]).load("sso", &keys);
    let (own, next) = (root.service("echo"), root.service("echo"));
    let now = 1_800_000_000;
    let half = |text: &str| text[..text.len() / 2].to_owned();
    let bad: [(&str, String, &str); 10] = [
        ("own.pem", next.certificate.clone(), "KeyMismatch"),
        ("own.pem", half(&next.certificate), "own.pem"),
        ("own.pem", String::new(), "own.pem: no certificate in it"),
        ("own.key", half(&next.key), "own.key"),
        ("own.key", String::new(), "own.key"),
        ("roots.pem", half(root.pem()), "roots.pem"),
        ("roots.pem", other.pem().to_owned(), "does not hold under the roots"),
        ("own.pem", root.service("sso").certificate, "not the expected"),
        ("own.pem", root.sign_for(&[&spiffe("echo")], (0, now - 1)).certificate, "CertExpired"),
        ("own.pem", root.sign(&[&spiffe("echo"), &spiffe("sso")]).certificate, "2 URIs"),
    ];
    for (file, text, why) in bad {
        echo.write(&own);
        echo.roots(&[&root]);
        running.tls.refresh();
        let before = running.tls.material();
        let (log, _guard) = Log::begin();
        echo.put(file, &text);
        running.tls.refresh();
        running.tls.refresh();
        assert!(Arc::ptr_eq(&before, &running.tls.material()), "{file}: {why}");
        say(&running.connect(&keys, &sso), "Peer", "").await.expect("with the old ones");
        let lines = log.refusals();
        let [line] = &lines[..] else { panic!("{why}: {lines:?}") };
        assert!(line.contains(why) && line.contains("the old ones stay in use"), "{why}: {line}");
    }
    std::fs::remove_file(echo.path().join("own.key")).expect("removed");
    running.tls.refresh();
    say(&running.connect(&keys, &sso), "Peer", "").await.expect("with the old ones");
    // What comes in two parts is taken when both are there.
    let before = running.tls.material();
    echo.put("own.pem", &next.certificate);
    running.tls.refresh();
    echo.put("own.key", &next.key);
    running.tls.refresh();
    assert!(!Arc::ptr_eq(&before, &running.tls.material()), "the new ones hold");
    say(&running.connect(&keys, &sso), "Peer", "").await.expect("with the new ones");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_files_are_looked_at_every_two_seconds_until_the_end() {
    let (keys, root) = (Keys::new(), Authority::new("root"));
    let folder = Folder::new(&root.service("echo"), &[&root]);
    let tls = folder.load("echo", &keys);
    let shutdown = Shutdown::manual();
    tls.watch(shutdown.clone());
    sleep(Duration::from_millis(10)).await;
    for stopped in [false, true] {
        let before = tls.material();
        folder.write(&root.service("echo"));
        sleep(Duration::from_secs(2)).await;
        assert_eq!(Arc::ptr_eq(&before, &tls.material()), stopped);
        shutdown.begin();
        sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn a_service_does_not_begin_with_what_nobody_would_believe() {
    let (keys, root, foreign) = (Keys::new(), Authority::new("root"), Authority::new("foreign"));
    let load = |folder: &Folder| Tls::load("echo", &folder.config(), &keys.clock).map(|tls| tls.is_some());
    for (signed, why) in [
        (root.service("sso"), "not the expected"),
        (foreign.service("echo"), "under the roots"),
        (root.sign(&["spiffe://elsewhere/echo"]), "another trust domain"),
    ] {
        let refused = load(&Folder::new(&signed, &[&root])).expect_err(why).to_string();
        assert!(refused.contains(why) && refused.contains("own.pem"), "{refused}");
    }
    let folder = Folder::new(&root.service("echo"), &[&root]);
    assert!(load(&folder).expect("holds"));
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o604);
    std::fs::set_permissions(folder.path().join("own.key"), everybody).expect("its own");
    assert!(load(&folder).expect_err("for everybody").to_string().contains("chmod 600"));
    assert!(!Tls::load("echo", &TlsConfig::none(), &keys.clock).is_ok_and(|tls| tls.is_some()), "plain text");
}

#[tokio::test]
async fn the_page_tells_when_the_certificate_in_use_ends() {
    let (keys, root) = (Keys::new(), Authority::new("root"));
    let now = keys.clock.now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
    let ends_at = |end: u64| root.sign_for(&[&spiffe("echo")], (160_000_000, end as i64));
    let folder = Folder::new(&ends_at(now + 86_400), &[&root]);
    let running = Running::start(folder.load("echo", &keys), &keys).await;
    let nobody = nobody(&[&root], &keys);
    say(&running.connect(&keys, &nobody), "Public", "").await.expect("it is served");
    let admin = Admin::new(Shutdown::manual());
    admin.add(running.router.clone());
    // The last is that of an authority which outlives it: ten years are told.
    for (end, told) in
        [(now + 86_400, now + 86_400), (now + 172_800, now + 172_800), (u64::MAX, now + 10 * 365 * 86_400)]
    {
        folder.write(&if end == u64::MAX { root.service("echo") } else { ends_at(end) });
        running.tls.refresh();
        let page = admin.metrics().await;
        let line =
            page.lines().find(|line| line.starts_with("plaza_certificate_end_timestamp_seconds{")).expect("told");
        let value: u64 = line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("seconds");
        assert!(told.abs_diff(value) <= 1, "{line} and not {told}");
    }
    running.stop().await;
}
