//! What is logged while a world lives, at the most talkative level: looked through for secrets when the world ends, and for what work was done.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use tracing::{Level, subscriber::DefaultGuard};

/// The log of one world, as far as it runs on the test's own thread: under paused time, all of it.
pub(crate) struct Trace {
    text: Text,
    secrets: Mutex<Vec<String>>,
    _guard: DefaultGuard,
}

#[derive(Clone, Default)]
struct Text(Arc<Mutex<Vec<u8>>>);

impl Trace {
    pub(crate) fn begin() -> Self {
        let text = Text::default();
        let writer = text.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::TRACE)
            .with_ansi(false)
            .without_time()
            .with_writer(move || writer.clone())
            .finish();
        let secrets = Mutex::default();
        Self { text, secrets, _guard: tracing::subscriber::set_default(subscriber) }
    }

    /// Something that must not be logged. Whole words are looked for, so that a code is not found in a long number.
    pub(crate) fn secret(&self, text: &str) {
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        if !text.is_empty() && !secrets.iter().any(|known| known == text) {
            secrets.push(text.to_owned());
        }
    }

    /// All that was logged.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.text.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// The lines that show a secret.
    pub(crate) fn leaks(&self) -> Vec<String> {
        let (text, secrets) = (self.text(), self.secrets.lock().unwrap_or_else(PoisonError::into_inner));
        text.lines().filter(|line| tells(line, &secrets)).map(str::to_owned).collect()
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.leaks().is_empty(), "the log tells secrets: {:#?}", self.leaks());
        }
    }
}

/// Whether a line has one of these secrets, a token, an address or a phone number in full. A domain after a mask is none.
fn tells(line: &str, secrets: &[String]) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let whole = |secret: &String| {
        line.match_indices(secret.as_str()).any(|(at, _)| {
            let (before, after) = (line[..at].chars().next_back(), line[at + secret.len()..].chars().next());
            !before.is_some_and(word) && !after.is_some_and(word)
        })
    };
    let address = line.match_indices("@example.com").any(|(at, _)| line[..at].ends_with(char::is_alphanumeric));
    let number = line.match_indices("+84").any(|(at, _)| {
        line[at + 3..].chars().filter(|c| !" -()".contains(*c)).take_while(char::is_ascii_digit).count() >= 9
    });
    address || number || line.contains("v4.public.") || secrets.iter().any(whole)
}

impl io::Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_leak_is_seen() {
    let trace = Trace::begin();
    trace.secret("123456");
    trace.secret("correct horse battery");
    tracing::info!(queue_us = 1_234_567, to = "a•••@example.com", phone = "+84•••••678", "fine");
    assert_eq!(trace.leaks(), Vec::<String>::new());
    for leak in ["code=123456", "anna@example.com", "+84 912 345 678", "v4.public.abc", "\"correct horse battery\""] {
        tracing::trace!("{leak}");
        assert_eq!(trace.leaks().len(), 1, "{leak}");
        trace.text.0.lock().expect("nobody panicked").clear();
    }
}
