//! What is known of people and threads, kept in the store for all instances.
//!
//! What is heard means what [`policy::contact`](super::policy::contact) says; here it meets the store.
//! Every change is made to what stands there at that moment, so that of two instances none undoes the
//! other's.

use super::marks;
use super::policy::contact::{self, Contact, ThreadRecord};
use super::policy::wish::Wish;
use crate::channels::KnownThreads;
use crate::channels::documents::{forget_all, read, update};
use crate::clock::Timestamp;
use crate::json;
use crate::pii::Pii;
use crate::queue::{DocumentCursor, Documents, Error};
use crate::recent::Recent;
use crate::thread::{Medium, Pair, ThreadId, plain};
use crate::twilio::sid::TextSid;

/// How many threads are remembered at most; one that is forgotten costs a read.
const THREADS_MAX: usize = 100_000;

/// How many pages of threads one look by digits reads: some thousand threads.
const PAGES_LOOKED_MAX: usize = 40;

/// With how many threads a look by digits ends at the next page's end.
const FOUND_ENOUGH: usize = 50;

/// What is known of people and threads.
#[derive(Debug)]
pub struct Contacts {
    documents: Documents,
    /// Threads that are known to be stored, with what was heard there last.
    known: Recent<ThreadId, LastHeard>,
    /// Names of ids that are known to be noted.
    aliases: Recent<String, ()>,
}

/// The last message of somebody in a thread.
#[derive(Clone, Copy, Debug)]
struct LastHeard {
    message: TextSid,
    at: Timestamp,
    medium: Medium,
    /// On which day the thread was noted, so that its record is not forgotten.
    noted: i64,
}

/// A message of somebody, as far as it says something of its writer.
#[derive(Clone, Copy, Debug)]
pub struct ContactWord<'a> {
    /// Its sid.
    pub message: TextSid,
    /// The address that it came from, where that is not the thread's.
    pub reach: Option<&'a Pii>,
    /// When it came.
    pub at: Timestamp,
    /// What it says of whether its writer wants to hear from us.
    pub wish: Option<Wish>,
}

impl Contacts {
    /// Starts with what is stored.
    #[must_use]
    pub fn new(documents: Documents) -> Self {
        Self { documents, known: Recent::new(THREADS_MAX), aliases: Recent::new(THREADS_MAX) }
    }

    /// Hears a message of somebody; on disk when it returns, but for what is not worth a note.
    ///
    /// # Errors
    ///
    /// If the store could not be read or written.
    pub async fn heard(&self, pair: &Pair, word: ContactWord<'_>) -> Result<(), Error> {
        let thread = ThreadId::of_pair(pair);
        let has_window = pair.medium == Medium::Whatsapp;
        let (today, known) = (contact::day(word.at), self.known.get(&thread));
        let is_noted = known.is_some_and(|known| !contact::is_to_be_noted(known.noted, today));
        if !is_noted || word.reach.is_some() {
            self.note_thread(thread, pair, (word.reach, today)).await?;
        }
        // What a sweep finds may be older than what was heard.
        if known.is_none_or(|known| known.at <= word.at) {
            let noted = known.filter(|_| is_noted).map_or(today, |known| known.noted);
            let heard =
                LastHeard { message: word.message, at: word.at, medium: pair.medium, noted };
            self.known.insert(thread, heard);
        }
        // Most messages say nothing that is to be written down.
        if word.wish.is_none() && !has_window {
            return Ok(());
        }
        let hear = |known: Option<Contact>| {
            known.unwrap_or_default().heard(word.at, word.wish, has_window)
        };
        update(&self.documents, &contact::name(pair), hear).await.map(drop)
    }

    async fn note_thread(
        &self,
        thread: ThreadId,
        pair: &Pair,
        (reach, today): (Option<&Pii>, i64),
    ) -> Result<(), Error> {
        let note = |known: Option<ThreadRecord>| {
            known.unwrap_or_else(|| ThreadRecord::new(pair.clone())).heard(reach, today)
        };
        update(&self.documents, &thread_name(thread), note).await.map(drop)
    }

    /// Notes that somebody wants to hear from us or not, by what Twilio says.
    ///
    /// # Errors
    ///
    /// If the store could not be read or written.
    pub async fn wishes(&self, pair: &Pair, wish: Wish, at: Timestamp) -> Result<(), Error> {
        let change = |known: Option<Contact>| known.unwrap_or_default().wishes(wish, at);
        update(&self.documents, &contact::name(pair), change).await.map(drop)
    }

    /// What is known of the other one of a pair.
    ///
    /// # Errors
    ///
    /// If the store could not be read.
    pub async fn of(&self, pair: &Pair, thread: ThreadId) -> Result<Contact, Error> {
        let stored: Option<Contact> = read(&self.documents, &contact::name(pair)).await?;
        let contact = stored.unwrap_or_default();
        // What was not worth a note is known here.
        let wrote = self.known.get(&thread).map(|heard| heard.at);
        Ok(Contact { wrote: contact.wrote.max(wrote), ..contact })
    }

    /// The last message that this process has heard in a thread of WhatsApp.
    #[must_use]
    pub fn last_on_whatsapp(&self, thread: ThreadId) -> Option<TextSid> {
        let heard = self.known.get(&thread)?;
        (heard.medium == Medium::Whatsapp).then_some(heard.message)
    }

    /// What is known of a thread.
    ///
    /// # Errors
    ///
    /// If the store could not be read.
    pub async fn thread(&self, thread: ThreadId) -> Result<Option<ThreadRecord>, Error> {
        read(&self.documents, &thread_name(thread)).await
    }

    /// Some threads whose other address ends with these digits, of the next few thousand that are known.
    ///
    /// # Errors
    ///
    /// If the store could not be read, or the cursor is of another listing.
    pub async fn ending(
        &self,
        digits: &str,
        mut after: Option<DocumentCursor>,
    ) -> Result<KnownThreads, Error> {
        let mut found = KnownThreads::default();
        for _ in 0..PAGES_LOOKED_MAX {
            let page = self.documents.list(contact::THREADS, after.take()).await?;
            for listed in page.documents {
                // One that another release wrote is not found.
                let record: Option<ThreadRecord> = json::from_slice(&listed.value).ok();
                let fits = |of: &ThreadRecord| plain(&of.pair.theirs).ends_with(digits);
                if let Some(record) = record.filter(fits) {
                    found.threads.push((record.pair.into(), listed.changed));
                }
            }
            found.next = page.next;
            if found.next.is_none() || found.threads.len() >= FOUND_ENOUGH {
                break;
            }
            after.clone_from(&found.next);
        }
        Ok(found)
    }

    /// Notes one of our messages in a thread.
    ///
    /// # Errors
    ///
    /// If the store could not be read or written.
    pub async fn sent(
        &self,
        (thread, pair): (ThreadId, &Pair),
        sid: TextSid,
        (segments, at): (u32, Timestamp),
    ) -> Result<(), Error> {
        let note = |known: Option<ThreadRecord>| {
            let record = known.unwrap_or_else(|| ThreadRecord::new(pair.clone()));
            record.with_sent(sid, segments, at)
        };
        update(&self.documents, &thread_name(thread), note).await.map(drop)
    }

    /// Notes that a thread is over: what was said until now is no history any more.
    ///
    /// # Errors
    ///
    /// If the store could not be read or written.
    pub async fn ended(
        &self,
        (thread, pair): (ThreadId, &Pair),
        at: Timestamp,
    ) -> Result<(), Error> {
        let note = |known: Option<ThreadRecord>| {
            let record = known.unwrap_or_else(|| ThreadRecord::new(pair.clone()));
            record.ended(at)
        };
        update(&self.documents, &thread_name(thread), note).await.map(drop)
    }

    /// The address that a WhatsApp id's thread was begun with; the id itself if it is known by no other.
    ///
    /// # Errors
    ///
    /// If the store could not be read.
    pub async fn address_of(&self, ours: &Pii, user_id: &Pii) -> Result<Pii, Error> {
        let name = contact::alias_name(ours, &plain(user_id));
        let known: Option<Pii> = read(&self.documents, &name).await?;
        Ok(known.unwrap_or_else(|| user_id.clone()))
    }

    /// Notes that a WhatsApp id and an address are one person.
    ///
    /// # Errors
    ///
    /// If the store could not be read or written.
    pub async fn same(&self, ours: &Pii, user_id: &Pii, address: &Pii) -> Result<(), Error> {
        let name = contact::alias_name(ours, &plain(user_id));
        // Whoever was first keeps the thread.
        let note = |known: Option<Pii>| known.is_none().then(|| address.clone());
        if self.aliases.get(&name).is_none() {
            update(&self.documents, &name, note).await?;
            self.aliases.insert(name, ());
        }
        Ok(())
    }
}

impl Contacts {
    /// The threads in which somebody writes by an address, of whatever medium if it names none.
    ///
    /// # Errors
    ///
    /// If the store could not be read.
    pub async fn threads_of(&self, theirs: &Pii) -> Result<Vec<(ThreadId, Pair)>, Error> {
        let is_theirs = |address: &Pii| is_same_person(theirs, address);
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = self.documents.list(contact::THREADS, after).await?;
            for listed in page.documents {
                let Ok(record) = json::from_slice::<ThreadRecord>(&listed.value) else { continue };
                if is_theirs(&record.pair.theirs) || record.reach.as_ref().is_some_and(is_theirs) {
                    found.push((ThreadId::of_pair(&record.pair), record.pair));
                }
            }
            let Some(next) = page.next else { return Ok(found) };
            after = Some(next);
        }
    }

    /// Forgets the person in a thread; says how many notes there are of both, of which those by which the
    /// thread is found stay until [`Contacts::forget_way`]. That somebody wants to hear nothing more is a digest
    /// and a time, and stays.
    ///
    /// # Errors
    ///
    /// If the store could not be read or written.
    pub async fn forget(&self, thread: ThreadId, act: bool) -> Result<u64, Error> {
        let mut names = vec![marks::name(thread)];
        if let Some(ThreadRecord { pair, .. }) = self.thread(thread).await? {
            let name = contact::name(&pair);
            let known: Option<Contact> = read(&self.documents, &name).await?;
            names.extend(known.is_some_and(|known| !known.is_opted_out).then_some(name));
        }
        if !act {
            names.extend(self.way(thread).await?);
        }
        forget_all(&self.documents, names, act).await
    }

    /// Forgets the notes by which a thread is found, its own record last, so that what has failed before can be
    /// asked for again; says how many those were.
    ///
    /// # Errors
    ///
    /// If the store could not be read or written.
    pub async fn forget_way(&self, thread: ThreadId) -> Result<u64, Error> {
        let names = self.way(thread).await?;
        let _known = self.known.remove(&thread);
        for name in &names {
            let _known = self.aliases.remove(name);
        }
        forget_all(&self.documents, names, true).await
    }

    /// The notes by which a thread is found, its own record last.
    async fn way(&self, thread: ThreadId) -> Result<Vec<String>, Error> {
        let mut names = match self.thread(thread).await? {
            Some(ThreadRecord { pair, .. }) => self.aliases_of(&pair.theirs).await?,
            None => Vec::new(),
        };
        names.push(thread_name(thread));
        Ok(names)
    }

    /// The notes that a WhatsApp id and an address are one person.
    async fn aliases_of(&self, address: &Pii) -> Result<Vec<String>, Error> {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = self.documents.list(contact::ALIASES, after).await?;
            let is_theirs =
                |value: &[u8]| json::from_slice::<Pii>(value).is_ok_and(|known| known == *address);
            let its = page.documents.into_iter().filter(|listed| is_theirs(&listed.value));
            found.extend(its.map(|listed| listed.name));
            let Some(next) = page.next else { return Ok(found) };
            after = Some(next);
        }
    }
}

/// Whether an address is the one that is asked for; a number without a medium is its person's on all.
fn is_same_person(asked: &Pii, address: &Pii) -> bool {
    asked == address || (!asked.reveal().contains(':') && plain(asked) == plain(address))
}

fn thread_name(thread: ThreadId) -> String {
    format!("{}{thread}", contact::THREADS)
}
