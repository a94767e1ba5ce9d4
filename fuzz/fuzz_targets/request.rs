//! Any bytes as the message of any method that answers once, by whoever may call it: decoded, parsed, and acted on where they make sense. The first byte chooses the method, the second
//! the caller.
#![no_main]

use fuzz::As;
use libfuzzer_sys::fuzz_target;
use onebox::Part;

fuzz_target!(|bytes: &[u8]| {
    let [method, caller, message @ ..] = bytes else { return };
    let policy = &proto::POLICIES[usize::from(*method) % proto::POLICIES.len()];
    if policy.server_streaming {
        return;
    }
    let caller = match caller % 4 {
        0 => As::Nobody,
        1 => As::Operator,
        2 => As::Peer(Part::Sso),
        _ => As::Peer(Part::Social),
    };
    fuzz::call(policy.path, caller, message);
});
