//! Where a call comes from, as coarse as each use allows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The most characters of a device label.
const LABEL: usize = 64;

/// The device and the address somebody signs in from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origin {
    /// What the session is to be listed as; may be empty.
    pub(crate) device_label: String,
    /// The other end of the socket; none in memory.
    pub(crate) address: Option<IpAddr>,
}

impl Origin {
    /// The network a session shows: enough for its owner to know it again, too little to find anybody. Empty if unknown.
    pub(crate) fn network(&self) -> String {
        network(self.address)
    }
}

/// The network of an address as it may be kept; empty if unknown.
pub(crate) fn network(address: Option<IpAddr>) -> String {
    match address {
        None => String::new(),
        Some(IpAddr::V4(v4)) => format!("{}/24", Ipv4Addr::from_bits(v4.to_bits() & !0xff)),
        Some(IpAddr::V6(v6)) => format!("{}/48", Ipv6Addr::from_bits(v6.to_bits() >> 80 << 80)),
    }
}

/// Reads a device label.
///
/// # Errors
/// What is wrong with it, in words for the caller.
pub(crate) fn device_label(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    if text.chars().count() > LABEL {
        return Err("must have at most 64 characters");
    }
    if text.chars().any(char::is_control) {
        return Err("may not have control characters");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Origin, device_label};

    #[test]
    fn networks_are_coarse() {
        let network = |text: &str| Origin { address: text.parse().ok(), ..Origin::default() }.network();
        assert_eq!(network("203.0.113.77"), "203.0.113.0/24");
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1::/48");
        assert_eq!(Origin::default().network(), "");
    }

    #[test]
    fn labels_are_short_and_printable() {
        assert_eq!(device_label(" Anna's phone ").unwrap(), "Anna's phone");
        assert!(device_label(&"ễ".repeat(64)).is_ok());
        assert!(device_label(&"x".repeat(65)).is_err());
        assert!(device_label("a\nb").is_err());
    }
}
