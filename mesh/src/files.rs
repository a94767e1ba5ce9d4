//! Files and sockets: how many of them a process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is open beside the connections of callers: the admin port's, those to callees and databases, files, what the runtimes wait with.
const RESERVE: u64 = 512;

/// Allows as many as the operating system grants. Shells, and containerd since its second version, begin programs with 1024, for the sake of those
/// that know no more; where there are none left, no port takes a connection, not even that of the probes.
pub(crate) fn raise() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    // If that is refused, fewer have to do: what serves says so if they do not.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// Warns if there may be fewer than `connections` of callers and a reserve want.
pub fn warn_below(connections: u64) {
    let (wanted, allowed) = (connections + RESERVE, getrlimit(Resource::Nofile).current);
    if let Some(allowed) = allowed.filter(|allowed| *allowed < wanted) {
        tracing::warn!(
            allowed,
            wanted,
            "fewer files may be open than server.connections can want: raise `ulimit -Hn`, or lower it"
        );
    }
}
