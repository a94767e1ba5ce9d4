//! Proxies that callers come through, and whom these say they speak for (`x-forwarded-for`). What anybody else writes there counts for nothing (OWASP ASVS 5.0,
//! 4.1.3).

use std::{net::IpAddr, sync::Arc};

use http::{HeaderMap, HeaderName};
use serde::Deserialize;

/// The header that each proxy adds the other end of its own socket to, at the end.
static HEADER: HeaderName = HeaderName::from_static("x-forwarded-for");
/// The most that may be listed.
const MOST: usize = 64;
/// The fewest bits of a network: with fewer, a good part of the world would be believed.
const LEAST_BITS: u8 = 8;

/// The proxies that are believed. None unless settings list them, each as an address or a network: `["10.0.0.0/8"]`, 64 at most, of 8 bits or more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Proxies(Arc<[Network]>);

impl Proxies {
    /// Where a request comes from whose socket ends at `peer`. If that is a proxy, the last address in its header that is none; from there on to the left
    /// anybody may have written it.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer;
        if self.0.is_empty() {
            return client;
        }
        let lines = headers.get_all(&HEADER).into_iter().rev();
        let mut named = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
        while self.0.iter().any(|network| network.holds(client)) {
            let Some(address) = named.next().and_then(|text| text.trim().parse::<IpAddr>().ok()) else { break };
            client = address.to_canonical();
        }
        client
    }
}

impl TryFrom<Vec<String>> for Proxies {
    type Error = String;

    fn try_from(texts: Vec<String>) -> Result<Self, String> {
        if texts.len() > MOST {
            return Err(format!("at most {MOST} proxies may be listed, not {}", texts.len()));
        }
        let network =
            |text: String| Network::parse(&text).ok_or_else(|| format!("{text:?} is no proxy's address or network"));
        texts.into_iter().map(network).collect::<Result<_, _>>().map(Self)
    }
}

/// The addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(most), |bits| bits.parse().ok())?;
        (LEAST_BITS..=most).contains(&bits).then_some(Self { address, bits })
    }

    fn holds(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                (ours.to_bits() ^ theirs.to_bits()).leading_zeros() >= self.bits.into()
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                (ours.to_bits() ^ theirs.to_bits()).leading_zeros() >= self.bits.into()
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(texts: &[&str]) -> Result<Proxies, String> {
        texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>().try_into()
    }

    fn client(peer: &str, lines: &[&str]) -> String {
        let proxies = listed(&["10.1.0.0/16", "2001:db8:1::/48", "192.0.2.1"]).expect("networks");
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(&HEADER, line.parse().expect("a header"));
        }
        proxies.client(peer.parse().expect("an address"), &headers).to_string()
    }

    #[test]
    fn a_listed_proxy_is_believed_and_nobody_else() {
        assert_eq!(client("10.1.2.3", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("2001:db8:1:2::3", &["2001:db8:2::1"]), "2001:db8:2::1");
        assert_eq!(client("192.0.2.1", &["::ffff:198.51.100.7"]), "198.51.100.7");
        for stranger in ["10.2.2.3", "2001:db8:2::3", "192.0.2.2"] {
            assert_eq!(client(stranger, &["198.51.100.7"]), stranger);
        }
    }

    #[test]
    fn what_the_client_wrote_before_the_proxy_did_is_not_looked_at() {
        assert_eq!(client("10.1.2.3", &["203.0.113.9, 198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("10.1.2.3", &["203.0.113.9", "198.51.100.7"]), "198.51.100.7");
        assert_eq!(
            client("10.1.2.3", &["10.1.0.1, 198.51.100.7, 10.1.2.4 "]),
            "198.51.100.7",
            "of two proxies the outer"
        );
    }

    #[test]
    fn a_proxy_that_names_nobody_is_where_it_comes_from() {
        for lines in [&[][..], &[""], &["unknown"], &["198.51.100.7, nonsense"], &["198.51.100.7:4711"]] {
            assert_eq!(client("10.1.2.3", lines), "10.1.2.3", "{lines:?}");
        }
        assert_eq!(client("10.1.2.3", &["10.1.2.4"]), "10.1.2.4");
    }

    #[test]
    fn a_list_has_bounds() {
        for wrong in ["", "proxy", "10.0.0.0/7", "10.0.0.0/33", "::/129", "10.0.0.0/", "0.0.0.0/0"] {
            assert!(listed(&[wrong]).is_err(), "{wrong}");
        }
        assert!(listed(&["10.0.0.1"; 64]).is_ok());
        assert!(listed(&["10.0.0.1"; 65]).is_err());
    }
}
