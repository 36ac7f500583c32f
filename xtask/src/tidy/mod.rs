//! `cargo xtask tidy`: the rules about the code that no compiler checks. Each complaint says what to do about it.

mod arrows;
mod files;
mod members;

use anyhow::Result;

use crate::workspace::{packages, root};

/// Prints every complaint; true when there is none.
///
/// # Errors
/// When a file or the workspace can't be read.
pub(crate) fn report() -> Result<bool> {
    let packages = packages()?;
    let mut complaints = arrows::check(&packages);
    complaints.extend(members::check(&packages, &root())?);
    complaints.extend(files::check(&root())?);
    for complaint in &complaints {
        eprintln!("tidy: {complaint}");
    }
    Ok(complaints.is_empty())
}
