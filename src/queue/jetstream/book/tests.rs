//! The table of the module's page, line by line.

use super::super::record::JobWork;
use super::*;
use crate::queue::{Append, Cause};

const AT: Timestamp = Timestamp::from_millis(5);

fn name(text: &str) -> JobName {
    (QueueName::Inbox, JobId::digest("test", &[text.as_bytes()]))
}

fn new_job(text: &str) -> Record {
    let append = Append {
        id: name(text).1,
        key: Key::new("a").unwrap(),
        position: None,
        not_before: None,
        payload: text.as_bytes().to_vec(),
    };
    Record::appended(&append, AT)
}

fn held(text: &str, rev: u64, state: State) -> Record {
    new_job(text).then(rev, state, Some("me.1".into()))
}

fn open_again(text: &str, rev: u64) -> Record {
    let work = new_job(text).open().unwrap().failed(AT, &Cause::new("busy"));
    held(text, rev, State::Open(JobWork { attempts: 1, ..work }))
}

fn caught_up() -> JobBook {
    let mut book = JobBook::new(100);
    assert_eq!(book.catch_up(), []);
    book
}

fn entered(effect: Option<BookEffect>) -> Entering {
    match effect {
        Some(BookEffect::Enter(entering)) => entering,
        other => panic!("{other:?} is no job entering"),
    }
}

#[test]
fn a_new_job_enters_and_nobody_else_can_have_delivered_it() {
    let mut book = caught_up();
    let entering = entered(book.read(name("1"), 7, new_job("1")));
    assert_eq!((entering.born, entering.attempts, entering.suspect), (7, 0, false));
    let known = book.of_born(7).unwrap();
    assert_eq!((known.rev, known.is_ours, known.is_whole), (7, true, true));
}

#[test]
fn what_was_there_before_enters_in_the_order_of_the_appends_and_is_suspect() {
    let mut book = JobBook::new(100);
    assert_eq!(book.read(name("2"), 4, new_job("2")), None);
    assert_eq!(book.read(name("1"), 6, open_again("1", 2)), None);
    assert_eq!(book.read(name("2"), 8, open_again("2", 4)), None, "the newest record counts");
    let entering = book.catch_up();
    let seen: Vec<_> = entering.iter().map(|it| (it.born, it.attempts, it.suspect)).collect();
    assert_eq!(seen, [(2, 1, true), (4, 1, true)]);
    assert!(!book.of(name("1")).unwrap().is_ours);
}

#[test]
fn what_a_former_holder_left_is_finished_and_listed() {
    let mut book = JobBook::new(100);
    let work = new_job("1").open().unwrap().clone();
    let moved = held("1", 1, State::Moved(super::super::record::Moved::default()));
    assert_eq!(book.read(name("1"), 2, moved), Some(BookEffect::Finish { name: name("1") }));
    let dead = held("2", 1, State::Dead(work, AT));
    assert_eq!(book.read(name("2"), 3, dead), Some(BookEffect::List { name: name("2") }));
    assert_eq!(book.read(name("3"), 4, held("3", 1, State::Done)), None);
    assert_eq!(book.catch_up(), []);
}

#[test]
fn echoes_of_what_was_settled_here_change_nothing() {
    let mut book = caught_up();
    book.read(name("1"), 7, new_job("1"));
    book.begin(name("1"));
    assert_eq!(book.settled(name("1"), 9), None);
    for rev in [8, 9] {
        assert_eq!(book.read(name("1"), rev, open_again("1", 7)), None, "an echo");
    }
    let again = entered(book.read(name("1"), 10, new_job("1")));
    assert_eq!(again.born, 10, "what is newer is no echo");
}

#[test]
fn an_echo_before_the_answer_changes_nothing_either() {
    let mut book = caught_up();
    book.read(name("1"), 7, new_job("1"));
    book.begin(name("1"));
    assert_eq!(book.read(name("1"), 9, held("1", 7, State::Done)), None);
    assert_eq!(book.settled(name("1"), 9), None);
    assert_eq!(book.floor(), 10);
    book.read(name("2"), 10, new_job("2"));
    book.begin(name("2"));
    assert_eq!(book.read(name("2"), 11, open_again("2", 10)), None);
    assert_eq!(book.rewritten(name("2"), 11, open_again("2", 10)), None);
    assert!(book.of(name("2")).is_some_and(|known| known.is_ours && known.rev == 11));
}

#[test]
fn a_redrive_that_comes_before_the_answer_opens_the_job_again() {
    let mut book = caught_up();
    book.read(name("1"), 7, new_job("1"));
    book.begin(name("1"));
    let redriven = new_job("1").open().unwrap().redriven();
    let redriven = new_job("1").then(7, State::Open(redriven), None);
    assert_eq!(book.read(name("1"), 9, redriven), None);
    let entering = entered(book.settled(name("1"), 8));
    assert_eq!((entering.born, entering.suspect), (7, true));
}

#[test]
fn a_second_append_brings_forward_and_keeps_the_job_ours() {
    let mut book = caught_up();
    book.read(name("1"), 7, new_job("1"));
    let forward = new_job("1").then(7, new_job("1").state, None);
    let effect = book.read(name("1"), 8, forward);
    assert!(matches!(effect, Some(BookEffect::BringForward { born: 7, not_before: None, .. })));
    assert!(book.of(name("1")).is_some_and(|known| known.is_ours && known.rev == 8));
}

#[test]
fn another_holders_record_puts_a_job_in_doubt() {
    let mut book = caught_up();
    book.read(name("1"), 7, new_job("1"));
    assert_eq!(book.read(name("1"), 8, open_again("1", 7)), None);
    let known = book.of(name("1")).unwrap();
    assert_eq!((known.rev, known.is_ours), (7, false));
    let entering = book.found(name("1"), 8, open_again("1", 7)).unwrap();
    assert_eq!((entering.born, entering.attempts, entering.suspect), (7, 1, true));
}

#[test]
fn a_write_of_unknown_outcome_puts_a_job_in_doubt() {
    let mut book = caught_up();
    book.read(name("1"), 7, new_job("1"));
    book.begin(name("1"));
    book.unknown(name("1"));
    assert!(!book.of(name("1")).unwrap().is_ours);
}

#[test]
fn payloads_are_kept_up_to_the_bound_and_the_floor_is_the_oldest_record() {
    let mut book = JobBook::new(5);
    book.catch_up();
    for (rev, text) in [(3, "123"), (4, "456"), (5, "7")] {
        book.read(name(text), rev, new_job(text));
    }
    let whole = |book: &JobBook, text| book.of(name(text)).unwrap().is_whole;
    assert_eq!([whole(&book, "123"), whole(&book, "456"), whole(&book, "7")], [true, false, true]);
    assert_eq!(book.floor(), 3);
    book.settled(name("123"), 6);
    assert_eq!(book.floor(), 4);
    book.read(name("8"), 7, new_job("890"));
    assert!(whole(&book, "8"), "room is used again");
    for text in ["456", "7", "8"] {
        book.settled(name(text), 9);
    }
    book.read_other(20);
    assert_eq!(book.floor(), 21);
}
