//! Hearing that an approval was acted on.

use uuid::Uuid;

use crate::{core::Core, error::Error, store};

/// Notes it. Unknown ids, and verifications that were not approved, are left as they are: there is nothing to forget.
pub(crate) async fn acknowledge(core: &Core, verification_id: Uuid) -> Result<(), Error> {
    core.write("acknowledge_otp", move |c, now| Ok(store::acknowledge(c, verification_id, now)?)).await?;
    Ok(())
}
