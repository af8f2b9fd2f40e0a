//! Whether the program can be found, without running it: what it does once it is started is its own affair.
//!
//! The shell is asked to read the command without doing it, and then where it finds the program that the
//! command begins with. A command that is more than a program and its words is read alone.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::agent::kind::CHECK;
use crate::clock::Clock;
use crate::finding::Finding;

/// How long the shell has for each question.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Asks whether a shell finds what is named, and may run it. Some shells find a file that nobody may run.
const FIND: &str = r#"command -v "$1" >/dev/null || exit 1
case $1 in */*) [ -f "$1" ] && [ -x "$1" ];; esac"#;

/// What stands for more than itself to a shell.
const SPECIAL: &str = "'\"$`\\|&;<>()*?[]{}~#!\n\r\t";

/// Judges a command that is run in a folder.
pub(super) async fn command(command: &str, folder: Option<&Path>, clock: Clock) -> Finding {
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        let found = format!("{} is no folder", folder.display());
        return Finding::fail(CHECK, found, "make it, or name another one in CHIMEIN_STDIO_FOLDER");
    }
    let asks = async |words: &[&str]| shell(words, folder, clock).await;
    match asks(&["-n", "-c", command]).await {
        Ok(true) => {}
        Ok(false) => {
            let found = "the shell does not understand the command".to_owned();
            return Finding::fail(CHECK, found, "try CHIMEIN_STDIO_COMMAND by hand with sh -c");
        }
        Err(error) => {
            let found = format!("there is no shell to ask: {error}");
            return Finding::fail(CHECK, found, "kind stdio needs /bin/sh, and room for a process");
        }
    }
    let Some(words) = plain_words(command) else {
        let found = "the shell understands the command; what it starts is seen once it runs";
        return Finding::ok(CHECK, found.to_owned());
    };
    let Some((program, rest)) = words.split_first() else {
        let found = "the command starts nothing".to_owned();
        return Finding::fail(CHECK, found, "name a program in CHIMEIN_STDIO_COMMAND");
    };
    if !asks(&["-c", FIND, "sh", program]).await.unwrap_or(false) {
        let found = format!("no program {program} is found, or it may not be run");
        let remedy = "install it, or name it by its whole path in CHIMEIN_STDIO_COMMAND";
        return Finding::fail(CHECK, found, remedy);
    }
    let place = |word: &str| folder.map_or_else(|| word.into(), |folder| folder.join(word));
    match rest.iter().find(|word| is_path(word) && !place(word).exists()) {
        Some(missing) => Finding::warn(
            CHECK,
            format!("the command names {missing}, which is not there"),
            "name it by its whole path in CHIMEIN_STDIO_COMMAND, if it is a file that is read",
        ),
        None => Finding::ok(CHECK, format!("{program} is there; it is started by serve alone")),
    }
}

/// Asks the shell; says whether it agrees. One that does not answer in time does not.
async fn shell(words: &[&str], folder: Option<&Path>, clock: Clock) -> std::io::Result<bool> {
    let mut command = Command::new("/bin/sh");
    command.args(words).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some(folder) = folder {
        command.current_dir(folder);
    }
    let mut asked = command.spawn()?;
    tokio::select! {
        status = asked.wait() => Ok(status?.success()),
        () = clock.sleep(ANSWER_WITHIN) => Ok(false),
    }
}

/// The words of a command that is a program and its words, without what is set for it and without `exec`; none
/// if the shell makes more of it.
fn plain_words(command: &str) -> Option<Vec<&str>> {
    if command.trim().contains(|letter| SPECIAL.contains(letter)) {
        return None;
    }
    let is_setting = |word: &&str| word.contains('=');
    Some(
        command.split_whitespace().skip_while(|word| is_setting(word) || *word == "exec").collect(),
    )
}

/// Whether a word may be a file that is read.
fn is_path(word: &str) -> bool {
    word.contains('/')
        && !word.starts_with(['-', '@'])
        && !word.contains("://")
        && !word.contains('=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_command_is_taken_apart() {
        for (command, words) in [
            ("python3 /opt/bot.py", Some(vec!["python3", "/opt/bot.py"])),
            (" A=1 exec npx -y @a/b ", Some(vec!["npx", "-y", "@a/b"])),
            ("A=1", Some(vec![])),
            ("cd /opt && bot", None),
            ("bot 'a b'", None),
            ("$BOT", None),
        ] {
            assert_eq!(plain_words(command), words, "{command}");
        }
        assert!(is_path("/opt/bot.py") && is_path("examples/bot.py"));
        assert!(!["@a/b", "https://h/x", "--a=/b", "bot.py"].iter().any(|word| is_path(word)));
    }

    #[tokio::test]
    async fn a_command_is_judged_and_not_run() {
        let folder = tempfile::tempdir().unwrap();
        let (file, ran) = (folder.path().join("bot"), folder.path().join("ran"));
        std::fs::write(&file, "").unwrap();
        let file = file.display().to_string();
        for (line, verdict, words) in [
            (format!("touch {}", ran.display()), "warn", "which is not there"),
            (format!("sh {file}"), "ok", "sh is there"),
            (format!("touch {} && sh", ran.display()), "ok", "understands the command"),
            ("no-such-program-at-all".to_owned(), "FAIL", "no program no-such-program-at-all"),
            (file.clone(), "FAIL", "may not be run"),
            ("sh -c 'echo".to_owned(), "FAIL", "does not understand"),
            ("A=1".to_owned(), "FAIL", "starts nothing"),
        ] {
            let [found_verdict, _, found, remedy] =
                command(&line, None, Clock::start()).await.row();
            assert_eq!(found_verdict, verdict, "{line}: {found}");
            assert!(found.contains(words), "{line}: {found}");
            assert_eq!(remedy.is_empty(), verdict == "ok", "{line}");
        }
        assert!(!ran.exists(), "nothing is run");
    }

    #[tokio::test]
    async fn a_folder_that_is_none_is_told_of() {
        let place = Some(Path::new("/nowhere/at/all"));
        let [verdict, _, found, _] = command("sh", place, Clock::start()).await.row();
        assert!(verdict == "FAIL" && found.contains("/nowhere/at/all is no folder"), "{found}");
    }
}
