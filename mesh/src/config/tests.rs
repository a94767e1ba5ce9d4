use std::io::Write as _;

use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    listen: String,
    limits: Limits,
    #[serde(default)]
    key: Option<Secret>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    sends: u32,
    countries: Vec<String>,
    strict: bool,
}

const DEFAULT: &str = r#"
    listen = "127.0.0.1:50051"
    [limits]
    sends = 5
    countries = ["VN"]
    strict = true
"#;

fn with(file: Option<&str>, variables: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    let mut written = tempfile::NamedTempFile::new().expect("a file");
    written.write_all(file.unwrap_or_default().as_bytes()).expect("written");
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    layered("sms", DEFAULT, file.map(|_| written.path()), variables)
}

#[test]
fn each_layer_is_over_the_one_before() {
    let settings = with(None, &[]).expect("the default");
    assert_eq!((settings.listen.as_str(), settings.limits.sends), ("127.0.0.1:50051", 5));
    let file = "[limits]\nsends = 6\nstrict = false";
    let variables = [
        ("PLAZA_SMS__LIMITS__SENDS", "7"),
        ("PLAZA_SMS__LIMITS__COUNTRIES", r#"["VN", "DE"]"#),
        ("PLAZA_SMS__KEY", "007"),
    ];
    let settings = with(Some(file), &variables).expect("all three");
    assert_eq!((settings.limits.sends, settings.limits.strict), (7, false));
    assert_eq!(settings.limits.countries, ["VN", "DE"]);
    let key = settings.key.expect("a key");
    assert_eq!((key.expose(), format!("{key:?} {key}")), ("007", "••• •••".to_owned()));
}

#[test]
fn a_section_that_is_named_is_laid_over_the_common_one() {
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Service {
        server: std::collections::HashMap<String, u64>,
        admin: std::collections::HashMap<String, String>,
    }
    let default = "[server]\n[admin]\nlisten = \"own\"";
    let calls = ("PLAZA_SMS__SERVER__CALLS".to_owned(), "64".to_owned());
    let service: Service = layered("sms", default, None, [calls]).expect("two sections and no third");
    assert_eq!((service.server["calls"], service.server["streams"]), (64, 256));
    assert_eq!(service.admin["listen"], "own");
}

#[test]
fn what_does_not_hold_is_not_shown() {
    let cases = [
        // A quote that is missing, a key that is there twice, a value without quotes.
        with(Some("listen = \"x\"\nkey = \"hunter2"), &[]).map_err(|error| (error, "line 2, column")),
        with(Some("key = \"hunter2\"\nkey = \"hunter2\""), &[]).map_err(|error| (error, "line 2, column")),
        with(Some("key = hunter2"), &[]).map_err(|error| (error, "line 1, column")),
        with(None, &[("PLAZA_SMS__LIMITS__COUNTRIES", "[\"hunter2\"")]).map_err(|error| (error, "COUNTRIES")),
        // One where there should be several, and the other way round.
        with(None, &[("PLAZA_SMS__LIMITS__COUNTRIES", "a, expected hunter2")])
            .map_err(|error| (error, "invalid type: string, expected a sequence")),
        with(None, &[("PLAZA_SMS__LIMITS__COUNTRIES", "hunter2 \" hunter2")])
            .map_err(|error| (error, "expected a sequence for key `limits.countries`")),
        with(None, &[("PLAZA_SMS__LIMITS", "hunter2")]).map_err(|error| (error, "limits")),
        with(None, &[("PLAZA_SMS__LIMITS__SENDS", "hunter2")])
            .map_err(|error| (error, "expected an integer for key `limits.sends`")),
        with(None, &[("PLAZA_SMS__LIMITS__STRICT", "hunter2")]).map_err(|error| (error, "limits.strict")),
        with(Some("[limits]\ncountries = 4711"), &[]).map_err(|error| (error, "limits.countries")),
    ];
    for case in cases {
        let (error, name) = case.expect_err("refused");
        let text = format!("{error} {error:?}");
        assert!(text.contains(name), "{name}: {text}");
        assert!(!text.contains("hunter2") && !text.contains("4711"), "{text}");
    }
}

#[test]
fn what_does_not_hold_is_named() {
    let cases = [
        with(Some("[limits]\nsend = 6"), &[]).map_err(|error| (error, "unknown field `send`")),
        with(Some("lissten = 6"), &[]).map_err(|error| (error, "unknown field `lissten`")),
        with(None, &[("PLAZA_SMS__LIMITS__SEND", "1")]).map_err(|error| (error, "unknown field `send`")),
        with(None, &[("PLAZA_SMS__LIMITS__SENDS", "many")]).map_err(|error| (error, "limits.sends")),
        with(None, &[("PLAZA_SMS__LIMITS__COUNTRIES", "[oops")])
            .map_err(|error| (error, "PLAZA_SMS__LIMITS__COUNTRIES")),
        with(None, &[("PLAZA_SMS____", "1")]).map_err(|error| (error, "PLAZA_SMS____")),
    ];
    for case in cases {
        let (error, name) = case.expect_err("refused");
        let text = error.to_string();
        assert!(text.contains(name) && text.contains("sms"), "{name}: {text}");
    }
}

#[test]
fn a_file_is_named_for_what_stands_in_it() {
    let named = |error: ConfigError| error.to_string().contains(std::env::temp_dir().to_str().expect("Unicode"));
    let strict = ("PLAZA_SMS__LIMITS__STRICT", "false");
    assert!(named(with(Some("[limits]\nsend = 6"), &[]).expect_err("a key nobody knows")));
    assert!(named(with(Some("[limits]\nsend = 6"), &[strict]).expect_err("a key nobody knows")));
    assert!(!named(with(Some("[limits]\nsends = 6"), &[("PLAZA_SMS__LIMIT", "6")]).expect_err("a variable")));
    let mended = with(Some("[limits]\nsends = \"many\""), &[("PLAZA_SMS__LIMITS__SENDS", "6")]);
    assert_eq!(mended.expect("the environment is over the file").limits.sends, 6);
}
