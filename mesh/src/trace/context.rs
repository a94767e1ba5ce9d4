//! Which trace a call belongs to, as it travels (W3C Trace Context, level 1): `traceparent` and `tracestate`.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

static PARENT: HeaderName = HeaderName::from_static("traceparent");
static STATE: HeaderName = HeaderName::from_static("tracestate");
/// The most bytes of `tracestate` that are passed on; longer ones are left out (section 3.3.1.5 asks for no more).
const MAX_STATE: usize = 512;
/// `00-<32 digits>-<16 digits>-<2 digits>`; later versions may say more.
const LENGTH: usize = 55;
const SAMPLED: u8 = 1;

/// A place in a trace: the span that is the parent of what comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Context {
    pub(crate) trace: TraceId,
    pub(crate) span: SpanId,
    /// Whether the trace's spans are made.
    pub(crate) sampled: bool,
    /// What other tracers along the way wrote for themselves.
    pub(crate) state: Option<Box<HeaderValue>>,
}

/// What all spans of a trace have in common. Not all zero.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceId(pub(crate) [u8; 16]);

/// What tells one span of a trace from another. Not all zero.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct SpanId(pub(crate) [u8; 8]);

impl Context {
    /// The context that a caller sent. One that is not well formed, or there twice, is none (section 4.3).
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(&PARENT).iter();
        let value = values.next().filter(|_| values.next().is_none())?.as_bytes();
        let (trace, span, flags) = parse(value)?;
        Some(Self { trace, span, sampled: flags & SAMPLED != 0, state: state(headers) })
    }

    /// Sends the context with a call, in place of any other.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        let text = format!("00-{}-{}-{:02x}", self.trace, self.span, u8::from(self.sampled));
        // Digits and dashes are a value.
        if let Ok(mut value) = HeaderValue::from_str(&text) {
            // No secret, but never the same twice: HPACK is not to keep it in place of what is.
            value.set_sensitive(true);
            headers.insert(&PARENT, value);
        }
        match &self.state {
            Some(state) => headers.insert(&STATE, HeaderValue::clone(state)),
            None => headers.remove(&STATE),
        };
    }

    /// What tracers along the way wrote, as text.
    pub(crate) fn state(&self) -> &str {
        self.state.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

fn parse(value: &[u8]) -> Option<(TraceId, SpanId, u8)> {
    let [version] = digits(value.get(..2)?)?;
    let dashes = [2, 35, 52].iter().all(|at| value.get(*at) == Some(&b'-'));
    let fits = match version {
        0 => value.len() == LENGTH,
        // What later versions add comes after another dash.
        1..=254 => value.len() == LENGTH || value.get(LENGTH) == Some(&b'-'),
        255 => false,
    };
    let (trace, span) = (digits(value.get(3..35)?)?, digits(value.get(36..52)?)?);
    let [flags] = digits(value.get(53..LENGTH)?)?;
    (dashes && fits && trace != [0; 16] && span != [0; 8]).then_some((TraceId(trace), SpanId(span), flags))
}

/// Bytes written as lower-case hexadecimal digits. All are looked at before any is judged: a branch for each would cost what an untraced call has to spare.
fn digits<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => u8::MAX,
    };
    let pairs: &[[u8; 2]; N] = text.as_chunks().0.try_into().ok()?;
    let bytes = pairs.map(|pair| pair.map(digit));
    let is_wrong = bytes.iter().flatten().fold(0, |seen, digit| seen | digit) > 0xf;
    (!is_wrong).then(|| bytes.map(|[high, low]| high << 4 | low))
}

/// All of `tracestate`; several headers are one list (section 3.3).
fn state(headers: &HeaderMap) -> Option<Box<HeaderValue>> {
    let mut values = headers.get_all(&STATE).iter();
    let first = values.next()?;
    let whole = values.fold(first.as_bytes().to_vec(), |whole, next| [&whole, &b","[..], next.as_bytes()].concat());
    HeaderValue::from_bytes(&whole).ok().filter(|whole| !whole.is_empty() && whole.len() <= MAX_STATE).map(Box::new)
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn read(headers: &[(&HeaderName, &str)]) -> Option<Context> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("a value"));
        }
        Context::read(&map)
    }

    #[test]
    fn what_is_read_is_written_again() {
        for given in [GIVEN, &GIVEN.replace("-01", "-00")] {
            let context = read(&[(&PARENT, given), (&STATE, "a=1"), (&STATE, "b=2")]).expect("well formed");
            assert_eq!(context.sampled, given.ends_with('1'));
            let mut headers = HeaderMap::new();
            headers.insert(&PARENT, HeaderValue::from_static("another"));
            context.write(&mut headers);
            assert_eq!(
                (&headers[&PARENT], &headers[&STATE]),
                (&given.parse().expect("a value"), &HeaderValue::from_static("a=1,b=2"))
            );
        }
    }

    #[test]
    fn later_versions_may_say_more_and_unknown_flags_say_nothing() {
        for given in ["01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03", &format!("cc{}-more", &GIVEN[2..])] {
            assert!(read(&[(&PARENT, given)]).is_some_and(|context| context.sampled), "{given}");
        }
    }

    #[test]
    fn what_is_not_well_formed_is_none() {
        for given in [
            "",
            "00",
            &format!("{GIVEN}-more"),
            &GIVEN[..54],
            &GIVEN.replace("00-", "ff-"),
            &GIVEN.replace('-', "_"),
            &GIVEN.to_uppercase(),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            &format!("cc{}.more", &GIVEN[2..]),
        ] {
            assert_eq!(read(&[(&PARENT, given)]), None, "{given}");
        }
        assert_eq!(read(&[(&PARENT, GIVEN), (&PARENT, GIVEN)]), None, "twice");
        let long = "a=1,".repeat(129);
        assert_eq!(read(&[(&PARENT, GIVEN), (&STATE, &long)]).expect("a context").state, None);
    }
}
