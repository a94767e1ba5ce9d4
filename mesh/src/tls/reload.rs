//! Files that change are read again. They change one after the other, and not always by a rename: what is not whole yet, or does not fit
//! together, leaves the old in place until it does.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
    sync::{Arc, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::time::{MissedTickBehavior, interval};

use super::{Tls, config::Files, material::Material};
use crate::{failure::chain, shutdown::Shutdown};

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(2);

/// What tells one state of the files from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp([Option<(SystemTime, u64, u64)>; 3]);

impl Stamp {
    fn of(files: &Files) -> Self {
        Self([&files.certificate, &files.key, &files.roots].map(|path| stamp(path)))
    }
}

fn stamp(path: &Path) -> Option<(SystemTime, u64, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}

/// The states that were read.
#[derive(Debug)]
pub(super) struct Seen {
    used: Stamp,
    refused: Option<Stamp>,
}

impl Seen {
    pub(super) fn of(files: &Files) -> Self {
        Self { used: Stamp::of(files), refused: None }
    }
}

impl Tls {
    /// Looks at the files every two seconds until `shutdown`, in a task of its own.
    pub fn watch(&self, shutdown: Shutdown) {
        let tls = self.clone();
        tokio::spawn(async move {
            let mut ticks = interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = shutdown.begun() => return,
                    _ = ticks.tick() => tls.refresh(),
                }
            }
        });
    }

    /// Reads the files again if they have changed. New connections begin with what they hold, if all of it holds; otherwise the log says why not,
    /// once, and nothing changes.
    pub fn refresh(&self) {
        let inner = &self.0;
        let mut seen = inner.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = Stamp::of(&inner.files);
        if stamp == seen.used {
            return;
        }
        let (service, certificate) = (inner.service, inner.files.certificate.display());
        match Material::read(service, &inner.files, &inner.clock) {
            // Somebody writes just now: the next look will see all of it.
            Ok(_) if Stamp::of(&inner.files) != stamp => {}
            Ok(material) => {
                let roots = material.roots.len();
                *inner.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(material);
                *seen = Seen { used: stamp, refused: None };
                tracing::info!(service, %certificate, roots, "the certificate files have changed and are used from now on");
            }
            // Tried again at every look: what was wrong may pass without a file's changing, as a certificate's not being valid yet does.
            Err(error) if seen.refused != Some(stamp) => {
                seen.refused = Some(stamp);
                tracing::warn!(
                    service,
                    error = chain(&error),
                    "the certificate files have changed and do not hold; the old ones stay in use"
                );
            }
            Err(_) => {}
        }
    }
}
