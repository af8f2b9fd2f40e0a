//! The one thread that reads beside the writer.
//!
//! SQLite's connection is one at a time's anyway, so a thread of its own serves all who read, and no
//! thread ever waits for another's turn. Decides nothing and reads no clock; what is read is the
//! caller's word. Ends when it is told to, or when the last handle is gone.

use std::path::Path;
use std::thread::JoinHandle;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::fault::Fault;
use super::schema;
use crate::queue::Error;

/// How many reads wait before callers wait to be let in.
const READS_WAITING_MAX: usize = 64;

type Read = Box<dyn FnOnce(&Connection) + Send>;

enum Op {
    Read(Read),
    Stop,
}

/// Lets calls in to the thread that reads. Cheap to clone.
#[derive(Clone)]
pub(super) struct Reader(mpsc::Sender<Op>);

impl Reader {
    /// Opens the connection and starts the thread. However that ends, it cancels `closed`.
    pub(super) fn start(
        path: &Path,
        fault: &Fault,
        closed: &CancellationToken,
    ) -> Result<(Self, JoinHandle<()>), Error> {
        let db = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )
        .and_then(|db| schema::configure_reader(&db).map(|()| db))
        .map_err(|error| fault.sqlite("open", error))?;
        let (reads, receiver) = mpsc::channel(READS_WAITING_MAX);
        let closed = closed.clone();
        let thread = std::thread::Builder::new()
            .name("queue-reader".into())
            .spawn(move || run(&db, receiver, closed))
            .map_err(|error| fault.io("start the reader of", error))?;
        Ok((Self(reads), thread))
    }

    /// Reads where waiting for the disk holds up nobody but other reads.
    pub(super) fn read<T: Send + 'static>(
        &self,
        fault: &Fault,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> impl Future<Output = Result<T, Error>> + Send + 'static {
        let (reads, fault) = (self.0.clone(), fault.clone());
        let (answer, answered) = oneshot::channel();
        let read: Read = Box::new(move |db| {
            let found = read(db).map_err(|error| fault.sqlite("read", error));
            // A caller that went away does not need its answer.
            drop(answer.send(found));
        });
        async move {
            reads.send(Op::Read(read)).await.map_err(|_| Error::Closed)?;
            answered.await.map_err(|_| Error::Closed)?
        }
    }

    /// Tells the thread to end; who still waits is told that the store is closed.
    pub(super) async fn stop(&self) {
        // An error means that it has ended already.
        let _ = self.0.send(Op::Stop).await;
    }

    /// As [`Reader::stop`], from where nothing can be awaited.
    pub(super) fn stop_now(&self) {
        while let Err(mpsc::error::TrySendError::Full(_)) = self.0.try_send(Op::Stop) {
            std::thread::sleep(std::time::Duration::from_millis(1)); // The reader is making room.
        }
    }
}

fn run(db: &Connection, mut reads: mpsc::Receiver<Op>, closed: CancellationToken) {
    // Consumers must not wait for a reader that is gone.
    let _closed = closed.drop_guard();
    while let Some(Op::Read(read)) = reads.blocking_recv() {
        read(db);
    }
}
