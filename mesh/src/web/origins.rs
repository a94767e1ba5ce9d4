//! Which pages may call and read the answers (Fetch, CORS protocol). Programs that are no browsers send no Origin, and get no further than over gRPC.

use http::{
    HeaderMap, HeaderValue, StatusCode, Uri,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ORIGIN, VARY,
    },
};
use tonic::body::Body;

use super::WebError;

/// The most that may be named.
const MOST: usize = 64;
/// What gRPC-Web's clients send.
const SENT: &str = "authorization, content-type, grpc-timeout, traceparent, tracestate, x-grpc-web, x-user-agent";
/// What a page may read of an answer.
const READ: &str = "grpc-status, grpc-message, grpc-status-details-bin, grpc-retry-pushback-ms";
/// How long a browser may remember what it was told, in seconds. Chromium remembers no longer.
const MAX_AGE: &str = "7200";

/// The origins of the pages that may.
#[derive(Debug)]
pub(super) struct Origins(Vec<HeaderValue>);

impl Origins {
    pub(super) fn parse(texts: &[String]) -> Result<Self, WebError> {
        if texts.len() > MOST {
            return Err(WebError::Origins(texts.len()));
        }
        let origin = |text: &String| origin(text).ok_or_else(|| WebError::Origin(text.clone()));
        texts.iter().map(origin).collect::<Result<_, _>>().map(Self)
    }

    /// The page that asks, if it is one.
    ///
    /// # Errors
    /// The refusal of a page that is not named, whose calls are not even made: the browser would hide the answers alone. So a page that has this
    /// port's name resolved to it (DNS rebinding) gets nothing done either.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<Option<HeaderValue>, Box<http::Response<Body>>> {
        match headers.get(ORIGIN) {
            None => Ok(None),
            Some(page) if self.0.contains(page) => Ok(Some(page.clone())),
            Some(_) => Err(Box::new(empty(StatusCode::FORBIDDEN))),
        }
    }
}

/// The text as browsers send it, if it is an origin: scheme, host and a port that is not the scheme's own, and nothing else. `null` and `*` are none.
fn origin(text: &str) -> Option<HeaderValue> {
    let uri: Uri = text.parse().ok()?;
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
    let usual = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let whole = text == format!("{scheme}://{authority}") && authority.port_u16() != Some(usual);
    let odd = |byte: u8| byte.is_ascii_uppercase() || matches!(byte, b'@' | b'*');
    (whole && !text.bytes().any(odd)).then(|| HeaderValue::from_str(text).ok()).flatten()
}

/// The answer to the question which a browser asks before a call. Cookies play no part (no Access-Control-Allow-Credentials): tokens stand in a header.
pub(super) fn preflight(page: &HeaderValue) -> http::Response<Body> {
    let mut response = empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, page.clone());
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(SENT));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
    response
}

/// Lets the page read an answer.
pub(super) fn expose(page: HeaderValue, headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, page);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(READ));
    headers.append(VARY, HeaderValue::from_static("origin"));
}

fn empty(status: StatusCode) -> http::Response<Body> {
    let mut response = http::Response::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(VARY, HeaderValue::from_static("origin"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_browsers_send() {
        for text in ["https://plaza.example", "http://localhost:8080", "http://[::1]:1", "https://plaza.example:80"] {
            assert!(origin(text).is_some(), "{text}");
        }
        for text in [
            "",
            "*",
            "null",
            "https://*",
            "https://plaza.example/",
            "https://Plaza.example",
            "plaza.example",
            "ftp://a",
            "https://a@b",
            "https://plaza.example:443",
            "http://plaza.example:80",
        ] {
            assert!(origin(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_list_has_an_end_and_names_what_is_wrong() {
        let many = |count: usize| (0..count).map(|n| format!("https://{n}.example")).collect::<Vec<_>>();
        assert!(Origins::parse(&many(64)).is_ok());
        assert_eq!(
            Origins::parse(&many(65)).expect_err("too many").to_string(),
            "web.origins has 65 origins; 64 are the most"
        );
        let wrong = Origins::parse(&["*".to_owned()]).expect_err("no origin").to_string();
        assert!(wrong.contains("web.origins: \"*\""), "{wrong}");
    }
}
