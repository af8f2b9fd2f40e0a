//! Makes sure that nobody else can settle a job before a consumer gets it.
//!
//! A job that another holder may have delivered, or whose newest record is in doubt, is stamped first:
//! exchanged for the same record with this holder's name. From then on a late settlement by anybody
//! else fails at the server.

use std::time::Duration;

use super::book::JobName;
use super::holding::Holding;
use super::log::Swap;
use super::record::{JobWork, Record, State};
use super::shared::Shared;
use crate::queue::Error;

/// How long a job is held back that could not be read or stamped.
pub(super) const HOLD: Duration = Duration::from_secs(1);

/// Gives the record once nobody else can settle it; `None` if it is not the newest one.
pub(super) async fn prepare(
    shared: &Shared,
    holding: &Holding,
    born: u64,
) -> Result<Option<(JobName, Record)>, Error> {
    let known = holding.book().of_born(born).map(|known| {
        let record = known.is_whole.then(|| known.record.clone());
        (known.name, known.rev, known.is_ours, record)
    });
    let Some((name, rev, is_ours, record)) = known else { return Ok(None) };
    let record = match record {
        Some(record) => Some(record),
        None => shared.log.read_at(rev).await?,
    };
    Ok(match record {
        Some(record) if is_ours => Some((name, record)),
        Some(record) => {
            let stamped = stamp(shared, holding, name, (rev, record)).await?;
            stamped.map(|stamped| (name, stamped))
        }
        None => None,
    })
}

/// Notes in the record that this holder delivers it; `None` if it is not the newest one.
async fn stamp(
    shared: &Shared,
    holding: &Holding,
    name: JobName,
    (rev, record): (u64, Record),
) -> Result<Option<Record>, Error> {
    let Some(work) = record.open() else { return Ok(None) };
    let work = JobWork { stamp: Some(holding.stamp.clone()), ..work.clone() };
    let stamped = record.then(rev, State::Open(work), shared.by());
    let subject = shared.log.names().job(name.0, holding.partition, name.1);
    holding.book().begin(name);
    let swapped = shared.log.swap(&subject, rev, &stamped).await;
    match swapped {
        Ok(Swap::Done(rev)) => {
            let later = holding.book().rewritten(name, rev, stamped.clone());
            later.and_then(|effect| shared.apply(holding, effect));
            Ok(Some(stamped))
        }
        Ok(Swap::Changed) => {
            holding.book().unknown(name);
            Ok(None)
        }
        Err(error) => {
            holding.book().unknown(name);
            Err(error)
        }
    }
}
