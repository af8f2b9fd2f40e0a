//! The Python SDK of the Agent Client Protocol, which a test's agent is written with.
//!
//! It is installed under `target/ci-tools/acp`, by `.ci/acp`, where the first test that needs it lets that run.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The Python that has the SDK. It is installed if it is not there yet; test binaries run one after the other, so
/// that one process does it.
pub fn python() -> PathBuf {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    let installed = INSTALLED.get_or_init(|| {
        let home = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = home.join("target/ci-tools/acp/bin/python");
        let imports =
            Command::new(&python).args(["-c", "import acp"]).stdin(Stdio::null()).output();
        if !imports.is_ok_and(|imports| imports.status.success()) {
            let installer = Command::new(home.join(".ci/acp")).stdin(Stdio::null()).status();
            assert!(installer.is_ok_and(|status| status.success()), ".ci/acp failed, see above");
        }
        python
    });
    installed.clone()
}
