//! Watches the lives of all members by their beats. Pure.
//!
//! A life is silent when its revision has not changed for the patience, by the observer's own clock:
//! clocks of two machines are never compared. Time during which the observer itself was cut off counts
//! for nobody's silence. Whether a silent life is over is decided by compare-and-set, not here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::records::{MemberId, MemberRecord};
use crate::clock::Moment;

/// Everything seen of the members' lives, the own one included.
#[derive(Debug, Default)]
pub(super) struct Peers(BTreeMap<MemberId, Peer>);

#[derive(Debug)]
struct Peer {
    revision: u64,
    since: Moment,
    life: Life,
    is_confirmed: bool,
}

#[derive(Debug, Eq, PartialEq)]
enum Life {
    /// A lease names it, its own key was not seen.
    Rumoured,
    /// It beats, and takes a share of these kinds.
    Living(BTreeMap<String, String>),
    /// It is over.
    Ended,
}

impl Peers {
    /// Takes note of a life's record; says whether more has changed than the beat.
    pub fn heard(
        &mut self,
        now: Moment,
        id: &MemberId,
        revision: u64,
        record: &MemberRecord,
    ) -> bool {
        let life = if record.ended { Life::Ended } else { Life::Living(record.kinds.clone()) };
        match self.0.get_mut(id) {
            Some(peer) if peer.revision > revision => false,
            Some(peer) if peer.revision == revision => {
                peer.is_confirmed = true;
                false
            }
            Some(peer) => {
                let is_change = peer.life != life;
                *peer = Peer { revision, since: now, life, is_confirmed: true };
                is_change
            }
            None => {
                let peer = Peer { revision, since: now, life, is_confirmed: true };
                self.0.insert(id.clone(), peer);
                true
            }
        }
    }

    /// Forgets a life that stands nowhere; says whether it was known.
    pub fn forget(&mut self, id: &MemberId) -> bool {
        self.0.remove(id).is_some()
    }

    /// Takes note that a lease names a life; one that was never seen is waited for like any other.
    pub fn rumoured(&mut self, now: Moment, id: &MemberId) {
        let peer = || Peer { revision: 0, since: now, life: Life::Rumoured, is_confirmed: true };
        self.0.entry(id.clone()).or_insert_with(peer);
    }

    /// Begins all waiting anew: the observer was cut off, so silence says nothing.
    pub fn wait_anew(&mut self, now: Moment) {
        self.0.values_mut().for_each(|peer| peer.since = now);
    }

    /// Begins waiting for one life anew.
    pub fn wait_anew_for(&mut self, now: Moment, id: &MemberId) {
        if let Some(peer) = self.0.get_mut(id) {
            peer.since = now;
        }
    }

    /// Everything will be read again; what is not there any more is forgotten by
    /// [`read`](Self::read).
    pub fn reading(&mut self) {
        self.0.values_mut().for_each(|peer| peer.is_confirmed = false);
    }

    /// Everything has been read: forgets what was not found.
    pub fn read(&mut self) {
        self.0.retain(|_, peer| peer.is_confirmed);
    }

    /// Forgets ended lives that no lease names.
    pub fn forget_ended(&mut self, named: &BTreeSet<MemberId>) {
        self.0.retain(|id, peer| !matches!(peer.life, Life::Ended) || named.contains(id));
    }

    /// Whether a life is known to be over.
    pub fn is_over(&self, id: &MemberId) -> bool {
        self.0.get(id).is_some_and(|peer| matches!(peer.life, Life::Ended))
    }

    /// The lives that have been silent for `patience`, with the revision that has not changed.
    pub fn silent(
        &self,
        now: Moment,
        patience: Duration,
    ) -> impl Iterator<Item = (&MemberId, u64)> {
        let is_silent = move |peer: &Peer| {
            !matches!(peer.life, Life::Ended) && now.since(peer.since) >= patience
        };
        self.0.iter().filter(move |(_, peer)| is_silent(peer)).map(|(id, peer)| (id, peer.revision))
    }

    /// When the next life will have been silent for `patience`.
    pub fn next_silence(&self, now: Moment, patience: Duration) -> Option<Moment> {
        let living = self.0.values().filter(|peer| !matches!(peer.life, Life::Ended));
        living.map(|peer| peer.since + patience).filter(|at| *at > now).min()
    }

    /// The lives that beat.
    pub fn living(&self) -> impl Iterator<Item = &MemberId> {
        self.0.iter().filter(|(_, peer)| matches!(peer.life, Life::Living(_))).map(|(id, _)| id)
    }

    /// The lives that beat and know the same names of a kind.
    pub fn sharing(&self, kind: &str, digest: &str) -> impl Iterator<Item = &MemberId> {
        self.0.iter().filter_map(move |(id, peer)| match &peer.life {
            Life::Living(kinds) => {
                kinds.get(kind).is_some_and(|theirs| theirs == digest).then_some(id)
            }
            Life::Rumoured | Life::Ended => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(6);

    #[test]
    fn a_life_is_silent_after_the_patience_and_not_while_it_beats() {
        let mut peers = Peers::default();
        peers.heard(at(0), &id("a.1"), 1, &beat());
        peers.heard(at(4), &id("a.1"), 2, &beat());
        assert_eq!(peers.silent(at(9), PATIENCE).count(), 0);
        assert_eq!(peers.next_silence(at(9), PATIENCE), Some(at(10)));
        assert_eq!(peers.silent(at(10), PATIENCE).collect::<Vec<_>>(), [(&id("a.1"), 2)]);
        peers.heard(at(11), &id("a.1"), 2, &beat());
        assert_eq!(peers.silent(at(11), PATIENCE).count(), 1, "an old beat heard again is no beat");
    }

    #[test]
    fn time_cut_off_counts_for_nobodys_silence() {
        let mut peers = Peers::default();
        peers.heard(at(0), &id("a.1"), 1, &beat());
        peers.wait_anew(at(8));
        assert_eq!(peers.silent(at(13), PATIENCE).count(), 0);
        assert_eq!(peers.silent(at(14), PATIENCE).count(), 1);
    }

    #[test]
    fn an_ended_life_never_lives_again() {
        let mut peers = Peers::default();
        peers.heard(at(0), &id("a.1"), 5, &MemberRecord { ended: true, ..beat() });
        peers.heard(at(1), &id("a.1"), 4, &beat());
        assert!(peers.is_over(&id("a.1")));
        assert_eq!(peers.living().count(), 0);
        assert_eq!(peers.silent(at(60), PATIENCE).count(), 0);
    }

    #[test]
    fn a_rumoured_life_is_waited_for_and_takes_no_share() {
        let mut peers = Peers::default();
        peers.rumoured(at(0), &id("a.1"));
        assert_eq!((peers.living().count(), peers.sharing("k", "d").count()), (0, 0));
        assert_eq!(peers.silent(at(6), PATIENCE).collect::<Vec<_>>(), [(&id("a.1"), 0)]);
        peers.heard(at(7), &id("a.1"), 3, &beat());
        peers.rumoured(at(8), &id("a.1"));
        assert_eq!(peers.sharing("k", "d").count(), 1);
        assert_eq!(peers.sharing("k", "other").count(), 0);
    }

    #[test]
    fn what_is_not_found_again_is_forgotten() {
        let mut peers = Peers::default();
        peers.heard(at(0), &id("a.1"), 1, &beat());
        peers.heard(at(0), &id("b.1"), 2, &beat());
        peers.reading();
        peers.heard(at(1), &id("b.1"), 2, &beat());
        peers.read();
        assert_eq!(peers.living().collect::<Vec<_>>(), [&id("b.1")]);
        assert_eq!(peers.silent(at(6), PATIENCE).count(), 1, "the waiting went on");
    }

    #[test]
    fn an_ended_life_is_remembered_while_a_lease_names_it() {
        let mut peers = Peers::default();
        peers.heard(at(0), &id("a.1"), 3, &MemberRecord { ended: true, ..beat() });
        peers.forget_ended(&BTreeSet::from([id("a.1")]));
        assert!(peers.is_over(&id("a.1")));
        peers.forget_ended(&BTreeSet::new());
        assert!(!peers.is_over(&id("a.1")));
    }

    fn beat() -> MemberRecord {
        let kinds = BTreeMap::from([("k".to_owned(), "d".to_owned())]);
        MemberRecord { beat: 1, kinds, ended: false }
    }

    fn id(text: &str) -> MemberId {
        MemberId::parse(text).unwrap()
    }

    fn at(seconds: u64) -> Moment {
        Moment::ORIGIN + Duration::from_secs(seconds)
    }
}
